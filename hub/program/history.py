"""What a member has bought and been given, as tiers and segments count it: values alone, standard
library only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Literal

SaleOrder = tuple[datetime, int, str]
"""(placed_at, channel id, external id): the order in which the sales of one member count, whatever the
order in which they were told of (rules.md B3)."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """One paid sale of a member in its present state: what was refunded was not bought."""

    transaction_id: int
    placed_at: datetime
    channel_id: int
    external_id: str
    channels: frozenset[str]
    """The kind and the public id of its channel."""
    currency: str
    goods: int
    """Minor units of goods that remain, after discounts, without tax, shipping, gift cards, tips, fees."""
    bill: int
    """Minor units paid and not given back, with tax and shipping."""
    points: int
    """What the sale earns."""
    judged: bool = False
    """Whether who bought it was resolved before."""
    memberships: tuple[tuple[str, int], ...] = ()
    """(tier, pieces) of paid memberships among its lines, as far as they were not refunded."""

    @property
    def at(self) -> datetime:
        """When it happened."""
        return self.placed_at

    @property
    def order(self) -> SaleOrder:
        """Its place among the member's sales."""
        return self.placed_at, self.channel_id, self.external_id


@dataclass(frozen=True, slots=True)
class Movement:
    """Points that came or went otherwise than by a sale."""

    at: datetime
    earned: int
    """What of it counts as earned: gifts and rewards for deeds, not points that are given back."""
    balance: int


ActKind = Literal["set", "guarantee", "release", "count", "review"]


@dataclass(frozen=True, slots=True)
class Act:
    """What a person decided about a member's tier.

    set: put into this tier as if reached now; the rules go on from there. guarantee: at least this
    tier, until a moment or for good; release: not any more. count: the count stands at `amount` now
    (what was bought before the programme). review: the review happens now.
    """

    at: datetime
    kind: ActKind
    tier: str | None = None
    until: datetime | None = None
    amount: Fraction | int = 0


Fact = Purchase | Movement | Act


def in_order(facts: list[Fact]) -> list[Fact]:
    """As they count: by time; of one moment decisions first, then points that came and those that went,
    sales last, each in its own order."""
    return sorted(facts, key=_place)


def _place(fact: Fact) -> tuple[datetime, int, int, str, int]:
    if isinstance(fact, Purchase):
        return fact.at, 2, fact.channel_id, fact.external_id, fact.transaction_id
    if isinstance(fact, Movement):
        return fact.at, 1, -fact.balance, "", -fact.earned
    return fact.at, 0, 0, f"{fact.kind} {fact.tier or ''}", int(fact.amount)
