"""What a programme asks of tills: a one-time code for large redemptions, and how much one cashier may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Till:
    """`[till]`; what is None is not asked."""

    code_above: int | None = None
    """A redemption of more points needs a one-time code; 0: every one. Store credit then always does."""
    redemptions_per_hour: int | None = None
    """Of one cashier, in any sixty minutes."""
    points_per_hour: int | None = None
    """Spent through one cashier, in any sixty minutes."""
    claims_per_hour: int | None = None
    """Guests' orders that one cashier gives to members, in any sixty minutes."""
    own_redemptions: Literal["tell", "refuse"] = "tell"
    """Whether a person of the staff may redeem points of their own at a till where they are the cashier: it is
    told, or refused."""
    own_sales: Literal["tell", "refuse"] = "tell"
    """Whether a sale that a person of the staff rings up for themselves gives what any sale gives, and is told, or
    gives nothing."""

    @property
    def counts_redemptions(self) -> bool:
        """Whether what cashiers redeem is limited."""
        return self.redemptions_per_hour is not None or self.points_per_hour is not None

    def needs_code(self, points: int, *, credit: bool = False) -> bool:
        """Whether spending so many points, or store credit, needs a one-time code."""
        return self.code_above is not None and (credit or points > self.code_above)

    def excess(self, redemptions: int, points: int) -> str | None:
        """Which limit a cashier's redemptions of an hour are above: `redemptions` or `points`."""
        if self.redemptions_per_hour is not None and redemptions > self.redemptions_per_hour:
            return "redemptions"
        if self.points_per_hour is not None and points > self.points_per_hour:
            return "points"
        return None
