"""When a reward can be had, until when its code can be used, and what a redemption keeps of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hub.program.rewards import Reward, ends

AT = datetime(2026, 11, 2, 12, tzinfo=UTC)
DAY, MOMENT = timedelta(days=1), timedelta(microseconds=1)
TEA = Reward("tea", "Tea", 10, {"VND": 15_000})


@pytest.mark.parametrize(
    ("starts", "ends", "valid_until", "why"),
    [
        (None, None, None, None),
        (AT, None, None, None),
        (AT + MOMENT, None, None, "not_valid_yet"),
        (None, AT + MOMENT, None, None),
        (None, AT, None, "no_longer_valid"),
        (None, None, AT + MOMENT, None),
        (None, None, AT, "no_longer_valid"),
        (AT + DAY, AT - DAY, None, "not_valid_yet"),
    ],
)
def test_it_can_be_had_from_its_beginning_until_before_its_end(
    starts: datetime | None, ends: datetime | None, valid_until: datetime | None, why: str | None
) -> None:
    reward = replace(TEA, starts=starts, ends=ends, valid_until=valid_until)
    assert reward.why_not_at(AT) == why


def test_its_code_ends_after_its_days_or_with_all_of_them_whichever_is_first() -> None:
    assert ends(TEA.terms(), AT) is None
    assert ends(replace(TEA, valid_days=3).terms(), AT) == AT + 3 * DAY
    assert ends(replace(TEA, valid_until=AT + DAY).terms(), AT) == AT + DAY
    assert ends(replace(TEA, valid_days=3, valid_until=AT + DAY).terms(), AT) == AT + DAY
    assert ends(replace(TEA, valid_days=3, valid_until=AT + 9 * DAY).terms(), AT) == AT + 3 * DAY


def test_a_redemption_keeps_all_that_decides_what_its_code_is() -> None:
    whole = Reward(
        "cup", "A cup", 10, {"VND": 1}, percent=2, perk="p", free_shipping=True, skus=("CUP",), pieces=3,
        most={"VND": 4}, minimum={"VND": 5}, channels=frozenset({"b", "a"}),
    )  # fmt: skip
    kept = whole.terms()
    assert kept["name"] == "A cup"
    assert (kept["amounts"], kept["percent"], kept["perk"]) == ({"VND": 1}, 2, "p")
    assert (kept["free_shipping"], kept["skus"], kept["pieces"]) == (True, ["CUP"], 3)
    assert (kept["most"], kept["minimum"], kept["channels"]) == ({"VND": 4}, {"VND": 5}, ["a", "b"])
