"""Points as money: how many of the points somebody wants to pay with may be used, and what they take off.

Pure, standard library only; whole minor units, rounded down: nobody gets more off than points are worth.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from hub.program.rules import PointsAsMoney


@dataclass(frozen=True, slots=True)
class Quote:
    """An answer: `points` may be used and take `off` minor units off the bill."""

    points: int
    off: int
    why: str | None = None
    """Why it is none, or fewer than were asked for: a stable code."""


def quote(
    terms: PointsAsMoney, *, asked: int, balance: int, currency: str, bill: int | None = None,
    today: int | None = None,
) -> Quote:  # fmt: skip
    """The most of `asked` points that the rules, the balance, the bill (minor units, with tax and shipping;
    None: not known) and what may still be used `today` allow. Changes nothing; 0 points say why."""
    worth = terms.worth_in(currency)
    if worth is None:
        return Quote(0, 0, "currency_has_no_worth")
    if balance < terms.least_balance:
        return Quote(0, 0, "balance_too_small")
    usable, why = _usable(terms, asked, balance, _most_off(terms, currency, bill), worth)
    if today is not None and today < usable:
        usable, why = today, "limit_of_today_reached"
    usable -= usable % terms.step
    off = int(usable * worth // terms.points)
    if usable < terms.least or off < terms.least_off.get(currency, 0) or not off:
        return Quote(0, 0, why or "below_minimum")
    return Quote(usable, off, None if usable == asked else why or "whole_steps_only")


def _usable(
    terms: PointsAsMoney, asked: int, balance: int, most_off: int | None, worth: Fraction
) -> tuple[int, str | None]:
    """The least of all limits, and which one it was."""
    limits = [(max(0, asked), None), (balance, "balance_too_small")]
    if terms.most is not None:
        limits.append((terms.most, "above_maximum"))
    if most_off is not None:
        limits.append((int(most_off * terms.points // worth), "bill_too_small"))
    return min(limits, key=lambda limit: limit[0])


def _most_off(terms: PointsAsMoney, currency: str, bill: int | None) -> int | None:
    """The most that points may take off this bill, minor units."""
    limits = [terms.most_off[currency]] if currency in terms.most_off else []
    if bill is not None:
        share = Fraction(bill) * terms.percent_of_bill / 100
        limits.append(max(0, share.numerator // share.denominator))
    return min(limits, default=None)
