"""Backfills as rows: what a channel sold before it was connected, fetched, tried, and brought in.

A backfill goes through its states by itself (`hub.sync.backfill`); people start it, say that what was tried be
brought in, pause it and stop it. So it has one story, whoever looks: the command line, a page, the sweeper.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy.orm import Session

from hub.audit import record
from hub.bulk import run
from hub.connector import Connector
from hub.i18n import gettext as _
from hub.ids import new_id
from hub.outbox.channels import Channel

Counts = Literal["points", "tiers"]
WORKING = ("fetching", "trying", "bringing")
"""States in which it goes on by itself."""
_STEADY = 5.0
"""Seconds after which a speed says something."""


class NotPossible(Exception):
    """It cannot be started, or is not in a state for this; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Backfill:
    """One backfill and how far it is."""

    id: int
    public_id: str
    program_id: int
    channel_id: int
    actor: str
    since: datetime
    until: datetime
    """When the channel was connected: what was sold then or later comes by itself."""
    counts: Counts
    state: str
    paused: bool
    bookmark: str
    expected: int | None
    """How many messages there are to fetch, where the channel says so."""
    seen: int
    known: int
    """Of those that came: what the hub knew, and what is no history (placed outside the time)."""
    stored: int
    total: int
    """How many are tried and brought in: those stored, and orders of that time that the hub had."""
    place: int
    """How many of them are, in this step."""
    forecast: Mapping[str, Any]
    """What trying said, once it is at its end (`hub.sync.trying`)."""
    next_at: datetime
    failures: int
    fault: str | None
    code: str | None
    """Why the channel could not be asked; it is tried again at `next_at`."""
    detail: str | None
    note: str | None
    """What people should know of what the channel gives: codes of its connector, between spaces."""
    created_at: datetime
    step_from: datetime
    """When this step began, or went on after a pause..."""
    step_base: int
    """...with so many done."""
    moved_at: datetime
    ended_at: datetime | None

    @property
    def notes(self) -> list[str]:
        """Each code of `note`, in the order in which they came."""
        return (self.note or "").split()

    @property
    def is_open(self) -> bool:
        """Neither at its end nor stopped."""
        return self.state not in ("done", "stopped")

    @property
    def done(self) -> int:
        """How far this step is."""
        return self.seen if self.state == "fetching" else self.place

    @property
    def of(self) -> int | None:
        """Where this step ends; None: nobody knows."""
        return self.expected if self.state == "fetching" else self.total

    @property
    def speed(self) -> float | None:
        """How many a second since this step began or went on; None: too early to say, or it stands still."""
        seconds = (self.moved_at - self.step_from).total_seconds()
        if self.paused or self.state not in WORKING or seconds < _STEADY:
            return None
        return (self.done - self.step_base) / seconds

    @property
    def remaining(self) -> timedelta | None:
        """How long this step takes still, at this speed."""
        if not self.speed or self.of is None:
            return None
        return timedelta(seconds=round(max(0, self.of - self.done) / self.speed))


_COLUMNS = ", ".join(f"b.{name}" for name in Backfill.__dataclass_fields__)


def can(connector: type[Connector]) -> bool:
    """Whether channels of this kind can be asked for their history."""
    return bool(connector.capabilities() & {"history", "reconcile"})


def by_id(session: Session, backfill_id: int) -> Backfill:
    """A backfill that exists."""
    rows = run(session, f"SELECT {_COLUMNS} FROM backfills b WHERE b.id = :id", {"id": backfill_id})
    return Backfill(**rows[0]._mapping)


def find(session: Session, program_id: int, public_id: str) -> Backfill | None:
    """A program's backfill."""
    rows = run(
        session,
        f"SELECT {_COLUMNS} FROM backfills b WHERE b.program_id = :program AND b.public_id = :id",
        {"program": program_id, "id": public_id},
    )
    return Backfill(**rows[0]._mapping) if rows else None


def latest(session: Session, channel: Channel) -> Backfill | None:
    """The channel's newest."""
    rows = run(
        session,
        f"""SELECT {_COLUMNS} FROM backfills b WHERE b.program_id = :program AND b.channel_id = :channel
            ORDER BY b.id DESC LIMIT 1""",
        {"program": channel.program_id, "channel": channel.id},
    )
    return Backfill(**rows[0]._mapping) if rows else None


def outcomes(session: Session, backfill_id: int) -> dict[str, int]:
    """How the messages ended that were brought in: state -> how many."""
    rows = run(
        session,
        """SELECT CASE WHEN d.state = 'done' THEN d.outcome ELSE d.state END AS ended, count(*) AS n
           FROM backfill_items i JOIN deliveries d ON d.id = i.delivery_id
           WHERE i.backfill_id = :id GROUP BY 1 ORDER BY 2 DESC""",
        {"id": backfill_id},
    )
    return {row.ended: row.n for row in rows}


