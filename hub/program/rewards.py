"""What points buy: rewards as values, and whether one is offered now. Pure, standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

ALL = 10_000
"""Hundredths of a percent: all of it."""


@dataclass(frozen=True, slots=True)
class Reward:
    """One reward: an amount or a percentage off, pieces of a product for nothing, free shipping, store credit,
    a gift card, or a perk."""

    id: str
    name: str
    cost: int
    """Points."""
    amounts: Mapping[str, int] = field(default_factory=dict)
    """Currency -> minor units off; a channel whose currency is missing does not get the code."""
    percent: int | None = None
    """Hundredths of a percent off."""
    perk: str = ""
    """What is handed over without money, in the programme's words; shops are told nothing of it."""
    valid_days: int | None = None
    free_shipping: bool = False
    skus: tuple[str, ...] = ()
    """The products it is about; none: the whole bill."""
    pieces: int | None = None
    """It takes off so many pieces of `skus` at most."""
    most: Mapping[str, int] = field(default_factory=dict)
    """Currency -> the most a percentage takes off, minor units."""
    minimum: Mapping[str, int] = field(default_factory=dict)
    """Currency -> the least bill it can be used on, minor units, inclusive."""
    starts: datetime | None = None
    ends: datetime | None = None
    """When it can be had, half-open (rules.md A9)."""
    valid_until: datetime | None = None
    """When all its codes end, whatever `valid_days` says."""
    stock: int | None = None
    """So many in all."""
    per_member: int | None = None
    per_day: int | None = None
    """So many a member, in all and on one day of the programme's time zone."""
    channels: frozenset[str] = frozenset()
    """Connector kinds, or ids of channels, that get its codes; none: all of them."""
    tiers: frozenset[str] = frozenset()
    segments: frozenset[str] = frozenset()
    """Only who is in one of these can have it; none: everybody."""
    automatic: bool = False
    """It is bought by itself as soon as a member's points are enough."""
    every_order: bool = False
    """Each paid order of a member brings one; nobody buys it."""
    order_minimum: Mapping[str, int] = field(default_factory=dict)
    """Currency -> the least order that brings it, minor units, inclusive: what was paid and not given back."""
    credit: Mapping[str, int] = field(default_factory=dict)
    """Currency -> minor units: it is store credit, there at once."""
    gift_card: Mapping[str, int] = field(default_factory=dict)
    """Currency -> minor units: a code that becomes the store credit of whoever collects it."""

    def is_brought_by(self, currency: str, bill: int) -> bool:
        """Whether an order brings it of which so much (minor units) was paid and not given back."""
        if not self.every_order or bill <= 0:
            return False
        least = self.order_minimum.get(currency)
        return not self.order_minimum or (least is not None and bill >= least)

    def why_not_at(self, moment: datetime) -> str | None:
        """Why it cannot be had at that moment; None: it can."""
        if self.starts is not None and moment < self.starts:
            return "not_valid_yet"
        if self.ends is not None and moment >= self.ends:
            return "no_longer_valid"
        if self.valid_until is not None and moment >= self.valid_until:
            return "no_longer_valid"
        return None

    def terms(self) -> dict[str, Any]:
        """What a redemption keeps of it: its code stays what was bought, whatever the programme becomes."""
        return {
            "name": self.name,
            "amounts": dict(self.amounts),
            "percent": self.percent,
            "perk": self.perk,
            "free_shipping": self.free_shipping,
            "skus": list(self.skus),
            "pieces": self.pieces,
            "most": dict(self.most),
            "minimum": dict(self.minimum),
            "channels": sorted(self.channels),
            "credit": dict(self.credit),
            "gift_card": dict(self.gift_card),
            "valid_days": self.valid_days,
            "valid_until": self.valid_until.isoformat() if self.valid_until else None,
        }


def ends(terms: Mapping[str, Any], moment: datetime) -> datetime | None:
    """When a code of these terms that is issued at that moment ends; None: never."""
    until, days = terms.get("valid_until"), terms.get("valid_days")
    found = [datetime.fromisoformat(until)] if until else []
    if days:
        found.append(moment + timedelta(days=days))
    return min(found, default=None)
