"""What a code takes off a cart: by line, exact to the last unit, never more than there is."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.program.pricing import Cart, CartLine, price, spread
from hub.program.rewards import Reward


def terms(**what: Any) -> dict[str, Any]:
    return Reward("r", "R", 1, **what).terms()


def cart(*lines: tuple[str, int, int], shipping: int = 0, currency: str = "USD") -> Cart:
    return Cart(currency, tuple(CartLine(amount, n, sku) for sku, n, amount in lines), shipping)


CUPS = cart(("CUP", 3, 1200), ("TEA", 1, 2000), shipping=600)


@pytest.mark.parametrize(
    ("what", "lines", "left"),
    [
        ({"amounts": {"USD": 1000}}, (375, 625), 2800),
        ({"percent": 1500}, (180, 300), 3320),
        ({"percent": 5000, "most": {"USD": 300}}, (113, 187), 3500),
        ({"percent": 10_000, "skus": ("CUP",), "pieces": 1}, (400, 0), 3400),
        ({"percent": 10_000, "skus": ("CUP", "TEA"), "pieces": 4}, (1200, 2000), 600),
        ({"amounts": {"USD": 9999}, "skus": ("TEA",)}, (0, 2000), 1800),
        ({"free_shipping": True}, (0, 0), 3200),
    ],
)
def test_each_kind_of_code(what: dict[str, Any], lines: tuple[int, ...], left: int) -> None:
    found = price(terms(**what), CUPS)
    assert (found.lines, found.left, found.why) == (lines, left, None)


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ({"amounts": {"VND": 1000}}, "no_amount_in_this_currency"),
        ({"percent": 1000, "minimum": {"USD": 3201}}, "below_minimum"),
        ({"percent": 1000, "minimum": {"VND": 1}}, "no_amount_in_this_currency"),
        ({"percent": 1000, "skus": ("HAT",)}, "nothing_it_is_for"),
        ({"perk": "A coffee"}, "handed_over_by_staff"),
    ],
)
def test_what_gets_nothing_off_says_why(what: dict[str, Any], why: str) -> None:
    found = price(terms(**what), CUPS)
    assert (found.off, found.left, found.why) == (0, 3800, why)


def test_the_price_that_is_left_is_what_is_rounded() -> None:
    assert price(terms(percent=1500), cart(("A", 1, 1050))).left == 893


def test_the_odd_units_go_to_the_first_lines() -> None:
    assert spread(1000, [1, 1, 1]) == [334, 333, 333]
    assert spread(-1000, [1, 1, 1]) == [-334, -333, -333]
    assert spread(5, [0, 1, 1]) == [0, 3, 2]


@given(st.integers(-(10**9), 10**9), st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_shares_add_up_and_none_is_a_unit_off_its_part(amount: int, weights: list[int]) -> None:
    shares = spread(amount, weights)
    whole = sum(weights)
    assert sum(shares) == (amount if whole else 0)
    for share, weight in zip(shares, weights, strict=True):
        assert whole == 0 or abs(share - Fraction(amount * weight, whole)) < 1 + len(weights)
        assert weight or not share


@given(
    st.integers(0, 10_000),
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 10**6)), min_size=1, max_size=6),
    st.integers(1, 30),
)
def test_never_more_than_a_line_costs(percent: int, lines: list[tuple[int, int]], pieces: int) -> None:
    wanted = Cart("USD", tuple(CartLine(amount, n, "A") for n, amount in lines))
    found = price(terms(percent=percent, skus=("A",), pieces=pieces), wanted)
    assert sum(found.lines) == found.off
    assert found.left + found.off == wanted.total
    assert found.left >= 0
