"""Cashback as a pure function: shares of money, rounded once, in the words of money."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.program import document as documents
from hub.program.cashback import cashback, times
from hub.program.document import DocumentRefused
from hub.program.rules import Basket, BasketLine, Buyer, Rules

SILVER = {"currency": "VND", "levels": [{"id": "silver", "name": "Silver"}]}


def rules(*back: dict[str, Any], **credit: Any) -> Rules:
    document = {
        "earn": {"per": {"VND": "1000"}},
        "tiers": SILVER,
        "credit": {"cashback": list(back), **credit},
    }
    began = datetime(2026, 1, 1, tzinfo=UTC)
    return documents.rules(document, number=1, effective_from=began, time_zone="Asia/Ho_Chi_Minh")


def bought(*nets: int, credit: int = 0, currency: str = "VND") -> Basket:
    lines = tuple(BasketLine("goods", net, 0, sku=f"S{n}", sold=net) for n, net in enumerate(nets))
    return Basket("paid", currency, lines, paid_with_credit=credit)


@pytest.mark.parametrize(
    ("basket", "comes"),
    [
        (bought(200_000), 10_000),
        (bought(160_000, credit=10_000), 7_500),
        (bought(160_000, credit=160_000), 0),
        (bought(110), 6),
        (bought(1_999, currency="USD"), 100),
    ],
)
def test_a_share_of_what_is_paid_in_money_comes_back(basket: Basket, comes: int) -> None:
    found = cashback(rules({"percent": "5"}), basket)
    assert found.points == comes
    assert sum(Fraction(str(step["points"])) for step in found.steps) == comes


def test_each_tier_has_its_share_and_a_bill_has_a_most() -> None:
    two = rules(
        {"percent": "2", "last": True, "tiers": ["silver"]},
        {"percent": "1"},
        most_per_order={"VND": "1500"},
    )
    assert cashback(two, bought(100_000)).points == 1_000
    assert cashback(two, bought(100_000), Buyer(tier="silver")).points == 1_500


def test_some_currencies_and_some_goods_alone() -> None:
    only = rules({"percent": "10", "skus": ["S1"], "currencies": ["VND"]})
    assert cashback(only, bought(50_000, 30_000)).points == 3_000
    assert cashback(only, bought(50_000, 30_000, currency="USD")).points == 0


def test_what_is_paid_out_when_the_month_is_over_is_there_with_the_next() -> None:
    at = datetime(2026, 12, 31, 17, 30, tzinfo=UTC)  # the first of January in Hồ Chí Minh City
    found = times(rules({"percent": "1"}, paid_out="quarter", expire_after_months=1), at)
    assert found == (
        datetime(2027, 3, 31, 17, tzinfo=UTC),
        datetime(2027, 5, 1, 17, tzinfo=UTC),
    )


@pytest.mark.parametrize("name", ["orders", "every_nth", "budget"])
def test_what_asks_for_other_sales_is_refused(name: str) -> None:
    with pytest.raises(DocumentRefused, match=rf"credit\.cashback\[0\]\.{name}"):
        rules({"percent": "5", "id": "x", name: [1] if name == "orders" else 2})


def test_a_tier_that_is_not_there_is_named() -> None:
    with pytest.raises(DocumentRefused, match="gold"):
        rules({"percent": "5", "tiers": ["gold"]})


@given(net=st.integers(1, 10**9), left=st.integers(0, 10**9), credit=st.integers(0, 10**9))
def test_never_more_comes_back_than_a_share_of_what_is_left(net: int, left: int, credit: int) -> None:
    line = BasketLine("goods", min(left, net), 0, sold=net)
    found = cashback(rules({"percent": "10"}), Basket("paid", "VND", (line,), paid_with_credit=credit))
    assert 0 <= found.points <= (min(left, net) + 9) // 10 + 1
