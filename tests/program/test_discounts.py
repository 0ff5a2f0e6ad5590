"""Goods at a discount without points: the right lines, the last unit spread, the Vietnamese example."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.program import document as documents
from hub.program.discounts import spread, taken_off
from hub.program.document import DocumentRefused
from hub.program.earn import evaluate
from hub.program.rules import Basket, BasketLine, Rules
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


def test_the_last_cent_goes_to_the_line_that_lost_most() -> None:
    of = rules(earn=CLOTHES["earn"], discounts=[{"id": "all", "percent": "10"}])
    found = taken_off(of, basket(("A", 333), ("B", 333), ("C", 334), currency="USD"))
    assert [o.amount for o in found] == [33, 33, 34]


@given(
    st.integers(0, 10**6),
    st.lists(st.fractions(min_value=0, max_value=10**6, max_denominator=100), min_size=1, max_size=9),
)
def test_parts_sum_to_the_whole_and_none_is_a_unit_off_its_share(
    whole: int, weights: list[Fraction]
) -> None:
    parts, total = spread(whole, weights), sum(weights, Fraction(0))
    assert sum(parts) == (whole if total else 0)
    assert all(
        abs(part - whole * w / total) < 1 for part, w in zip(parts, weights, strict=True) if total
    )


@pytest.mark.parametrize("word", [{"tiers": ["gold"]}, {"orders": [1]}, {"budget": 5}])
def test_a_discount_without_points_asks_nothing_of_the_buyer(word: dict[str, Any]) -> None:
    with pytest.raises(DocumentRefused, match="a discount without points is for everybody"):
        documents.check({**CLOTHES, "discounts": [{"id": "x", "percent": "5", **word}]})
