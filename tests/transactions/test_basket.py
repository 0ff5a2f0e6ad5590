"""A sale as the rules look at it: what was paid with what."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from hub.canonical import Line, LineKind, Payment, Sale, SaleState
from hub.transactions.judge import basket

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


def sold(*payments: Payment) -> Sale:
    line = Line("1", LineKind.GOODS, Decimal(1), 100_000, 0, categories=())
    return Sale("1", "1", SaleState.PAID, "VND", (line,), NOON, version=1, as_of=NOON, payments=payments)


def test_what_was_not_paid_in_money_is_counted_by_its_kind_in_the_sales_own_currency() -> None:
    found = basket(
        sold(
            Payment("money", 50_000, "VND"), Payment("gift_card", 20_000, "VND"), Payment("gift_card", 5000, "VND"),
            Payment("points", 10_000, "VND"), Payment("points", 900, "USD"), Payment("store_credit", 0, "VND"),
        ),
        "paid", {},
    )  # fmt: skip
    assert found.paid_with == {"gift_card": 25_000, "points": 10_000}
    assert (found.paid_with_points, found.paid_with_credit) == (True, 0)
    assert basket(sold(Payment("money", 100_000, "VND")), "paid", {}).paid_with == {}
