"""Points as exact numbers: rounded to the nearest, and told as a decimal where there is one."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.program.numbers import rounded, text


@pytest.mark.parametrize(
    ("exact", "half_up", "down", "up"),
    [
        ("5", 5, 5, 5), ("5.4", 5, 5, 6), ("5.49", 5, 5, 6), ("5.5", 6, 5, 6), ("5.6", 6, 5, 6), ("0.01", 0, 0, 1),
        ("-5.5", -5, -6, -5), ("-5.6", -6, -6, -5), ("1/3", 0, 0, 1), ("2/3", 1, 0, 1),
    ],
)  # fmt: skip
def test_a_half_goes_up(exact: str, half_up: int, down: int, up: int) -> None:
    modes: Any = ("half_up", "down", "up")
    assert [rounded(Fraction(exact), mode) for mode in modes] == [half_up, down, up]


@pytest.mark.parametrize(
    ("exact", "said"),
    [
        ("0", "0"), ("7", "7"), ("-7", "-7"), ("1/2", "0.5"), ("-1/2", "-0.5"), ("1/3", "1/3"), ("-2/3", "-2/3"),
        ("7/6", "7/6"), ("1/20", "0.05"), ("-1/8", "-0.125"), ("12345/1000", "12.345"), ("1/1024", "0.0009765625"),
        ("100/7", "100/7"), ("3/50", "0.06"), ("5/2", "2.5"), ("7/5", "1.4"), ("123/100", "1.23"),
    ],
)  # fmt: skip
def test_a_number_is_a_decimal_where_there_is_one(exact: str, said: str) -> None:
    assert text(Fraction(exact)) == said


@given(st.fractions())
def test_a_text_is_the_number_itself(exact: Fraction) -> None:
    assert Fraction(text(exact)) == exact
