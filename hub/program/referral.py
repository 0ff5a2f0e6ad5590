"""What a referral earns both sides: a target over the friend's sales (rules.md B3), pure.

Standard library only. Nothing is remembered: which order qualifies follows from the friend's present
sales in their order, so any order of arrival, a refund or a cancellation give the same points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, Literal

from hub.program.numbers import rounded, text


@dataclass(frozen=True, slots=True)
class Referral:
    """The terms of one version of a programme."""

    referrer: int = 0
    """Points for who brought the friend."""
    friend: int = 0
    percent: Fraction = Fraction(0)
    """The referrer's share of the qualifying bill, in percent, in points worth `worth`."""
    worth: Mapping[str, int] = field(default_factory=dict)
    """Currency -> minor units a point of the share is worth."""
    referrer_credit: Mapping[str, int] = field(default_factory=dict)
    """Currency -> store credit for who brought the friend, minor units: in that of the friend's order."""
    friend_credit: Mapping[str, int] = field(default_factory=dict)
    minimum: Mapping[str, int] = field(default_factory=dict)
    """Currency -> the least bill, inclusive; a currency that is not named never meets one that others have."""
    within_days: int | None = None
    """The order has to be placed within so many days (of 24 hours) after the referral."""
    order: Literal["first", "any"] = "first"
    """Whether only the friend's first order can qualify, or the first that fulfils the terms."""


@dataclass(frozen=True, slots=True)
class Order:
    """One sale of the friend that counts: paid, and not all of it refunded."""

    transaction_id: int
    placed_at: datetime
    currency: str
    bill: int
    """What is left of it, minor units with tax and shipping."""
    for_tiers: bool = field(default=False, repr=False)
    """It was brought in to count for tiers alone: an order before others, and rewarded with nothing."""


@dataclass(frozen=True, slots=True)
class Reward:
    """What a referral is worth now; without a qualifying order nothing."""

    order: Order | None
    referrer: int = 0
    friend: int = 0
    steps: tuple[Mapping[str, Any], ...] = ()
    """The referrer's points, step by step."""
    referrer_credit: int = 0
    """Store credit in the order's currency, minor units."""
    friend_credit: int = 0


def reward(
    terms_at: Callable[[datetime], Referral | None], referred_at: datetime, orders: Sequence[Order]
) -> Reward:
    """Judge a referral. `orders`: the friend's in the order (placed_at, channel, external id);
    `terms_at`: the terms in force when an order was placed (B1)."""
    for order in orders:
        terms = terms_at(order.placed_at)
        if terms is None:
            continue
        if _qualifies(terms, referred_at, order):
            return _reward(terms, order)
        if terms.order == "first":
            break
    return Reward(None)


def _qualifies(terms: Referral, referred_at: datetime, order: Order) -> bool:
    if order.for_tiers or order.placed_at < referred_at:
        return False
    if terms.within_days is not None and order.placed_at >= referred_at + timedelta(
        days=terms.within_days
    ):
        return False
    least = terms.minimum.get(order.currency)
    return not terms.minimum or (least is not None and order.bill >= least)


def _reward(terms: Referral, order: Order) -> Reward:
    steps: list[Mapping[str, Any]] = []
    if terms.referrer:
        steps.append({"code": "referral", "points": str(terms.referrer)})
    worth = terms.worth.get(order.currency)
    share = rounded(Fraction(order.bill) * terms.percent / (100 * worth), "down") if worth else 0
    if share:
        numbers = {"percent": text(terms.percent), "amount": order.bill, "currency": order.currency}
        steps.append({"code": "referral_share", "points": str(share), **numbers})
    credit = (terms.referrer_credit.get(order.currency, 0), terms.friend_credit.get(order.currency, 0))
    return Reward(order, terms.referrer + share, terms.friend, tuple(steps), *credit)