def start(
    session: Session, channel: Channel, *, since: datetime, counts: Counts, actor: str
) -> Backfill:
    """Begin to fetch what the channel sold from then on until it was connected. Nothing is posted before
    somebody says `bring`. Raises `NotPossible`."""
    connected = run(session, "SELECT created_at FROM channels WHERE id = :id", {"id": channel.id})
    until = connected[0].created_at
    if channel.status != "active":
        raise NotPossible(_("the channel is not active"))
    if since >= until:
        raise NotPossible(
            _("the channel was connected on {day}: name an earlier day", day=f"{until:%Y-%m-%d}")
        )
    rows = run(
        session,
        """INSERT INTO backfills (public_id, program_id, channel_id, actor, since, until, counts)
           VALUES (:public_id, :program, :channel, :actor, :since, :until, :counts)
           ON CONFLICT (channel_id) WHERE state NOT IN ('done', 'stopped') DO NOTHING RETURNING id""",
        {
            "public_id": new_id("bfl"), "program": channel.program_id, "channel": channel.id, "actor": actor,
            "since": since, "until": until, "counts": counts,
        },
    )  # fmt: skip
    if not rows:
        raise NotPossible(_("a backfill of this channel is going on already"))
    begun = by_id(session, rows[0].id)
    detail = {"since": since.isoformat(), "counts": counts}
    record(session, channel.program_id, actor, "backfill.started", begun.public_id, detail)
    return begun


def bring(session: Session, backfill: Backfill, *, actor: str, counts: Counts | None = None) -> None:
    """Have what was tried posted. From this moment the channel's sales of that time count for what somebody
    says: those that come now, and every refund and repetition of them (rules.md B1). `counts`: must be
    what was tried. Raises `NotPossible`."""
    if counts is not None and counts != backfill.counts:
        raise NotPossible(_("this backfill was tried with something else; stop it and start another"))
    _change(
        session, backfill, ("tried",), "state = 'bringing', place = 0, step_base = 0, step_from = now()"
    )
    run(
        session,
        """UPDATE channels SET history_from = least(history_from, :since), history_until = :until,
               history_counts = :counts WHERE id = :id""",
        {
            "since": backfill.since, "until": backfill.until, "counts": backfill.counts,
            "id": backfill.channel_id,
        },
    )  # fmt: skip
    detail = {"counts": backfill.counts, "messages": backfill.total}
    record(session, backfill.program_id, actor, "backfill.brought", backfill.public_id, detail)


def pause(session: Session, backfill: Backfill, *, actor: str) -> None:
    """Let it rest where it is. Raises `NotPossible`."""
    _change(session, backfill, WORKING, "paused = true", "NOT paused")
    record(session, backfill.program_id, actor, "backfill.paused", backfill.public_id)


def go_on(session: Session, backfill: Backfill, *, actor: str) -> None:
    """Go on after a pause, or now, where the channel could not be asked. Raises `NotPossible`."""
    _change(
        session, backfill, WORKING,
        f"paused = false, next_at = now(), {AFRESH}", "(paused OR next_at > now())",
    )  # fmt: skip
    record(session, backfill.program_id, actor, "backfill.resumed", backfill.public_id)


def stop(session: Session, backfill: Backfill, *, actor: str) -> None:
    """End it for good. What was brought in stays, and what its sales count for; what was only fetched is
    erased. Raises `NotPossible`."""
    _change(session, backfill, (*WORKING, "tried"), "state = 'stopped', ended_at = now()")
    record(session, backfill.program_id, actor, "backfill.stopped", backfill.public_id)


AFRESH = """step_from = clock_timestamp(), moved_at = clock_timestamp(),
    step_base = CASE WHEN state = 'fetching' THEN seen ELSE place END"""
"""Speed is counted from now on."""


def _change(
    session: Session, backfill: Backfill, states: tuple[str, ...], sets: str, only: str = "true"
) -> None:
    rows = run(
        session,
        f"UPDATE backfills SET {sets} WHERE id = :id AND state = ANY(:states) AND {only} RETURNING id",
        {"id": backfill.id, "states": list(states)},
    )
    if not rows:
        raise NotPossible(_("the backfill is not in a state for that any more; look again"))


def due(session: Session, now: datetime) -> list[int]:
    """Those that go on by themselves and whose time has come, and stopped ones that leave something to
    erase; who waits longest first."""
    rows = run(
        session,
        """SELECT b.id FROM backfills b JOIN channels c ON c.id = b.channel_id
           WHERE (b.state = ANY(:working) AND NOT b.paused AND b.next_at <= :now
                  AND (c.status = 'active' OR b.state <> 'fetching'))
              OR (b.state = 'stopped' AND b.cleared_at IS NULL)
           ORDER BY b.next_at, b.id LIMIT 20""",
        {"working": list(WORKING), "now": now},
    )
    return [row.id for row in rows]


def after_restore(session: Session) -> None:
    """A restored hub has new leases; what went on goes on when a person says so."""
    run(
        session,
        "UPDATE backfills SET fence = 0, paused = state = ANY(:working)",
        {"working": list(WORKING)},
    )
