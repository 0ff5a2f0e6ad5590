from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hub.show import show, show_one

ROWS: list[dict[str, Any]] = [
    {"member": "mem_1", "points": 12, "since": datetime(2026, 1, 2, tzinfo=UTC), "note": "[bold]x"},
    {"member": "mem_2", "points": None, "since": None, "note": True},
]


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    show(ROWS, as_json=True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == {
        "member": "mem_1",
        "points": 12,
        "since": "2026-01-02T00:00:00+00:00",
        "note": "[bold]x",
    }
    assert [line["member"] for line in lines] == ["mem_1", "mem_2"]


def test_people_get_the_same_rows_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    show(ROWS, as_json=False)
    shown = capsys.readouterr().out
    for word in ("member", "mem_1", "12", "2026-01-02 00:00:00", "[bold]x", "yes"):
        assert word in shown


def test_no_rows_is_a_sentence_for_people_and_nothing_for_machines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show([], as_json=False, empty="No members yet.")
    assert capsys.readouterr().out == "No members yet.\n"
    show([], as_json=True)
    assert capsys.readouterr().out == ""


def test_one_thing_is_shown_field_by_field(capsys: pytest.CaptureFixture[str]) -> None:
    show_one({"file": Path("b"), "rate": Decimal("1.50")}, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"file": "b", "rate": "1.50"}
    show_one({"file": Path("b"), "rate": Decimal("1.50")}, as_json=False)
    assert "1.50" in capsys.readouterr().out


WHY = "A field of the message is missing or not as it must be."
TOLD = [{"id": f"dlv_{n}", "channel": "Lotus tea, Hue", "state": "failed", "why": WHY} for n in (1, 2)]


def in_a_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)


def test_what_is_no_terminal_gets_a_row_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    show([{**TOLD[0], "detail": "x" * 200}], as_json=False)
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "dlv_1" in line)
    assert WHY in line
    assert "x" * 200 in line
    show([{**TOLD[0], "body": "x" * 4000}], as_json=False)
    shown = capsys.readouterr().out
    assert "x" * 4000 in shown
    assert "\u2500" not in shown  # no rule as long as that


def test_a_narrow_terminal_folds_only_the_longest_column(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    in_a_terminal(70, monkeypatch)
    show(TOLD, as_json=False)
    _bold, rule, *lines = capsys.readouterr().out.splitlines()
    assert max(map(len, [rule, *lines])) <= 70
    assert sum("dlv_1   Lotus tea, Hue   failed" in line for line in lines) == 1


def test_where_no_table_fits_each_row_is_told_field_by_field(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    in_a_terminal(50, monkeypatch)
    show([TOLD[0], {**TOLD[1], "why": None}], as_json=False)
    shown = capsys.readouterr().out
    assert shown.count("Lotus tea, Hue") == 2
    assert shown.count("why") == 1
