"""What stays spent of a code's points when its order is refunded: a share, all, or nothing of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.program.returning import Bill, kept
from hub.program.rules import Rules

RULES = Rules(1, datetime(2026, 1, 1, tzinfo=UTC), "UTC", ())


@pytest.mark.parametrize(
    ("policy", "left", "stays"),
    [
        ("full", 1000, 300),
        ("full", 1, 300),
        ("full", 0, 0),
        ("share", 1000, 300),
        ("share", 500, 150),
        ("share", 333, 100),
        ("share", 0, 0),
        ("never", 0, 300),
    ],
)
def test_points_come_back_by_the_programmes_word(policy: str, left: int, stays: int) -> None:
    rules = replace(RULES, points_back=policy)  # type: ignore[arg-type]
    assert kept(rules, 300, Bill(sold=1000, left=left)) == stays


def test_a_bill_that_cost_nothing_is_gone_when_its_channel_says_so() -> None:
    assert kept(RULES, 300, Bill(0, 0)) == 300
    assert kept(RULES, 300, Bill(0, 0, refunded=True)) == 0


@given(
    points=st.integers(1, 10_000),
    sold=st.integers(1, 10_000),
    left=st.integers(-10, 10_000),
    rounding=st.sampled_from(["half_up", "down", "up"]),
)
def test_never_more_comes_back_than_was_spent_and_a_refund_in_full_brings_all(
    points: int, sold: int, left: int, rounding: str
) -> None:
    rules = replace(RULES, points_back="share", rounding=rounding)  # type: ignore[arg-type]
    stays = kept(rules, points, Bill(sold, left))
    assert 0 <= stays <= points
    assert kept(rules, points, Bill(sold, 0)) == 0
    assert kept(rules, points, Bill(sold, sold)) == points
    less = kept(rules, points, Bill(sold, max(0, left - 1)))
    assert less <= stays
