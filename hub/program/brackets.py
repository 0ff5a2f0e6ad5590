"""Rates that change with the size of the bill: points for each part of it, or for all at one rate.

Pure, standard library only; amounts are whole minor units, points exact fractions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

Reach = Literal["part", "bill"]
"""Whether a bracket's rate is for the part of the amount that lies in it, or for all of the amount."""


@dataclass(frozen=True, slots=True)
class Bracket:
    """One stretch of amounts and its rate. All amounts are currency -> minor units."""

    per: Mapping[str, int]
    points: Fraction = Fraction(1)
    """For each `per`."""
    over: Mapping[str, int] = field(default_factory=dict)
    """Where it begins, exclusive; a currency that is not named begins at nothing."""
    up_to: Mapping[str, int] = field(default_factory=dict)
    """Where it ends, inclusive; a currency that is not named has no end."""


@dataclass(frozen=True, slots=True)
class Slice:
    """What one bracket makes of an amount."""

    bracket: Bracket
    amount: int
    """The minor units that earn in it."""
    points: Fraction


def slices(
    brackets: Sequence[Bracket], amount: int, currency: str, *, reach: Reach, whole_steps: bool
) -> list[Slice] | None:
    """The brackets that an amount earns in, in their order; None: none has a rate in this currency."""
    known = [bracket for bracket in brackets if currency in bracket.per]
    if not known:
        return None
    parts = ((bracket, _part(bracket, amount, currency, reach)) for bracket in known)
    return [
        Slice(bracket, part, _points(bracket, part, currency, whole_steps=whole_steps))
        for bracket, part in parts
        if part > 0
    ]


def _part(bracket: Bracket, amount: int, currency: str, reach: Reach) -> int:
    """How much of the amount earns by this bracket's rate."""
    over, up_to = bracket.over.get(currency, 0), bracket.up_to.get(currency)
    if reach == "bill":
        return amount if over < amount and (up_to is None or amount <= up_to) else 0
    return (amount if up_to is None else min(amount, up_to)) - over


def _points(bracket: Bracket, part: int, currency: str, *, whole_steps: bool) -> Fraction:
    per = bracket.per[currency]
    return (part // per if whole_steps else Fraction(part, per)) * bracket.points
