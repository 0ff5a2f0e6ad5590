"""The tiers of one version of a program: values alone, standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from hub.program.days import Period
from hub.program.history import Purchase

Measure = Literal["spend", "points_earned", "points_balance", "orders", "visits"]
Over = Literal["lifetime", "rolling", "calendar_year", "membership_year"]
Review = Period | Literal["membership_year"]


@dataclass(frozen=True, slots=True)
class Level:
    """One tier: what it takes to enter and to keep it, and what it brings."""

    id: str
    name: str
    least: int | None
    """The count from which one is in it, inclusive: minor units, points, orders or days of visits. None:
    no count leads to it; staff or a paid membership grant it."""
    keep: int | None
    """The count that is needed at a review to stay; None: none is."""
    discount: int = 0
    """Hundredths of a percent that the shops take off bills; the hub tells, they do."""
    reward_discount: int = 0
    """Hundredths of a percent by which rewards cost fewer points."""
    free_shipping: bool = False
    perks: tuple[str, ...] = ()
    """In the program's own words."""


@dataclass(frozen=True, slots=True)
class Membership:
    """A product that grants a tier for a time; bought again before its end, it goes on from there."""

    tier: str
    skus: frozenset[str]
    products: frozenset[str]
    months: int | None = None
    days: int | None = None


@dataclass(frozen=True, slots=True)
class Ladder:
    """The tiers from the lowest to the highest, and how one climbs and comes down."""

    levels: tuple[Level, ...]
    currency: str
    """Of `least` and `keep` where spend is counted."""
    by: Measure = "spend"
    spend_of: Literal["goods", "bill"] = "goods"
    """Goods after discounts without tax and shipping, or all that was paid and not given back."""
    factors: Mapping[str, Fraction] = field(default_factory=dict)
    """Another currency -> minor units of `currency` for one of its minor units; one that is not named
    counts nothing."""
    over: Over = "lifetime"
    rolling_months: int = 12
    review: Review = "year"
    year_from: Literal["joining", "entry"] = "joining"
    year_months: int = 12
    year_days: int | None = None
    """Instead of months."""
    enter: Literal["at_once", "at_review"] = "at_once"
    leave: Literal["at_review", "at_once", "never"] = "at_review"
    drop: Literal["to_reached", "one_step"] = "to_reached"
    grace_days: int = 0
    reset: bool = False
    """Each change of tier begins the count anew."""
    this_order: bool = False
    """The sale that crosses a line is judged by the tier it leads to."""
    memberships: tuple[Membership, ...] = ()

    @property
    def base(self) -> int:
        """The place of the tier that everybody is in; -1 where it takes something to be in one."""
        return self.reached(0)

    def place(self, tier: str | None) -> int:
        """Where a tier stands, from 0; -1 for none, and for one that is not among these."""
        return next((n for n, level in enumerate(self.levels) if level.id == tier), -1)

    def reached(self, count: Fraction | int) -> int:
        """The highest tier that this count suffices for."""
        enough = [n for n, one in enumerate(self.levels) if one.least is not None and one.least <= count]
        return max(enough, default=-1)

    def kept(self, place: int, count: Fraction | int) -> int:
        """The highest tier, `place` at most, that this count suffices to keep."""
        below = enumerate(self.levels[: place + 1])
        staying = [n for n, one in below if one.keep is None or one.keep <= count]
        return max([*staying, min(self.base, place)])

    def above(self, place: int) -> Level | None:
        """The next tier that a count leads to."""
        return next((one for one in self.levels[place + 1 :] if one.least is not None), None)

    def worth(self, purchase: Purchase) -> Fraction | int:
        """What a sale counts, but for visits (days with a sale)."""
        if self.by == "spend":
            amount = purchase.goods if self.spend_of == "goods" else purchase.bill
            same = purchase.currency == self.currency
            return amount if same else amount * self.factors.get(purchase.currency, Fraction(0))
        return 1 if self.by in {"orders", "visits"} else purchase.points
