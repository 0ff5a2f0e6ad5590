"""The command line in Vietnamese: help, click's own words, errors, and what commands tell."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

import pytest

from hub.cli import COMMANDS, main
from hub.show import show

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; its exit code, and all it said."""

    def run(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        shown = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, shown.out + shown.err

    return run


ENGLISH = re.compile(r"\b(the|and|with|usage|default|required|error|until)\b", re.IGNORECASE)


@pytest.mark.parametrize("name", ["", *(name for section in COMMANDS.values() for name in section)])
def test_help_is_vietnamese_from_top_to_bottom(run: Run, name: str) -> None:
    code, said = run("--lang", "vi", *filter(None, [name]), "--help")
    assert code == 0
    assert said.startswith("Cách dùng: hub")
    assert ENGLISH.findall(said) == []


def test_the_terminals_language_is_spoken(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LANGUAGE")
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.delenv("LC_MESSAGES", raising=False)
    monkeypatch.setenv("LANG", "vi_VN.UTF-8")
    assert run("migrat")[1].splitlines() == [
        "Cách dùng: hub [OPTIONS] COMMAND [ARGS]...",
        "lỗi: không có lệnh 'migrat'; có phải ý bạn là migrate?",
    ]


def test_the_option_counts_more_than_the_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "vi")
    assert run("--lang=en", "migrat")[1].endswith("did you mean migrate?\n")
    assert os.environ["LANGUAGE"] == "en"  # processes that this one starts speak it too


def test_the_next_command_may_speak_another_language(run: Run) -> None:
    assert run("--lang", "vi", "up", "--help")[1].startswith("Cách dùng:")
    assert run("--lang", "en", "up", "--help")[1].startswith("Usage:")


def test_clicks_refusals_are_vietnamese(run: Run) -> None:
    code, said = run("--lang", "vi", "deliveries", "--state", "odd")
    assert code == 2
    assert "Giá trị không hợp lệ cho '--state'" in said


def test_a_language_we_do_not_speak_is_refused(run: Run) -> None:
    code, said = run("--lang", "tlh", "config")
    assert code == 2
    assert "'tlh' is not one of 'en', 'vi'" in said


def test_a_refused_setting_is_vietnamese(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "http")
    assert run("--lang", "vi", "config") == (
        1,
        "lỗi: PORT: port phải là số nguyên từ 1 đến 65535\n",
    )


def test_columns_and_yes_are_vietnamese_and_json_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    from hub.i18n import speaking

    rows = [{"received_at": None, "channel": "x", "repeated": True}]
    with speaking("vi"):
        show(rows, as_json=False)
        table = capsys.readouterr().out
        show(rows, as_json=True)
    assert all(word in table for word in ("nhận lúc", "kênh bán", "có"))
    assert capsys.readouterr().out == '{"received_at": null, "channel": "x", "repeated": true}\n'
