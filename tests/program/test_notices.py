"""What a movement of a balance reaches: the highest mark alone, inclusive, and only going up."""

from __future__ import annotations

from typing import Any

import pytest

from hub.program import document as documents
from hub.program.document import DocumentRefused
from hub.program.notices import Notice, reached

MARKS = (Notice("fifty", 50), Notice("hundred", 100), Notice("welcome"))


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (0, 49, None), (0, 50, "fifty"), (49, 50, "fifty"), (50, 51, None), (50, 50, None), (99, 100, "hundred"),
        (0, 100, "hundred"), (0, 99, "fifty"), (100, 0, None), (51, 50, None), (-20, 50, "fifty"),
    ],
)  # fmt: skip
def test_the_highest_mark_that_is_reached_going_up(before: int, after: int, told: str | None) -> None:
    found = reached(MARKS, before, after)
    assert (found.id if found else None) == told


@pytest.mark.parametrize("notice", [{"id": "x"}, {"id": "x", "points": 5, "on": "joined"}])
def test_a_notice_is_of_one_moment(notice: dict[str, Any]) -> None:
    with pytest.raises(DocumentRefused, match=r"notices\[0\].points: say one of points"):
        documents.check({"earn": {"per": {"VND": "10000"}}, "notices": [notice]})
