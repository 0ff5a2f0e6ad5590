from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hub.cli import COMMANDS, main

HELP = """
import sys
import hub.cli
try:
    hub.cli.main(["--help"])
except SystemExit:
    print([m for m in sys.modules if m.startswith(("sqlalchemy", "hub.commands"))])
"""


def hub(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, output and errors of one command."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    shown = capsys.readouterr()
    code = ended.value.code
    assert isinstance(code, int)
    return code, shown.out, shown.err


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in ("HUB_CONFIG", "DATABASE_URL", "REDIS_URL", "PORT"):
        monkeypatch.delenv(variable, raising=False)


def test_help_lists_every_command_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = hub("--help", capsys=capsys)
    assert code == 0
    for section, commands in COMMANDS.items():
        assert f"{section}:" in out
        for name, text in commands.items():
            assert f"  {name} " in out
            assert text in out


@pytest.mark.parametrize("words", [(), ("channel",)])
def test_no_command_shows_what_there_is(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = hub(*words, capsys=capsys)
    assert (code, out) == (2, "")
    assert err.startswith(" ".join(("Usage: hub", *words)))
    assert err.count("Usage:") == 1
    assert "error:" not in err


def test_help_loads_no_command_and_no_database_driver() -> None:
    shown = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", [name for section in COMMANDS.values() for name in section])
def test_every_command_of_the_table_exists_and_has_help(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = hub(name, "--help", capsys=capsys)
    assert code == 0
    assert f"Usage: hub {name}" in out


def test_a_wrong_word_is_exit_2_and_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = hub("migrat", capsys=capsys)
    assert code == 2
    assert "error: there is no command 'migrat'; did you mean migrate?" in err


def test_a_wrong_option_is_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = hub("config", "--nonsense", capsys=capsys)
    assert code == 2
    assert "error: " in err
    assert "--nonsense" in err


def test_a_refused_setting_is_one_sentence_and_exit_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "http")
    code, out, err = hub("config", capsys=capsys)
    assert (code, out) == (1, "")
    assert err == "error: PORT: port must be a whole number from 1 to 65535\n"


def test_a_database_that_does_not_answer_is_a_sentence_without_the_password(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://hub:s3cret@127.0.0.1:1/hub")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    code, _, err = hub("migrate", capsys=capsys)
    assert code == 1
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    assert "s3cret" not in err


def test_inspecting_a_folder_without_messages_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, out, err = hub("inspect", "shopify", str(tmp_path), capsys=capsys)
    assert (code, out) == (0, "")
    assert err == "There is no recorded message in what was named.\n"


def test_a_command_in_the_wrong_place_makes_no_hub_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HUB_DATA", str(tmp_path / "nowhere"))
    code, _, err = hub("backup", "file", capsys=capsys)
    assert code == 1
    assert f"there is no hub on {tmp_path / 'nowhere'}: start one (hub up)" in err
    assert list(tmp_path.iterdir()) == []


def test_config_shows_every_setting_and_its_source(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "9001")
    code, out, _ = hub("config", "--json", capsys=capsys)
    rows = {row["setting"]: row for row in map(json.loads, out.splitlines())}
    assert code == 0
    assert rows["port"] == {"setting": "port", "value": "9001", "source": "PORT"}
    assert rows["workers"]["source"] == "default"


def test_a_backup_that_is_not_there_is_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, database: str, redis_url: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("REDIS_URL", redis_url)
    code, _, err = hub("restore", "nowhere", capsys=capsys)
    assert (code, err) == (1, "error: there is no file nowhere\n")


def test_a_reader_that_leaves_early_sees_no_traceback() -> None:
    pipeline = f"{sys.executable} -m hub config --json | head -1"
    shown = subprocess.run(["sh", "-c", pipeline], capture_output=True, text=True, check=True)
    assert "Traceback" not in shown.stderr
