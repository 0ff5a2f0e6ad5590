"""The day, week and month of a birthday, in the programme's zone."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from hub.program.birthdays import in_year, occasions

VIETNAM = "Asia/Ho_Chi_Minh"


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (datetime(2026, 11, 14, 16, 59, tzinfo=UTC), {"week", "month"}),
        (datetime(2026, 11, 14, 17, 0, tzinfo=UTC), {"day", "week", "month"}),
        (datetime(2026, 11, 15, 17, 0, tzinfo=UTC), {"month"}),  # a Monday
        (datetime(2026, 10, 31, 16, 59, tzinfo=UTC), set()),
        (datetime(2026, 10, 31, 17, 0, tzinfo=UTC), {"month"}),
    ],
)
def test_a_birthday_on_the_15th_of_november(at: datetime, expected: set[str]) -> None:
    assert occasions(date(1990, 11, 15), at, VIETNAM) == expected


def test_a_week_reaches_over_the_turn_of_the_year() -> None:
    """31 December 2026 is a Thursday; the week ends on 3 January."""
    assert occasions(date(1990, 1, 2), datetime(2026, 12, 31, tzinfo=UTC), "UTC") == {"week"}


def test_the_29th_of_february_falls_on_the_28th_of_other_years() -> None:
    leap = date(2000, 2, 29)
    assert (in_year(leap, 2026), in_year(leap, 2028)) == (date(2026, 2, 28), date(2028, 2, 29))
    assert "day" in occasions(leap, datetime(2026, 2, 28, tzinfo=UTC), "UTC")
    assert "day" not in occasions(leap, datetime(2028, 2, 28, tzinfo=UTC), "UTC")


def test_nobody_knows_of_a_birthday_that_was_not_told() -> None:
    assert occasions(None, datetime(2026, 2, 28, tzinfo=UTC), "UTC") == frozenset()


def test_a_week_may_reach_over_the_turn_of_the_year_at_either_end() -> None:
    new_year, sylvester = date(1990, 1, 1), date(1990, 12, 31)
    monday = datetime(2026, 12, 28, 12, tzinfo=UTC)  # the week ends on 3 January 2027
    assert "week" in occasions(new_year, monday, "UTC")
    assert "week" in occasions(sylvester, datetime(2027, 1, 3, 12, tzinfo=UTC), "UTC")
    assert "week" not in occasions(new_year, datetime(2027, 1, 4, 12, tzinfo=UTC), "UTC")
    assert "week" not in occasions(date(1990, 1, 4), monday, "UTC")
