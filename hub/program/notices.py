"""Moments at which a member is to be told something: they joined, or reached a number of points. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Notice:
    """One of them. `points`: the balance that is reached; None: somebody becomes a member."""

    id: str
    points: int | None = None


def reached(notices: Iterable[Notice], before: int, after: int) -> Notice | None:
    """What a movement of a balance reached, going up: the highest mark alone, so that who gets from 0
    to 100 at once is told of 100 and not of 50 too. A mark is inclusive, and reached again after it was
    lost."""
    passed = [one for one in notices if one.points is not None and before < one.points <= after]
    return max(passed, key=lambda one: one.points or 0, default=None)
