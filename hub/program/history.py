"""What a member has bought, as tiers and segments count it: values alone, standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

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
    credited: bool
    """Whether points of it were posted."""

    @property
    def order(self) -> SaleOrder:
        """Its place among the member's sales."""
        return self.placed_at, self.channel_id, self.external_id
