from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUN, TEST = ROOT / "requirements.lock", ROOT / "requirements-test.lock"


def pins(file: Path) -> dict[str, str]:
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    requirements = [Requirement(line) for line in lines]
    return {r.name: str(r.specifier) for r in requirements}


@pytest.mark.parametrize("file", [RUN, TEST], ids=lambda file: file.name)
def test_a_lock_file_holds_exact_versions_and_markers_and_nothing_else(file: Path) -> None:
    for line in file.read_text().splitlines():
        if line.startswith("#"):
            continue
        pin, _, marker = line.partition(" ; ")
        assert re.fullmatch(r"[a-z0-9.-]+==[0-9][a-z0-9.]*", pin), line
        assert not marker or Marker(marker)
        assert "://" not in line


def test_every_dependency_of_the_project_is_locked() -> None:
    run = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
    test = [Requirement(text) for text in PROJECT["project"]["optional-dependencies"]["test"]]
    data = [Requirement(text) for text in PROJECT["project"]["optional-dependencies"]["data"]]
    for wanted, locked in ((run, pins(RUN)), (test, pins(RUN) | pins(TEST)), (data, pins(TEST))):
        for requirement in wanted:
            version = locked[canonicalize_name(requirement.name)].removeprefix("==")
            assert version in requirement.specifier, f"{requirement} is locked to {version}: make lock"


def test_no_package_stands_in_both_files() -> None:
    assert not pins(RUN).keys() & pins(TEST).keys()


def test_what_is_installed_is_what_is_locked() -> None:
    for name, version in pins(RUN).items():
        if name != "async-timeout":
            assert f"=={importlib.metadata.version(name)}" == version, f"{name}: run `make test`"
