"""Days, weeks, months and years are the programme's own, and every stretch is half-open (rules.md A9)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.program.windows import PERIODS, Period, Window, period, within

SAIGON = "Asia/Ho_Chi_Minh"
AT = datetime(2026, 11, 4, 17, 30, tzinfo=UTC)  # half past midnight of Thursday, the 5th, there
MOMENT = timedelta(microseconds=1)


def day(year: int, month: int, number: int) -> datetime:
    return datetime(year, month, number, tzinfo=ZoneInfo(SAIGON))


@pytest.mark.parametrize(
    ("of", "starts", "ends"),
    [
        ("day", day(2026, 11, 5), day(2026, 11, 6)),
        ("week", day(2026, 11, 2), day(2026, 11, 9)),
        ("month", day(2026, 11, 1), day(2026, 12, 1)),
        ("year", day(2026, 1, 1), day(2027, 1, 1)),
        ("ever", None, None),
    ],
)
def test_a_period_is_the_one_of_the_programmes_zone(
    of: Period, starts: datetime | None, ends: datetime | None
) -> None:
    assert period(of, AT, SAIGON) == Window(starts, ends)


def test_february_and_the_turn_of_the_year_have_their_lengths() -> None:
    assert period("month", datetime(2028, 2, 29, tzinfo=UTC), "UTC").ends == datetime(
        2028, 3, 1, tzinfo=UTC
    )
    assert period("month", datetime(2026, 12, 31, tzinfo=UTC), "UTC").ends == datetime(
        2027, 1, 1, tzinfo=UTC
    )
    turn = period("week", datetime(2027, 1, 1, tzinfo=UTC), "UTC")
    assert turn == Window(datetime(2026, 12, 28, tzinfo=UTC), datetime(2027, 1, 4, tzinfo=UTC))


@given(
    st.sampled_from(PERIODS),
    st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    st.sampled_from([SAIGON, "UTC", "America/New_York"]),
)
def test_a_moment_lies_in_its_period_and_the_end_in_the_next(
    of: Period, at: datetime, zone: str
) -> None:
    window = period(of, at, zone)
    assert window.holds(at)
    if window.ends is not None:
        assert not window.holds(window.ends)
        assert period(of, window.ends, zone).starts == window.ends
        assert window.starts is not None
        assert window.holds(window.starts)
        assert not window.holds(window.starts - MOMENT)


def test_without_windows_every_moment_is_right_and_with_some_one_has_to_hold() -> None:
    first, second = Window(None, AT), Window(AT + timedelta(days=1), None)
    assert within((), AT)
    assert within((first, second), AT - MOMENT)
    assert not within((first, second), AT)
    assert within((first, second), AT + timedelta(days=1))
