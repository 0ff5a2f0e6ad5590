"""Stretches of time: a rule's own, and the day, week, month or year in the programme's time zone.

Pure, standard library only. Every stretch is half-open (rules.md A9).
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Period = Literal["day", "week", "month", "year", "ever"]

PERIODS: tuple[Period, ...] = ("day", "week", "month", "year", "ever")


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time, half-open (rules.md A9): from `starts`, before `ends`."""

    starts: datetime | None = None
    ends: datetime | None = None

    def holds(self, at: datetime) -> bool:
        """Whether a moment lies in it."""
        return (self.starts is None or self.starts <= at) and (self.ends is None or at < self.ends)


def within(windows: Sequence[Window], at: datetime) -> bool:
    """Whether one of the windows holds the moment; without windows every moment is right."""
    return not windows or any(window.holds(at) for window in windows)


def period(of: Period, at: datetime, time_zone: str) -> Window:
    """The day, week (from Monday), month or year of the programme that holds a moment."""
    if of == "ever":
        return Window()
    zone = ZoneInfo(time_zone)
    first, after = _days(of, at.astimezone(zone).date())
    return Window(_midnight(first, zone), _midnight(after, zone))


def _days(of: Period, day: date) -> tuple[date, date]:
    if of == "day":
        return day, day + timedelta(days=1)
    if of == "week":
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    if of == "month":
        first = day.replace(day=1)
        return first, first + timedelta(days=monthrange(day.year, day.month)[1])
    return date(day.year, 1, 1), date(day.year + 1, 1, 1)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)
