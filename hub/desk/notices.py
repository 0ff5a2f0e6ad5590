"""Whom to tell that they joined, or reached a number of points: a list for whoever sends the messages.

Nothing is stored: it is read out of the book and the list of members, in the order in which they were
recorded. Both are looked at up to a minute ago, so that a transaction that was slower than the ones
after it is not passed over; what an earlier page told is never told again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.program.notices import Notice, reached
from hub.program.rules import Rules

SETTLED = timedelta(minutes=1)
"""No transaction of the hub lasts so long."""
LOOK_AT = 5_000
"""Entries and members that one page looks through at most."""

Place = tuple[int, int]
"""(entry, member) of the last ones looked at."""
BEGINNING: Place = (0, 0)


@dataclass(frozen=True, slots=True)
class Reached:
    """One member who is to be told something."""

    id: str
    """The same whenever it is asked for: whoever sends messages can tell that it was sent."""
    notice: str
    at: datetime
    member: str
    name: str
    points: int
    """The balance then; 0 of who joined."""
    phone: str | None
    email: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """What came after a place, and the place to go on from."""

    notices: tuple[Reached, ...]
    place: Place
    is_last: bool
    """Nothing more was there when it was asked."""


def after(session: Session, program_id: int, rules: Rules, place: Place, now: datetime) -> Page:
    """Whom to tell since that place, by the notices in force now."""
    found: list[tuple[int, Notice, datetime, int]] = []
    until = now - SETTLED
    marks = [one for one in rules.notices if one.points is not None]
    joining = [one for one in rules.notices if one.points is None]
    moved = _movements(session, program_id, place[0], until)
    for row in moved:
        notice = reached(marks, row.balance_after - row.amount, row.balance_after)
        if row.counts and notice is not None:
            found.append((row.member_id, notice, row.recorded_at, row.balance_after))
    joined = _members(session, program_id, place[1], until)
    found += [(row.id, one, row.created_at, 0) for row in joined if row.counts for one in joining]
    places = [row.id for row in moved], [row.id for row in joined]
    entry, member = (max([before, *ids]) for before, ids in zip(place, places, strict=True))
    return Page(
        _told(session, sorted(found, key=lambda one: (one[2], one[1].id))),
        (entry, member),
        len(moved) < LOOK_AT and len(joined) < LOOK_AT,
    )


def _movements(session: Session, program_id: int, place: int, until: datetime) -> list[Any]:
    """The entries after a place, of all programmes: so many, however few of them are this one's."""
    rows = run(
        session,
        """SELECT e.id, e.member_id, e.amount, e.balance_after, e.recorded_at,
                  e.program_id = :program AND a.member_id IS NOT NULL AS counts
           FROM (SELECT * FROM entries WHERE id > :place ORDER BY id LIMIT :most) e
           JOIN accounts a ON a.id = e.account_id ORDER BY e.id""",
        {"program": program_id, "place": place, "most": LOOK_AT},
    )
    return _settled(rows, "recorded_at", until)


def _members(session: Session, program_id: int, place: int, until: datetime) -> list[Any]:
    rows = run(
        session,
        """SELECT m.id, m.created_at, m.program_id = :program AS counts
           FROM (SELECT * FROM members WHERE id > :place ORDER BY id LIMIT :most) m ORDER BY m.id""",
        {"program": program_id, "place": place, "most": LOOK_AT},
    )
    return _settled(rows, "created_at", until)


def _settled(rows: Iterable[Any], when: str, until: datetime) -> list[Any]:
    """The rows before the first that is too new to be sure of what stands before it."""
    found = []
    for row in rows:
        if getattr(row, when) > until:
            break
        found.append(row)
    return found


def _told(session: Session, found: list[tuple[int, Notice, datetime, int]]) -> tuple[Reached, ...]:
    rows = run(
        session,
        """SELECT m.id AS row, r.public_id, r.name,
                  (SELECT min(value) FROM identities WHERE member_id = r.id AND kind = 'phone' AND gone_at IS NULL)
                      AS phone,
                  (SELECT min(value) FROM identities WHERE member_id = r.id AND kind = 'email' AND gone_at IS NULL)
                      AS email
           FROM members m JOIN members r ON r.id = coalesce(m.alias_of, m.id) WHERE m.id = ANY(:ids)""",
        {"ids": sorted({member for member, *_ in found})},
    )
    members = {row.row: row for row in rows}
    told = []
    for member, notice, at, points in found:
        who = members[member]
        name = f"{notice.id}:{who.public_id}:{at.timestamp():.6f}"
        told.append(Reached(name, notice.id, at, who.public_id, who.name, points, who.phone, who.email))
    return tuple(told)
