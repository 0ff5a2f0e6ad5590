"""Writes requirements.lock and requirements-test.lock from pyproject.toml (`make lock`).

pip resolves for the machine it runs on; the markers make the result hold on Linux and macOS with
Python 3.11 to 3.13. The files are installed with `pip install --no-deps -r`, in any order of
indexes: they name versions and nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.11.0", "3.11.9", "3.12.9", "3.13.9")
"""3.11.0 stands for the first patch releases (Debian 12 has 3.11.2), which still need back-ports."""
PLATFORMS = (("linux", "Linux", "x86_64"), ("linux", "Linux", "aarch64"),
             ("darwin", "Darwin", "arm64"), ("darwin", "Darwin", "x86_64"))  # fmt: skip
HEADER = """\
# {what} Exact versions for Linux and macOS, Python 3.11 to 3.13.
# Made by `make lock` from pyproject.toml; install with: pip install --no-deps -r {name}
"""


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    run = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    test = [*run, *project["project"]["optional-dependencies"]["test"]]
    found = resolve(test)
    running = reach(run, found)
    write("requirements.lock", "What the hub needs to run.", running, found)
    bare = ask_pip(project["project"]["optional-dependencies"]["data"], "--no-deps")
    only_tests = {name: why for name, why in reach(test, found).items() if name not in running}
    only_tests |= {name: set() for name in bare}
    write("requirements-test.lock", "What its tests and checks need besides.", only_tests, found | bare)


def resolve(roots: list[str]) -> dict[str, dict[str, Any]]:
    """Name -> metadata of everything needed on any of our platforms, in versions that fit together.
    What this machine itself would not install is asked for by name in a further round."""
    while True:
        found = ask_pip(roots)
        missing = sorted(reach(roots, found).keys() - found.keys())
        if not missing:
            return found
        roots = [*roots, *missing]


def ask_pip(roots: list[str], *options: str) -> dict[str, dict[str, Any]]:
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--ignore-installed",
        "-qq",
        *options,
    ]
    shown = subprocess.run([*command, "--report", "-", *roots], check=True, stdout=subprocess.PIPE)  # noqa: S603 - fixed words
    installs = json.loads(shown.stdout)["install"]
    return {canonicalize_name(i["metadata"]["name"]): i["metadata"] for i in installs}


def reach(roots: Iterable[str], found: Mapping[str, Mapping[str, Any]]) -> dict[str, set[str]]:
    """Name -> the markers under which it is needed; the empty set: everywhere."""
    environments = [environment(python, *platform) for python in PYTHONS for platform in PLATFORMS]
    where: dict[str, set[int]] = defaultdict(set)
    markers: dict[str, set[str]] = defaultdict(set)
    for number, here in enumerate(environments):
        waiting = [Requirement(root) for root in roots]
        seen: set[tuple[str, frozenset[str]]] = set()
        while waiting:
            wanted = waiting.pop()
            name = canonicalize_name(wanted.name)
            key = (name, frozenset(wanted.extras))
            if key in seen:
                continue
            seen.add(key)
            where[name].add(number)
            if wanted.marker:
                markers[name].add(str(wanted.marker))
            waiting += needs(found.get(name, {}), wanted.extras, here)
    everywhere = len(environments)
    return {name: set() if len(where[name]) == everywhere else markers[name] for name in where}


def needs(metadata: Mapping[str, Any], extras: set[str], here: Mapping[str, str]) -> list[Requirement]:
    requirements = [Requirement(text) for text in metadata.get("requires_dist", [])]
    return [r for r in requirements if r.marker is None or any(
        r.marker.evaluate({**here, "extra": extra}) for extra in ("", *extras)
    )]  # fmt: skip


def environment(python: str, system: str, name: str, machine: str) -> dict[str, str]:
    known = {name: str(value) for name, value in default_environment().items()}
    return known | {
        "python_version": python.rsplit(".", 1)[0],
        "python_full_version": python,
        "implementation_version": python,
        "sys_platform": system,
        "platform_system": name,
        "platform_machine": machine,
    }


def write(name: str, what: str, names: Mapping[str, set[str]], found: Mapping[str, Any]) -> None:
    lines = [HEADER.format(what=what, name=name)]
    for package in sorted(names):
        marker = " or ".join(sorted(names[package]))
        lines.append(f"{package}=={found[package]['version']}{f' ; {marker}' if marker else ''}\n")
    (ROOT / name).write_text("".join(lines))


if __name__ == "__main__":
    main()
