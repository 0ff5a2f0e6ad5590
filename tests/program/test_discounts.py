"""Goods at a discount without points: the right lines, the last unit spread, the Vietnamese example."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.program import document as documents
from hub.program.discounts import taken_off
from hub.program.document import DocumentRefused
from hub.program.earn import evaluate
from hub.program.rules import Basket, BasketLine, Buyer, Rules
from tests.program.test_earn import NOON

CLOTHES: dict[str, Any] = {
    "earn": {"type": "per_order", "points": 2, "categories": ["Áo"]},
    "discounts": [{"id": "shoes", "percent": "5", "categories": ["Giày"]}],
}


def rules(**document: Any) -> Rules:
    return documents.rules(document, number=1, effective_from=NOON, time_zone="UTC")


def basket(*lines: tuple[str, int], currency: str = "VND") -> Basket:
    found = tuple(BasketLine("goods", amount, 0, sold=amount, categories=(c,)) for c, amount in lines)
    return Basket("paid", currency, found, placed_at=NOON)


@pytest.mark.parametrize(
    ("category", "points", "off"), [("Áo", 2, 0), ("Giày", 0, 20_000), ("Quần", 0, 0)]
)
def test_shirts_bring_points_shoes_cost_less_and_trousers_neither(
    category: str, points: int, off: int
) -> None:
    of, bill = rules(**CLOTHES), basket((category, 400_000))
    assert evaluate(of, bill).points == points
    assert sum(one.amount for one in taken_off(of, bill)) == off


def test_a_line_gets_the_discount_that_takes_most_off() -> None:
    several = [
        {"id": "all", "percent": "5"},
        {"id": "shoes", "percent": "10", "categories": ["Giày"], "minimum": {"VND": "100000"}},
    ]
    of = rules(earn=CLOTHES["earn"], discounts=several)
    found = taken_off(of, basket(("Áo", 100_000), ("Giày", 100_000)))
    assert [(o.line, o.amount, o.discount) for o in found] == [(0, 5000, "all"), (1, 10_000, "shoes")]
    small = taken_off(of, basket(("Giày", 99_999)))
    assert [(o.amount, o.discount) for o in small] == [(5000, "all")]


def test_the_odd_cents_go_to_the_first_lines_as_those_of_a_code_do() -> None:
    of = rules(earn=CLOTHES["earn"], discounts=[{"id": "all", "percent": "10"}])
    found = taken_off(of, basket(("A", 333), ("B", 333), ("C", 333), currency="USD"))
    assert [o.amount for o in found] == [34, 33, 33]


def test_the_price_that_is_left_is_rounded_as_that_of_a_code_is() -> None:
    of = rules(earn=CLOTHES["earn"], discounts=[{"id": "all", "percent": "15"}])
    (found,) = taken_off(of, basket(("A", 1050), currency="USD"))
    assert found.amount == 157  # 10.50 leaves 8.93


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=9), st.integers(1, 100))
def test_parts_sum_to_the_whole_and_none_is_a_unit_off_its_share(
    prices: list[int], percent: int
) -> None:
    of = rules(earn=CLOTHES["earn"], discounts=[{"id": "all", "percent": str(percent)}])
    found = taken_off(of, basket(*(("A", price) for price in prices), currency="USD"))
    off = {o.line: o.amount for o in found}
    left = sum(prices) - sum(off.values())
    assert abs(left - Fraction(sum(prices) * (100 - percent), 100)) <= Fraction(1, 2)
    near = Fraction(3, 2)  # the whole is rounded, and so is each part
    assert all(abs(off.get(n, 0) - Fraction(p * percent, 100)) < near for n, p in enumerate(prices))
    assert all(0 <= off.get(n, 0) <= price for n, price in enumerate(prices))


FOR_SOME: list[tuple[dict[str, Any], Buyer]] = [
    ({"tiers": ["gold"]}, Buyer(tier="gold")),
    ({"segments": ["wholesale"]}, Buyer(segments=frozenset({"wholesale"}))),
    ({"birthday": "month"}, Buyer(birthday=frozenset({"month"}))),
]
GROUPS: dict[str, Any] = {
    "tiers": {"currency": "VND", "levels": [{"id": "gold", "name": "Gold", "from": "1"}]},
    "segments": [{"id": "wholesale", "name": "Wholesale", "tags": ["wholesale"]}],
}


@pytest.mark.parametrize(("word", "buyer"), FOR_SOME)
def test_a_discount_may_be_for_a_tier_a_group_or_a_birthday_and_nobody_is_in_none(
    word: dict[str, Any], buyer: Buyer
) -> None:
    of = rules(**CLOTHES | GROUPS | {"discounts": [{"id": "x", "percent": "10", **word}]})
    assert [o.amount for o in taken_off(of, basket(("A", 8000)), buyer)] == [800]
    assert taken_off(of, basket(("A", 8000))) == []


@pytest.mark.parametrize("word", [{"every_nth": 3}, {"orders": [1]}, {"budget": 5}])
def test_a_discount_counts_no_orders_and_no_points(word: dict[str, Any]) -> None:
    with pytest.raises(DocumentRefused, match="belongs to rules of points, not to a discount"):
        documents.check({**CLOTHES, "discounts": [{"id": "x", "percent": "5", **word}]})


def test_a_discount_for_a_group_that_there_is_not_is_refused() -> None:
    with pytest.raises(DocumentRefused, match="there is no segment 'whole'"):
        documents.check({**CLOTHES, "discounts": [{"id": "x", "percent": "5", "segments": ["whole"]}]})
