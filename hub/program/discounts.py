"""What a programme takes off goods by itself, without points: shoes 5 % off; pure.

Standard library only. Whole minor units: each discount is rounded once over all its lines and spread
over them to the last unit, so that the lines' parts sum to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from hub.program.earn import applies, exclusion
from hub.program.numbers import rounded
from hub.program.rules import Basket, Discount, Rules


@dataclass(frozen=True, slots=True)
class Off:
    """A discount on one line, minor units."""

    line: int
    """Which line of the basket, from 0."""
    amount: int
    discount: str
    """The id of what takes it off."""


def taken_off(rules: Rules, basket: Basket) -> list[Off]:
    """What is taken off which line. Of several discounts a line gets the one that takes most off, the
    first of equal ones."""
    best: dict[int, Discount] = {}
    for discount in rules.discounts:
        if applies(discount.when, basket, rules.time_zone):
            for number, line in enumerate(basket.lines):
                present = best.get(number)
                if exclusion(discount.lines, line) is None and (
                    present is None or discount.percent > present.percent
                ):
                    best[number] = discount
    found = []
    for discount in rules.discounts:
        parts = {n: basket.lines[n].left for n, d in best.items() if d is discount}
        found += _spread(discount, parts)
    return sorted(found, key=lambda off: off.line)


def _spread(discount: Discount, parts: Mapping[int, int]) -> list[Off]:
    exact = [Fraction(amount) * discount.percent / 100 for amount in parts.values()]
    shares = spread(rounded(sum(exact, Fraction(0)), "half_up"), exact)
    return [
        Off(number, share, discount.id) for number, share in zip(parts, shares, strict=True) if share
    ]


def spread(whole: int, weights: Sequence[Fraction]) -> list[int]:
    """Parts of a whole in proportion to weights >= 0 that sum to it: each rounded down, what is missing
    to those that lost most, the first of equal ones. Without any weight everything is 0."""
    total = sum(weights, Fraction(0))
    if not total:
        return [0] * len(weights)
    exact = [whole * weight / total for weight in weights]
    parts = [share.numerator // share.denominator for share in exact]
    lost = sorted(range(len(parts)), key=lambda n: (parts[n] - exact[n], n))
    for number in lost[: whole - sum(parts)]:
        parts[number] += 1
    return parts
