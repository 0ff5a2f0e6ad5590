"""What a referral is worth, by the friend's present orders in their order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hub.program.referral import Order, Referral, reward

REFERRED = datetime(2026, 11, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)
TERMS = Referral(referrer=50, friend=20)


def order(number: int, days: int, bill: int = 100_000, currency: str = "VND") -> Order:
    return Order(number, REFERRED + days * DAY, currency, bill)


def points(terms: Referral | None, *orders: Order) -> tuple[int | None, int, int]:
    """(the order that qualifies, the referrer's points, the friend's)."""
    found = reward(lambda _: terms, REFERRED, orders)
    return (found.order.transaction_id if found.order else None), found.referrer, found.friend


def test_the_friends_first_order_brings_both_their_points() -> None:
    assert points(TERMS, order(1, 0), order(2, 3)) == (1, 50, 20)
    assert points(TERMS) == (None, 0, 0)
    assert points(None, order(1, 1)) == (None, 0, 0)


def test_who_had_bought_before_was_not_brought() -> None:
    assert points(TERMS, order(1, -1), order(2, 3)) == (None, 0, 0)
    assert points(replace(TERMS, order="any"), order(1, -1), order(2, 3)) == (2, 50, 20)


def test_a_bill_has_to_be_large_enough_inclusive_in_a_currency_that_is_named() -> None:
    terms = replace(TERMS, minimum={"VND": 100_000})
    assert points(terms, order(1, 1, 100_000)) == (1, 50, 20)
    assert points(terms, order(1, 1, 99_999), order(2, 2, 500_000)) == (None, 0, 0)
    assert points(terms, order(1, 1, 500_000, "USD")) == (None, 0, 0)
    assert points(replace(terms, order="any"), order(1, 1, 99_999), order(2, 2)) == (2, 50, 20)


def test_the_order_has_to_come_in_time_the_last_moment_excluded() -> None:
    terms = replace(TERMS, within_days=7)
    assert (
        points(terms, replace(order(1, 7), placed_at=REFERRED + 7 * DAY - timedelta(microseconds=1)))[0]
        == 1
    )
    assert points(terms, order(1, 7)) == (None, 0, 0)


def test_a_share_of_the_bill_is_rounded_down_and_explained() -> None:
    terms = Referral(referrer=5, percent=Fraction(10), worth={"VND": 1000})
    found = reward(lambda _: terms, REFERRED, [order(7, 1, 59_999)])
    assert (found.referrer, found.friend) == (5 + 5, 0)
    assert found.steps == (
        {"code": "referral", "points": "5"},
        {"code": "referral_share", "points": "5", "percent": "10", "amount": 59_999, "currency": "VND"},
    )
    assert reward(lambda _: terms, REFERRED, [order(7, 1, 9_000)]).steps == (
        {"code": "referral", "points": "5"},
    )
    assert reward(lambda _: terms, REFERRED, [order(7, 1, 99_000, "USD")]).referrer == 5


def test_terms_are_those_in_force_when_the_order_was_placed() -> None:
    change = REFERRED + 2 * DAY
    found = reward(lambda at: TERMS if at >= change else None, REFERRED, [order(1, 1), order(2, 3)])
    assert found.order == order(2, 3), "before there were terms nothing could qualify"


def test_both_sides_get_store_credit_in_the_currency_of_the_order() -> None:
    terms = Referral(referrer_credit={"AUD": 500, "USD": 300}, friend_credit={"AUD": 700})
    for currency, credit in (("AUD", (500, 700)), ("USD", (300, 0)), ("VND", (0, 0))):
        found = reward(lambda _: terms, REFERRED, [order(1, 1, 100, currency)])
        assert (found.referrer_credit, found.friend_credit) == credit
    assert reward(lambda _: terms, REFERRED, []).friend_credit == 0


def test_a_share_is_exact_to_the_last_unit() -> None:
    terms = Referral(percent=Fraction(10), worth={"VND": 1000})
    assert [points(terms, order(1, 1, bill))[1] for bill in (999_999, 1_000_000)] == [99, 100]
