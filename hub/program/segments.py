"""Segments: saved conditions over what is known of a member. Pure, no clock, standard library only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from hub.program.history import Purchase


@dataclass(frozen=True, slots=True)
class Segment:
    """Who belongs: all that is said must hold; what is not said does not matter."""

    id: str
    name: str
    tags: frozenset[str] = frozenset()
    """Any of these."""
    tiers: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    """Bought in any of these (kinds or ids)."""
    birthday_months: frozenset[int] = frozenset()
    within_days: int | None = None
    """Orders, spend and channels count over the last so many days only."""
    least_spend: Mapping[str, int] = field(default_factory=dict)
    """Currency -> minor units of goods bought in that currency, inclusive; any one of them."""
    most_spend: Mapping[str, int] = field(default_factory=dict)
    """All of them."""
    least_orders: int | None = None
    most_orders: int | None = None
    bought_within_days: int | None = None
    """The last sale is at most so many days ago."""
    not_bought_for_days: int | None = None
    """The last sale is at least so many days ago, or there is none."""


@dataclass(frozen=True, slots=True)
class Member:
    """What is known of a member at a moment."""

    at: datetime
    tier: str | None = None
    tags: frozenset[str] = frozenset()
    birthday: date | None = None
    purchases: Sequence[Purchase] = ()
    """Before that moment, in order."""


def belongs_to(segments: Sequence[Segment], member: Member, zone: ZoneInfo) -> frozenset[str]:
    """The segments that a member belongs to at that moment."""
    return frozenset(one.id for one in segments if belongs(one, member, zone))


def belongs(segment: Segment, member: Member, zone: ZoneInfo) -> bool:
    """Whether all conditions hold. Days are the calendar's: `bought_within_days = 30` holds on the 30th
    day after the sale, and not on the 31st."""
    today = member.at.astimezone(zone).date()
    return _is_one(segment, member) and _is_recent(segment, member, today, zone) and _buys(
        segment, _counted(segment, member, today, zone)
    )  # fmt: skip


def _is_one(segment: Segment, member: Member) -> bool:
    if segment.tags and not segment.tags & member.tags:
        return False
    if segment.tiers and member.tier not in segment.tiers:
        return False
    month = member.birthday.month if member.birthday else None
    return not segment.birthday_months or month in segment.birthday_months


def _is_recent(segment: Segment, member: Member, today: date, zone: ZoneInfo) -> bool:
    last = member.purchases[-1].at.astimezone(zone).date() if member.purchases else None
    within, idle = segment.bought_within_days, segment.not_bought_for_days
    if within is not None and (last is None or today - last > timedelta(days=within)):
        return False
    return idle is None or last is None or today - last >= timedelta(days=idle)


def _counted(segment: Segment, member: Member, today: date, zone: ZoneInfo) -> list[Purchase]:
    if segment.within_days is None:
        return list(member.purchases)
    oldest = today - timedelta(days=segment.within_days)
    return [p for p in member.purchases if p.at.astimezone(zone).date() >= oldest]


def _buys(segment: Segment, purchases: Sequence[Purchase]) -> bool:
    number, spent = len(purchases), _spent(purchases)
    if segment.least_orders is not None and number < segment.least_orders:
        return False
    if segment.most_orders is not None and number > segment.most_orders:
        return False
    if segment.channels and not any(segment.channels & p.channels for p in purchases):
        return False
    least, most = segment.least_spend.items(), segment.most_spend.items()
    if least and not any(spent.get(currency, 0) >= amount for currency, amount in least):
        return False
    return all(spent.get(currency, 0) <= amount for currency, amount in most)


def _spent(purchases: Sequence[Purchase]) -> dict[str, int]:
    found: dict[str, int] = {}
    for purchase in purchases:
        found[purchase.currency] = found.get(purchase.currency, 0) + purchase.goods
    return found
