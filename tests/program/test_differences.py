"""What a draft changes is told setting by setting, defaults filled in."""

from __future__ import annotations

from typing import Any

import pytest

from hub.program.differences import Difference, differences
from hub.program.document import DocumentRefused

BEFORE: dict[str, Any] = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "rewards": [
        {"id": "tea", "name": "Tea", "cost": 10, "perk": "A tea"},
        {"id": "cake", "name": "Cake", "cost": 30, "perk": "A cake"},
    ],
}


def test_the_same_document_in_other_words_is_no_difference() -> None:
    other = {
        "earn": [{"points": "1", "per": {"VND": "10000"}, "tax": "out"}],
        "points": {"rounding": "half_up"},
        "rewards": list(reversed(BEFORE["rewards"])),
    }
    assert differences(BEFORE, BEFORE) == []
    assert differences(BEFORE, other) == []


def test_each_setting_that_differs_is_named_by_its_path() -> None:
    after = {
        "earn": [{"points": 2, "per": {"VND": "10000"}}, {"type": "per_order", "points": 5}],
        "points": {"rounding": "down"},
        "rewards": [{"id": "tea", "name": "Tea", "cost": 12, "perk": "A tea"}],
    }
    found = {d.setting: (d.before, d.after) for d in differences(BEFORE, after)}
    assert found["earn[0].points"] == ("1", "2")
    assert found["points.rounding"] == ("half_up", "down")
    assert found["rewards.tea.cost"] == ("10", "12")
    assert found["rewards.cake.cost"] == ("30", None)
    assert found["earn[1].type"] == (None, "per_order")


def test_settings_stand_in_the_order_of_their_numbers() -> None:
    many = {"earn": [{"points": n, "per": {"VND": "10000"}} for n in range(1, 13)]}
    more = {"earn": [{"points": n, "per": {"VND": "9000"}} for n in range(1, 13)]}
    assert differences(many, more) == [
        Difference(f"earn[{n}].per.VND", "10000", "9000") for n in range(12)
    ]


def test_a_draft_that_is_no_programme_is_refused() -> None:
    with pytest.raises(DocumentRefused):
        differences(BEFORE, {"earn": {"points": "many"}})
