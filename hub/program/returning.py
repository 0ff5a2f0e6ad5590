"""What stays spent of the points behind a code when the order that used it is refunded (rules.md B5).

Pure, standard library only; a function of the present state of the order, never of how many refunds it
took: many partial ones end where one full refund does, and never bring back more than was spent.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from hub.program.numbers import rounded
from hub.program.rules import Rules


@dataclass(frozen=True, slots=True)
class Bill:
    """The order that used a code: its goods as sold and what is left of them, minor units."""

    sold: int
    left: int
    refunded: bool = False
    """Wholly, as its channel says: of a bill that cost nothing no amount could tell."""

    @property
    def is_gone(self) -> bool:
        """Whether nothing is left of it."""
        return self.refunded or (self.sold > 0 and self.left <= 0)


def kept(rules: Rules, points: int, bill: Bill) -> int:
    """How many of the points that bought the code stay spent: all of them while the order stands, none
    once it is refunded in full, between the two by `points_back`."""
    if rules.points_back == "never":
        return points
    if bill.is_gone:
        return 0
    if rules.points_back == "full":
        return points
    return share_kept(rules, points, bill)


def share_kept(rules: Rules, points: int, bill: Bill) -> int:
    """The part of it that what is left of the order stands for, rounded once."""
    if bill.is_gone:
        return 0
    if bill.sold <= 0:
        return points
    left = min(max(bill.left, 0), bill.sold)
    return rounded(Fraction(points * left, bill.sold), rules.rounding)
