"""The row of each channel that says how its connection is kept: when it is asked next, and what was found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from hub.bulk import run


@dataclass(frozen=True, slots=True)
class Connection:
    """How one channel's connection is kept."""

    channel_id: int
    program_id: int
    ask_at: datetime
    """When it is asked next for what changed."""
    asked_at: datetime | None
    """When it was last asked to the end."""
    upto: datetime | None
    """Everything that the channel says it changed before then is stored; its clock."""
    looked_back_at: datetime | None
    """When a whole day was last looked through again."""
    seen: int
    """Messages that asking has brought so far, and of these..."""
    found: int
    """...those that were news."""
    missed: int
    """News that was older than a message takes: nothing had told of it."""
    last_seen: int
    last_found: int
    last_missed: int
    ask_failures: int
    """Failures in a row."""
    ask_code: str | None
    ask_detail: str | None
    reread_at: datetime
    reread_after: int
    """The last sale of this round of reading again."""
    installed_at: datetime | None
    """When the hub subscribed by itself; None: a person did, and the hub only looks."""
    watch_at: datetime
    watched_at: datetime | None
    watch_ok: bool | None
    watch_code: str | None
    watch_detail: str | None
    mended: int
    """Subscriptions that were gone or switched off, and were put right by the hub, so far."""
    mended_at: datetime | None


_JUST_LOOKED = timedelta(minutes=1)
"""A hub that begins again and again does not ask its shops as often."""
_COLUMNS = ", ".join(Connection.__dataclass_fields__)


def of_channel(session: Session, channel_id: int) -> Connection | None:
    """The channel's row; None before the sweeper has seen it."""
    rows = run(session, f"SELECT {_COLUMNS} FROM connections WHERE channel_id = :id", {"id": channel_id})
    return Connection(**rows[0]._mapping) if rows else None


def ensure(session: Session, channel_id: int | None = None) -> None:
    """A row for the channel, or for every channel that is not disconnected."""
    run(
        session,
        """INSERT INTO connections (channel_id, program_id)
           SELECT c.id, c.program_id FROM channels c
           WHERE c.status <> 'disconnected' AND (CAST(:id AS bigint) IS NULL OR c.id = :id)
             AND NOT EXISTS (SELECT FROM connections k WHERE k.channel_id = c.id)
           ORDER BY c.id ON CONFLICT DO NOTHING""",
        {"id": channel_id},
    )


def look_at_all(session: Session, now: datetime) -> None:
    """A hub that begins looks at every connection at once: what was taken from it meanwhile is said at the start."""
    run(
        session,
        """UPDATE connections SET watch_at = :now WHERE channel_id IN (
               SELECT k.channel_id FROM connections k JOIN channels c ON c.id = k.channel_id
               WHERE c.status = 'active' AND k.watch_at > :now AND k.watched_at < :recent
               ORDER BY k.channel_id FOR UPDATE OF k SKIP LOCKED)""",
        {"now": now, "recent": now - _JUST_LOOKED},
    )


def due(session: Session, now: datetime) -> list[int]:
    """Channels that something is due for, who waits longest first. One that is paused by hand or does not
    answer is left alone."""
    rows = run(
        session,
        """SELECT k.channel_id FROM connections k JOIN channels c ON c.id = k.channel_id
           WHERE c.status = 'active' AND (c.down_until IS NULL OR c.down_until <= clock_timestamp())
             AND least(k.ask_at, k.watch_at, k.reread_at) <= :now
           ORDER BY least(k.ask_at, k.watch_at, k.reread_at), k.channel_id LIMIT 200""",
        {"now": now},
    )
    return [row.channel_id for row in rows]


def ask_soon(session: Session, channel_id: int, now: datetime) -> None:
    """Ask and look at once: something speaks for it."""
    run(
        session,
        """UPDATE connections SET ask_at = least(ask_at, :now), watch_at = least(watch_at, :now)
           WHERE channel_id = :id AND least(ask_at, watch_at) < :now + interval '2 days'""",
        {"id": channel_id, "now": now},
    )


def after_restore(session: Session) -> None:
    """A restored hub has new leases, whose tokens begin anew; and everything that the shops changed after the
    backup was made is asked for at once, from where the backup stood."""
    run(session, "UPDATE connections SET fence = 0, ask_at = now(), watch_at = now()")
    run(session, "DELETE FROM allowances")


_SCHEDULES = ("ask_at", "watch_at", "reread_at")


def put_off(session: Session, channel_id: int, schedule: str) -> None:
    """Nothing to do there for a week: channels of this kind cannot; a newer connector may learn it."""
    if schedule not in _SCHEDULES:
        raise ValueError(schedule)
    run(
        session,
        f"UPDATE connections SET {schedule} = clock_timestamp() + interval '7 days' WHERE channel_id = :id",
        {"id": channel_id},
    )


def put_off_all(session: Session, channel_id: int, now: datetime) -> None:
    """Whatever is due there is tried again in a quarter of an hour."""
    later = {
        name: f"CASE WHEN {name} <= :now THEN :now + interval '15 minutes' ELSE {name} END"
        for name in _SCHEDULES
    }
    changes = ", ".join(f"{name} = {value}" for name, value in later.items())
    run(
        session,
        f"UPDATE connections SET {changes} WHERE channel_id = :id",
        {"id": channel_id, "now": now},
    )
