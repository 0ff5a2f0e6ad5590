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
