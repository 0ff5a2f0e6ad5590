"""Points as exact numbers: the one rounding, and fractions as texts. Standard library only."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

Rounding = Literal["half_up", "down", "up"]


def rounded(exact: Fraction, mode: Rounding) -> int:
    """Points are whole; the one place where they are rounded."""
    whole = exact.numerator // exact.denominator
    rest = exact - whole
    if mode == "down" or rest == 0:
        return whole
    if mode == "up":
        return whole + 1
    return whole + (1 if rest >= Fraction(1, 2) else 0)


def text(value: Fraction) -> str:
    """Exact: a decimal where there is one, else a fraction."""
    denominator = value.denominator
    if denominator == 1:
        return str(value.numerator)
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    if denominator != 1:
        return f"{value.numerator}/{value.denominator}"
    digits = 0
    while (value * 10**digits).denominator != 1:
        digits += 1
    number = int(value * 10**digits)
    sign, shown = ("-" if number < 0 else ""), str(abs(number)).rjust(digits + 1, "0")
    return f"{sign}{shown[:-digits]}.{shown[-digits:]}" if digits else f"{sign}{shown}"
