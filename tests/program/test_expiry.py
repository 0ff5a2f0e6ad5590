"""When points begin and end: local days, months that clamp, ends of periods, fixed days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hub.program import document as documents
from hub.program.expiry import NOT_YET, availability, expires_at
from hub.program.rules import Expiry, Rules

ZONE = "Asia/Ho_Chi_Minh"
EVENING = datetime(2026, 11, 2, 12, tzinfo=UTC)
"""19:00 on 2 November in Vietnam."""


def rules(**points: Any) -> Rules:
    document = {"earn": {"per": {"VND": "10000"}}, "points": points}
    return documents.rules(document, number=1, effective_from=EVENING, time_zone=ZONE)


def day(text: str) -> datetime:
    """The start of a day in Vietnam."""
    return datetime.fromisoformat(f"{text}T00:00:00+07:00")


def test_points_are_there_at_once_and_for_ever_unless_the_programme_says_otherwise() -> None:
    assert availability(rules(), EVENING) == (EVENING, None)


def test_points_expire_at_the_end_of_a_day_in_the_programmes_zone() -> None:
    """Sold on 2 November at 19:00: valid for two days is all of the 4th there."""
    assert availability(rules(expire_after_days=2), EVENING)[1] == day("2026-11-05")


def test_the_last_day_may_be_the_one_on_which_they_are_gone() -> None:
    excluded = rules(expire_after_days=2, expire_last_day="excluded")
    assert availability(excluded, EVENING)[1] == day("2026-11-04")


def test_waiting_points_begin_at_the_start_of_a_day_and_their_life_counts_from_there() -> None:
    found = availability(rules(available_after_days=14, expire_after_days=1), EVENING)
    assert found == (day("2026-11-16"), day("2026-11-18"))


@pytest.mark.parametrize(
    ("expiry", "start", "gone"),
    [
        (Expiry(months=12), "2026-11-02", "2027-11-03"),
        (Expiry(months=1), "2027-01-31", "2027-03-01"),
        (Expiry(months=1), "2028-01-31", "2028-03-01"),
        (Expiry(months=12), "2028-02-29", "2029-03-01"),
        (Expiry(until_end_of="month"), "2026-11-02", "2026-12-01"),
        (Expiry(until_end_of="quarter"), "2026-11-02", "2027-01-01"),
        (Expiry(until_end_of="quarter"), "2026-03-31", "2026-04-01"),
        (Expiry(until_end_of="year"), "2026-01-01", "2027-01-01"),
        (Expiry(months=3, until_end_of="month"), "2026-11-30", "2027-03-01"),
        (Expiry(days=30, until_end_of="year"), "2026-12-15", "2028-01-01"),
        (Expiry(on_day=(10, 31)), "2026-10-31", "2026-11-01"),
        (Expiry(on_day=(10, 31)), "2026-11-01", "2027-11-01"),
        (Expiry(on_day=(2, 29)), "2026-03-01", "2027-03-01"),
        (Expiry(on_day=(4, 4), last_day="excluded"), "2026-11-01", "2027-04-04"),
    ],
)
def test_months_clamp_periods_end_and_fixed_days_come_round(
    expiry: Expiry, start: str, gone: str
) -> None:
    assert expires_at(expiry, day(start), ZONE) == day(gone)


# --- hand-over, and the time of day ---------------------------------------------------------------


def test_points_wait_for_the_hand_over_and_then_for_the_return_window() -> None:
    waiting = rules(available_from="fulfilled", expire_after_days=10)
    assert availability(waiting, EVENING) == (NOT_YET, None)
    later = EVENING + timedelta(days=3)
    assert availability(waiting, EVENING, later) == (later, day("2026-11-16"))
    assert availability(waiting, EVENING, EVENING - timedelta(days=3))[0] == EVENING
    window = rules(available_from="fulfilled", available_after_days=14)
    assert availability(window, EVENING, later) == (day("2026-11-19"), None)
    assert availability(rules(), EVENING, later) == (EVENING, None)


def test_the_same_time_of_day_belongs_to_the_points_and_the_moment_after_it_does_not() -> None:
    gone = expires_at(Expiry(days=2, last_day="same_time"), EVENING, ZONE)
    assert gone == EVENING + timedelta(days=2, microseconds=1)
    assert gone is not None
    assert gone.tzinfo is UTC
    for whole in (
        Expiry(days=2, until_end_of="month", last_day="same_time"),
        Expiry(on_day=(11, 30), last_day="same_time"),
    ):
        assert expires_at(whole, EVENING, ZONE) == day("2026-11-30")


def test_moments_are_told_in_the_zone_they_were_asked_in() -> None:
    gone = expires_at(Expiry(days=2), EVENING, ZONE)
    assert gone is not None
    assert gone.tzinfo is UTC
    begins, _ = availability(rules(available_after_days=1), EVENING)
    assert begins.tzinfo is UTC
