"""What a programme takes off goods by itself, without points: shoes 5 % off; pure.

Standard library only. Whole minor units: each discount is rounded once over all its lines and spread
over them to the last unit, so that the lines' parts sum to it, and as what a code takes off is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from hub.program.earn import applies, exclusion
from hub.program.pricing import share_off, spread
from hub.program.rules import NOBODY, Basket, Buyer, Discount, Rules


@dataclass(frozen=True, slots=True)
class Off:
    """A discount on one line, minor units."""

    line: int
    """Which line of the basket, from 0."""
    amount: int
    discount: str
    """The id of what takes it off."""


def taken_off(rules: Rules, basket: Basket, buyer: Buyer = NOBODY) -> list[Off]:
    """What is taken off which line. Of several discounts a line gets the one that takes most off, the
    first of equal ones."""
    best: dict[int, Discount] = {}
    for discount in rules.discounts:
        if applies(discount.when, basket, rules.time_zone, buyer):
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


def asks_who(rules: Rules) -> bool:
    """Whether some discount is for some people only."""
    return any(discount.when.asks_who for discount in rules.discounts)


def _spread(discount: Discount, parts: Mapping[int, int]) -> list[Off]:
    whole = share_off(Fraction(sum(parts.values())), discount.percent)
    shares = spread(whole, list(parts.values()))
    return [
        Off(number, share, discount.id) for number, share in zip(parts, shares, strict=True) if share
    ]
