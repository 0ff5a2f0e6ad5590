"""Days, months and years of the program's calendar. Pure, standard library only.

Month arithmetic clamps: 31 January and a month is the last of February (rules.md A9).
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

Period = Literal["month", "quarter", "year"]
LENGTHS: dict[Period, int] = {"month": 1, "quarter": 3, "year": 12}
"""Months."""


def months_later(day: date, months: int) -> date:
    """The same day so many months later, or the last day of a shorter month."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def first_after(day: date, period: Period) -> date:
    """The first day of the next month, quarter or year."""
    length = LENGTHS[period]
    return months_later(date(day.year, (day.month - 1) // length * length + 1, 1), length)


def start_of(day: date, zone: ZoneInfo) -> datetime:
    """When a day begins there, as a moment in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
