"""What a buyer is short of: nothing is promised that could not be had there and then."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from hub.program import document as documents
from hub.program.nudges import nudges
from hub.program.rules import Basket
from hub.program.worth import worth_of
from tests.program.test_earn import NOON, basket, rules

TEA: dict[str, Any] = {"id": "tea", "name": "Tea", "cost": 20, "perk": "A tea"}
CAKE: dict[str, Any] = {"id": "cake", "name": "Cake", "cost": 100, "perk": "A cake"}
REWARDS = [CAKE, TEA, {**TEA, "id": "tea-2"}]


def cart(bill: int, **change: Any) -> Basket:
    return basket(bill, placed_at=NOON, channels=frozenset({"till"}), **change)


def short(available: int = 999, sold: Basket | None = None, **document: Any) -> list[dict[str, Any]]:
    return [dict(one) for one in nudges(rules(**document), available=available, at=NOON, basket=sold)]


@pytest.mark.parametrize(
    ("available", "reward", "missing"),
    [(0, "tea", 20), (19, "tea", 1), (20, "cake", 80), (-5, "tea", 25)],
)
def test_the_nearest_reward_that_costs_more(available: int, reward: str, missing: int) -> None:
    name = {"tea": "Tea", "cake": "Cake"}[reward]
    assert short(available, rewards=REWARDS) == [
        {"code": "reward_short", "points": missing, "reward": reward, "name": name}
    ]
    assert short(100, rewards=REWARDS) == []


@pytest.mark.parametrize(
    "change",
    [
        {"until": "2026-11-01"}, {"from": "2026-11-03"}, {"valid_until": "2026-11-01"}, {"segments": ["s"]},
        {"cost": 0, "per_member": 1},
    ],
)  # fmt: skip
def test_a_reward_that_cannot_be_had_is_not_promised(change: dict[str, Any]) -> None:
    found = short(0, rewards=[{**TEA, **change}], segments=[{"id": "s", "name": "S", "tags": ["s"]}])
    assert found == []


TWICE: dict[str, Any] = {"id": "twice", "factor": "2", "minimum": {"VND": "50000"}}


def test_the_nearest_bill_that_would_earn_more_with_tax_and_shipping() -> None:
    several = [{**TWICE, "id": "far", "minimum": {"VND": "90000"}}, TWICE]
    assert short(sold=cart(40_000), multipliers=several) == [
        {"code": "bill_short", "amount": 6000, "currency": "VND"}
    ]
    assert short(sold=cart(40_000, shipping_left=6000), multipliers=several)[0]["amount"] == 40_000
    assert short(sold=cart(40_000, currency="USD"), multipliers=several) == []
    assert short(multipliers=several) == []
    small = short(sold=cart(10_000), earn={"minimum": {"VND": "20000"}}, multipliers=several)
    assert small[0]["amount"] == 9000


@pytest.mark.parametrize(
    "when",
    [
        {"windows": [{"until": (NOON - timedelta(days=2)).date()}]}, {"weekdays": ["tue"]}, {"channels": ["shopify"]},
        {"locations": ["A"]}, {"birthday": "day"}, {"orders": [1]},
    ],
)  # fmt: skip
def test_a_bill_that_would_earn_no_more_here_and_now_is_not_promised(when: dict[str, Any]) -> None:
    assert short(sold=cart(40_000), multipliers=[{**TWICE, **when}]) == []


# --- what points are worth -----------------------------------------------------------------------


def worth(points: int, currency: str = "VND", **document: Any) -> int | None:
    of = documents.rules({"earn": {"per": {"VND": "10000"}}, **document}, number=1, effective_from=NOON,
                         time_zone="UTC")  # fmt: skip
    return worth_of(of, points, currency)


def test_points_are_worth_what_paying_with_them_takes_off_and_else_the_best_reward() -> None:
    rewards = [
        {"id": "a", "name": "A", "cost": 3, "amount": {"VND": "1000"}},
        {"id": "b", "name": "B", "cost": 10, "amount": {"VND": "4000"}},
        {"id": "c", "name": "C", "cost": 0, "amount": {"VND": "9000"}, "per_member": 1},
    ]
    assert worth(7, rewards=rewards) == 2800
    assert worth(7, rewards=rewards, paying={"points": 3, "worth": {"VND": "1000"}}) == 2333
    assert worth(7, "USD", rewards=rewards) is None
    assert worth(7, "USD", paying={"worth": {"VND": "1000"}, "rates": {"USD": "0.00004"}}) == 28
