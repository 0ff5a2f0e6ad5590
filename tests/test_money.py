"""Money by ISO 4217: what a currency's minor unit is, and that nothing is rounded twice or in silence."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.money import (
    MAX_MINOR,
    MINOR_UNITS,
    NotMoney,
    divide_half_up,
    from_minor,
    minor_units,
    to_minor,
    to_minor_exact,
)

ISO = json.loads((Path(__file__).parent / "data" / "iso4217.json").read_text())
CURRENCIES = st.sampled_from(sorted(MINOR_UNITS))


def test_every_currency_of_the_standard_has_its_minor_unit_and_no_other_does() -> None:
    told = {
        code: int(digits)
        for digits, codes in ISO["by_minor_units"].items()
        if digits != "none"
        for code in codes
    }
    assert told == MINOR_UNITS
    for code in ISO["by_minor_units"]["none"]:
        with pytest.raises(NotMoney, match="no ISO 4217 currency"):
            minor_units(code)


def test_where_the_standard_and_how_prices_look_disagree_the_standard_counts() -> None:
    for row in ISO["iso_and_cldr_disagree"]:
        assert minor_units(row["code"]) == row["iso"] != row["cldr"]


@pytest.mark.parametrize("case", ISO["conversion_cases"], ids=lambda c: f"{c['amount']} {c['currency']}")
def test_amounts_become_minor_units_exactly_or_are_refused(case: dict[str, Any]) -> None:
    if isinstance(case["minor"], int):
        assert to_minor_exact(case["amount"], case["currency"]) == case["minor"]
    else:
        with pytest.raises(NotMoney, match="decimals"):
            to_minor_exact(case["amount"], case["currency"])


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("217592.5925", "VND", 217593),
        ("496800.00", "VND", 496800),
        ("0.005", "USD", 1),
        ("0.0049", "USD", 0),
        ("-0.005", "USD", -1),
        ("-0.0049", "USD", 0),
        (" 19.90 ", "USD", 1990),
        (7, "KWD", 7000),
        (Decimal("1E2"), "JPY", 100),
    ],
)
def test_more_digits_than_a_currency_has_are_rounded_half_up_once(
    amount: Any, currency: str, minor: int
) -> None:
    assert to_minor(amount, currency) == minor


@pytest.mark.parametrize(
    "text", ["", "1,00", "1.2.3", "NaN", "Infinity", "-Infinity", "1e30", "ten", "0x10"]
)
def test_what_is_no_plain_decimal_is_refused_with_the_reason(text: str) -> None:
    for convert in (to_minor, to_minor_exact):
        with pytest.raises(NotMoney, match="which is"):
            convert(text, "USD")


def test_an_amount_that_json_could_not_carry_is_refused() -> None:
    assert to_minor_exact(MAX_MINOR, "VND") == MAX_MINOR
    assert to_minor_exact(-MAX_MINOR, "VND") == -MAX_MINOR
    for beyond in (MAX_MINOR + 1, -MAX_MINOR - 1):
        for convert in (to_minor, to_minor_exact):
            with pytest.raises(NotMoney, match="out of range"):
                convert(beyond, "VND")


@given(st.integers(-MAX_MINOR, MAX_MINOR), CURRENCIES)
def test_there_and_back_is_the_same_amount(minor: int, currency: str) -> None:
    shown = from_minor(minor, currency)
    assert to_minor_exact(shown, currency) == to_minor(shown, currency) == minor
    assert -shown.as_tuple().exponent == minor_units(currency)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"),
    [
        (1, 2, 1),
        (1, 3, 0),
        (2, 3, 1),
        (-1, 2, -1),
        (1, -2, -1),
        (-1, -2, 1),
        (-1, 3, 0),
        (7, 7, 1),
        (0, 5, 0),
        (9, 2, 5),
    ],
)
def test_shares_are_rounded_half_away_from_zero(numerator: int, denominator: int, expected: int) -> None:
    assert divide_half_up(numerator, denominator) == expected


@given(st.integers(-(10**15), 10**15), st.integers(1, 10**9))
def test_a_share_is_never_off_by_more_than_a_half(numerator: int, denominator: int) -> None:
    off = divide_half_up(numerator, denominator) * denominator - numerator
    assert 2 * abs(off) <= denominator
    assert divide_half_up(-numerator, denominator) == -divide_half_up(numerator, denominator)
