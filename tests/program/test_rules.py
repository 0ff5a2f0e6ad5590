"""What a sale is worth: exact shares, one rounding, every step accounted for."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.program.rules import (
    Basket,
    BasketLine,
    EarnRule,
    Rules,
    Standing,
    availability,
    evaluate,
    in_force,
    needs,
)

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


def rules(number: int = 1, effective_from: datetime = NOON, **change: Any) -> Rules:
    earn = EarnRule(
        points=change.pop("points", 1), per=change.pop("per", {"VND": 10_000}), **change.pop("earn", {})
    )
    return Rules(number, effective_from, "Asia/Ho_Chi_Minh", earn, **change)


def basket(*amounts: int, standing: Standing = "paid", currency: str = "VND", **change: Any) -> Basket:
    lines = tuple(BasketLine("goods", amount, amount // 10) for amount in amounts)
    return Basket(standing, currency, change.pop("lines", lines), **change)


@pytest.mark.parametrize(("mode", "points"), [("half_up", 6), ("down", 5), ("up", 6)])
def test_55000_at_10000_a_point_is_rounded_as_the_programme_says(mode: Any, points: int) -> None:
    assert evaluate(rules(earn={"rounding": mode}), basket(55_000)).points == points


def test_the_bill_is_rounded_once_and_not_line_by_line() -> None:
    assert evaluate(rules(), basket(4_000, 4_000, 4_000)).points == 1


@pytest.mark.parametrize(
    ("change", "points"),
    [
        ({}, 10),
        ({"tax": "in"}, 11),
        ({"shipping": "in"}, 13),
        ({"tax": "in", "shipping": "in"}, 14),
    ],
)
def test_tax_and_shipping_count_where_the_rule_says_so(change: dict[str, Any], points: int) -> None:
    whole = basket(100_000, shipping_left=30_000, shipping_tax_left=3_000)
    assert evaluate(rules(earn=change), whole).points == points


def test_gift_cards_tips_and_fees_are_left_out_and_said_so() -> None:
    lines = (
        BasketLine("goods", 50_000, 0),
        BasketLine("gift_card", 90_000, 0),
        BasketLine("tip", 5_000, 0),
    )
    judged = evaluate(rules(), basket(lines=lines))
    assert judged.points == 5
    assert [s["what"] for s in judged.steps if s["code"] == "excluded"] == ["gift_card", "tip"]


def test_categories_and_skus_can_be_left_out_and_categories_are_then_needed() -> None:
    rule = rules(earn={"exclude_categories": frozenset({"Sale"}), "exclude_skus": frozenset({"X"})})
    lines = (
        BasketLine("goods", 50_000, 0, sku="A", categories=("Tea",)),
        BasketLine("goods", 50_000, 0, sku="B", categories=("Sale", "Tea")),
        BasketLine("goods", 50_000, 0, sku="X", categories=()),
    )
    assert evaluate(rule, basket(lines=lines)).points == 5
    assert (needs(rule), needs(rules())) == (frozenset({"categories"}), frozenset())


@pytest.mark.parametrize(
    ("standing", "why"),
    [
        ("unpaid", "sale_unpaid"),
        ("cancelled", "sale_cancelled"),
        ("refunded", "sale_refunded"),
        ("test", "sale_test"),
    ],
)
def test_no_points_have_a_reason(standing: Standing, why: str) -> None:
    assert (evaluate(rules(), basket(90_000, standing=standing)).why) == why


def test_a_currency_without_a_rate_earns_nothing() -> None:
    assert evaluate(rules(), basket(900, currency="USD")).why == "currency_earns_nothing"


def test_a_sale_is_judged_by_the_version_in_force_when_it_was_placed() -> None:
    old, new = rules(1, datetime(2026, 1, 1, tzinfo=UTC)), rules(2, NOON)
    assert in_force([old, new], NOON) == new
    assert in_force([old, new], datetime(2026, 11, 2, 11, 59, tzinfo=UTC)) == old
    assert in_force([old, new], datetime(2025, 1, 1, tzinfo=UTC)) == old


def test_points_expire_at_the_end_of_a_day_in_the_programmes_zone() -> None:
    """Sold on 2 November at 19:00 in Vietnam: valid for two days is all of the 4th there."""
    available, expires = availability(rules(expires_after_days=2), NOON)
    assert available == NOON
    assert expires == datetime(2026, 11, 4, 17, tzinfo=UTC)


def test_waiting_points_become_available_at_the_start_of_a_day() -> None:
    available, expires = availability(rules(available_after_days=14), NOON)
    assert (available, expires) == (datetime(2026, 11, 15, 17, tzinfo=UTC), None)


@given(
    st.lists(st.integers(-(10**9), 10**12), max_size=5),
    st.integers(1, 1000),
    st.integers(1, 10**7),
    st.sampled_from(["half_up", "down", "up"]),
)
def test_the_steps_sum_to_the_points(amounts: list[int], points: int, per: int, mode: Any) -> None:
    judged = evaluate(rules(points=points, per={"VND": per}, earn={"rounding": mode}), basket(*amounts))
    assert sum(Fraction(step["points"]) for step in judged.steps) == judged.points
    assert judged.points >= 0
