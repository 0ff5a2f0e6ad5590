"""What the hub sees by itself: birthdays, and members who are new. Safe to look at any number of times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from hub.bulk import arrays, run, unnest
from hub.program.actions import Action
from hub.program.rules import Rules, in_force

LOOK_BACK = timedelta(days=6)
"""An occasion is made up for as long as this after it: the hub may have been off."""

AT_ONCE = 200
"""So many members a look."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """One member's birthday or arrival: an action to be recorded, once for its key."""

    member_id: int
    action: str
    key: str
    at: datetime


def due(session: Session, program_id: int, versions: Sequence[Rules], now: datetime) -> list[Occasion]:
    """What is to be recorded now, at most `AT_ONCE` of a kind; nothing that was recorded before."""
    found: list[Occasion] = []
    for action in in_force(versions, now).actions.values():
        if action.by == "birthday":
            found += _birthdays(session, program_id, action, now, versions[-1].time_zone)
        elif action.by == "sign_up":
            found += _arrivals(session, program_id, action, now)
    return found


def _birthdays(
    session: Session, program_id: int, action: Action, now: datetime, time_zone: str
) -> list[Occasion]:
    """Birthdays of the last days, today among them; of 29 February on the 28th in other years (A9)."""
    zone = ZoneInfo(time_zone)
    today = now.astimezone(zone).date()
    days = [today - timedelta(days=n) for n in range(LOOK_BACK.days + 1)]
    columns = {"number": "integer", "day": "date", "year": "integer"}
    wanted = [
        {"number": number, "day": day, "year": day.year} for day in days for number in _numbers(day)
    ]
    rows = run(
        session,
        f"""SELECT m.id, r.day, 'birthday:' || :action || ':' || m.public_id || ':' || r.year AS key
            FROM {unnest(columns)}
            JOIN members m ON m.program_id = :program AND m.alias_of IS NULL AND m.birthday IS NOT NULL
             AND extract(month FROM m.birthday) * 100 + extract(day FROM m.birthday) = r.number
            WHERE m.disabled_at IS NULL AND NOT EXISTS (
                SELECT 1 FROM actions a WHERE a.program_id = :program
                   AND a.key = 'birthday:' || :action || ':' || m.public_id || ':' || r.year)
            ORDER BY m.id LIMIT :most""",
        {
            **arrays(columns, wanted),
            "program": program_id,
            "action": action.id,
            "most": AT_ONCE,
        },
    )
    return [Occasion(row.id, action.id, row.key, _midnight(row.day, zone)) for row in rows]


def _numbers(day: date) -> list[int]:
    """Month and day of births whose birthday this is, as one number."""
    own = [day.month * 100 + day.day]
    leap = (day + timedelta(days=1)).month == 2
    return [*own, 229] if own == [228] and not leap else own


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def _arrivals(session: Session, program_id: int, action: Action, now: datetime) -> list[Occasion]:
    rows = run(
        session,
        """SELECT m.id, m.public_id, m.created_at FROM members m
           WHERE m.program_id = :program AND m.alias_of IS NULL AND m.created_at > :since
             AND m.disabled_at IS NULL
             AND NOT EXISTS (SELECT 1 FROM actions a WHERE a.member_id = m.id AND a.action = :action)
           ORDER BY m.created_at LIMIT :most""",
        {"program": program_id, "since": now - LOOK_BACK, "action": action.id, "most": AT_ONCE},
    )
    return [
        Occasion(row.id, action.id, f"sign_up:{action.id}:{row.public_id}", row.created_at)
        for row in rows
    ]
