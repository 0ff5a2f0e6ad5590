"""On which occasions of a birthday a moment falls: its day, its week, its month.

Pure, standard library only, in the program's time zone. Who was born on 29 February has their
birthday on the 28th where the year has no 29th (rules.md A9).
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from hub.program.rules import Occasion


def occasions(birthday: date | None, at: datetime, time_zone: str) -> frozenset[Occasion]:
    """The occasions of this birthday that `at` falls on; none where nobody knows it. A week is the
    calendar's, Monday to Sunday, and may reach over the turn of the year."""
    if birthday is None:
        return frozenset()
    day = at.astimezone(ZoneInfo(time_zone)).date()
    found: set[Occasion] = set()
    if day.month == birthday.month:
        found.add("month")
    if day == in_year(birthday, day.year):
        found.add("day")
    if _week_holds(day, birthday):
        found.add("week")
    return frozenset(found)


def in_year(birthday: date, year: int) -> date:
    """The day it falls on in that year."""
    last = monthrange(year, birthday.month)[1]
    return date(year, birthday.month, min(birthday.day, last))


def _week_holds(day: date, birthday: date) -> bool:
    monday = day - timedelta(days=day.weekday())
    sunday = monday + timedelta(days=6)
    return any(monday <= in_year(birthday, year) <= sunday for year in {monday.year, sunday.year})
