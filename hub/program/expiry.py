"""When points become available and when they expire: calendar arithmetic in the program's zone.

Pure, standard library only. Days, months and years are the program's local ones; month arithmetic
clamps (31 January and a month is the last of February), a fixed 29 February falls on the 28th
(rules.md A9).
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hub.program.days import months_later
from hub.program.rules import Expiry, PeriodEnd, Rules

NOT_YET = datetime(9999, 1, 1, tzinfo=UTC)
"""When points become available of an order that nobody has handed over yet: nobody knows."""


def availability(
    rules: Rules, earned_at: datetime, fulfilled_at: datetime | None = None
) -> tuple[datetime, datetime | None]:
    """When points of a sale become available, and when they expire (None: never): whole days after
    the day of the sale, or of its hand-over where the rules wait for that; an expiry counts from
    availability, and is not known before that is."""
    zone, available = ZoneInfo(rules.time_zone), earned_at
    if rules.available_from == "fulfilled":
        if fulfilled_at is None:
            return NOT_YET, None
        available = max(earned_at, fulfilled_at)
    if rules.available_after_days:
        day = available.astimezone(zone).date() + timedelta(days=rules.available_after_days)
        available = _start_of(day, zone, earned_at)
    return available, expires_at(rules.expiry, available, rules.time_zone)


def expires_at(expiry: Expiry, available_at: datetime, time_zone: str) -> datetime | None:
    """The moment at which points that became available then are gone; None: never."""
    if expiry.is_never:
        return None
    zone = ZoneInfo(time_zone)
    local = available_at.astimezone(zone)
    last = _last_day(expiry, local.date())
    if expiry.last_day == "same_time" and not (expiry.until_end_of or expiry.on_day):
        moment = datetime.combine(last, local.time(), zone) + timedelta(microseconds=1)
        return moment.astimezone(available_at.tzinfo)
    gone = last + timedelta(days=1) if expiry.last_day == "included" else last
    return _start_of(gone, zone, available_at)


def _last_day(expiry: Expiry, day: date) -> date:
    """The last day on which the points are there."""
    if expiry.months:
        day = months_later(day, expiry.months)
    if expiry.days:
        day += timedelta(days=expiry.days)
    if expiry.until_end_of:
        day = end_of_period(day, expiry.until_end_of)
    if expiry.on_day:
        day = _next(day, *expiry.on_day)
    return day


def end_of_period(day: date, period: PeriodEnd) -> date:
    """The last day of the calendar's month, quarter or year that holds this one."""
    length = {"month": 1, "quarter": 3, "year": 12}[period]
    month = (day.month - 1) // length * length + length
    return date(day.year, month, monthrange(day.year, month)[1])


def _next(day: date, month: int, of_month: int) -> date:
    """The next such day of a year, `day` itself included."""
    for year in (day.year, day.year + 1):
        found = date(year, month, min(of_month, monthrange(year, month)[1]))
        if found >= day:
            return found
    raise AssertionError


def _start_of(day: date, zone: ZoneInfo, like: datetime) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(like.tzinfo)
