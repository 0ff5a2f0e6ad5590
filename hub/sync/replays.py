"""Replays as rows: a frozen set of deliveries, what a rehearsal said of them, and how each ended.

A replay makes its deliveries due again at its pace, a few with each round of the sweeper: nothing
is lost with a process, two of the same set leave each other's deliveries alone, and the page that
shows one has an address. What follows is the one path of every delivery.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from hub.audit import record
from hub.bulk import arrays, run, unnest
from hub.ids import new_id
from hub.outbox import deliveries
from hub.runtime import Runtime
from hub.sync.rehearse import Rehearsal

log = structlog.get_logger()

MOST = 10_000
"""Deliveries of one replay; of more that match the newest are taken, and the page says so."""
PACE = 20
"""Deliveries a second, where nothing else is asked for."""
PACES = (5, 20, 100)
_ROUND = 500
_FORGOTTEN = "7 days"
"""A replay that was only planned is dropped after so long."""

ENDED = ("left_alone", "changed", "right", "waiting", "failing")


class NotPossible(Exception):
    """A replay that is not in a state for this: it has ended, or another person was quicker."""


@dataclass(frozen=True, slots=True)
class Replay:
    """One replay and how far it is."""

    id: int
    public_id: str
    actor: str
    wish: Mapping[str, Any]
    more_matched: bool
    forecast: Mapping[str, Any]
    state: str
    pace: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    counts: Mapping[str, int]
    """State of an item -> how many."""

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def ended(self) -> int:
        """How many items have come to an end."""
        return sum(self.counts.get(state, 0) for state in ENDED)

    @property
    def is_open(self) -> bool:
        """Something may still happen."""
        return self.state in ("running", "paused") or self.counts.get("released", 0) > 0


@dataclass(frozen=True, slots=True)
class Item:
    """One delivery of a replay, with what was forecast and how it ended."""

    place: int
    delivery_id: int
    forecast: Mapping[str, Any] | None
    state: str
    released_at: datetime | None
    ended_at: datetime | None
    outcome: str | None
    reason: str | None
    fault: str | None
    code: str | None
    detail: str | None
    channel: str
    kind: str
    direction: str
    topic: str
    number: str
    subject: str


# --- planning ------------------------------------------------------------------------------------


def plan(
    session: Session,
    program_id: int,
    ids: Sequence[int],
    *,
    actor: str,
    wish: Mapping[str, Any] | None = None,
    more_matched: bool = False,
    pace: int = PACE,
) -> str:
    """Freeze a set of a program's deliveries, oldest first; returns the replay's public id. Nothing
    is replayed yet. Ids of others are left out."""
    public_id = new_id("rpl")
    row = run(
        session,
        """INSERT INTO replays (public_id, program_id, actor, wish, more_matched, pace)
           VALUES (:public_id, :program, :actor, CAST(:wish AS jsonb), :more, :pace) RETURNING id""",
        {
            "public_id": public_id,
            "program": program_id,
            "actor": actor,
            "wish": json.dumps(dict(wish or {})),
            "more": more_matched,
            "pace": max(1, pace),
        },
    )[0]
    run(
        session,
        """INSERT INTO replay_items (replay_id, program_id, place, delivery_id)
           SELECT :replay, program_id, row_number() OVER (ORDER BY id), id FROM deliveries
           WHERE program_id = :program AND id = ANY(:ids)""",
        {"replay": row.id, "program": program_id, "ids": sorted(set(ids))[-MOST:]},
    )
    return public_id


def delivery_ids(session: Session, replay_id: int) -> list[int]:
    """The frozen set."""
    rows = run(
        session,
        "SELECT delivery_id FROM replay_items WHERE replay_id = :id ORDER BY place",
        {"id": replay_id},
    )
    return [row.delivery_id for row in rows]


def note_forecast(session: Session, replay_id: int, rehearsal: Rehearsal) -> None:
    """Keep what a rehearsal said, as long as nothing was replayed yet."""
    now = run(session, "SELECT clock_timestamp() AS now")[0].now
    summary = rehearsal.summary() | {"at": now.isoformat()}
    kept = run(
        session,
        """UPDATE replays SET forecast = CAST(:summary AS jsonb) WHERE id = :id AND state = 'planned'
           RETURNING id""",
        {"summary": json.dumps(summary), "id": replay_id},
    )
    if not kept:
        return
    run(
        session,
        "UPDATE replay_items SET forecast = NULL WHERE replay_id = :id AND forecast IS NOT NULL",
        {"id": replay_id},
    )
    columns = {"delivery_id": "bigint", "forecast": "jsonb"}
    rows = [
        {"delivery_id": i, "forecast": json.dumps(f.as_json())}
        for i, f in rehearsal.forecasts.items()
        if f.kind != "unsure"  # what nobody knows is not written, of ten thousand either
    ]
    run(
        session,
        f"""UPDATE replay_items i SET forecast = r.forecast FROM {unnest(columns)}
            WHERE i.replay_id = :id AND i.delivery_id = r.delivery_id""",
        {**arrays(columns, rows), "id": replay_id},
    )


# --- reading -------------------------------------------------------------------------------------

_REPLAY = """
SELECT r.id, r.public_id, r.actor, r.wish, r.more_matched, r.forecast, r.state, r.pace, r.created_at, r.started_at,
       r.ended_at,
       coalesce((SELECT jsonb_object_agg(state, n) FROM (SELECT state, count(*) AS n FROM replay_items i
                                                         WHERE i.replay_id = r.id GROUP BY state) c), '{}') AS counts
FROM replays r WHERE r.program_id = :program
"""


def find(session: Session, program_id: int, public_id: str) -> Replay | None:
    """A program's replay."""
    rows = run(session, f"{_REPLAY} AND r.public_id = :id", {"program": program_id, "id": public_id})
    return Replay(**rows[0]._mapping) if rows else None


def latest(
    session: Session, program_id: int, limit: int = 20, before: int | None = None
) -> list[Replay]:
    """The newest replays of a program that were started, and those still planned."""
    rows = run(
        session,
        f"{_REPLAY} AND (CAST(:before AS bigint) IS NULL OR r.id < :before) ORDER BY r.id DESC LIMIT {limit:d}",
        {"program": program_id, "before": before},
    )
    return [Replay(**row._mapping) for row in rows]


def items(
    session: Session, replay: Replay, *, state: str | None = None, after: int = 0, limit: int = 50
) -> list[Item]:
    """Items in their order, from a place on; of one state, or all."""
    rows = run(
        session,
        f"""SELECT i.place, i.delivery_id, i.forecast, i.state, i.released_at, i.ended_at, i.outcome, i.reason,
                   i.fault, i.code, i.detail, c.name AS channel, c.kind, d.direction, d.topic, d.number, d.subject
            FROM replay_items i JOIN deliveries d ON d.id = i.delivery_id JOIN channels c ON c.id = d.channel_id
            WHERE i.replay_id = :id AND i.place > :after AND (CAST(:state AS text) IS NULL OR i.state = :state)
            ORDER BY i.place LIMIT {limit:d}""",
        {"id": replay.id, "after": after, "state": state},
    )
    return [Item(**row._mapping) for row in rows]


# --- going ---------------------------------------------------------------------------------------


def start(
    session: Session, program_id: int, public_id: str, *, actor: str, pace: int | None = None
) -> None:
    """Begin, or go on after a pause; the first are due at once. Raises `NotPossible`."""
    found = _changed(
        session,
        program_id,
        public_id,
        ("planned", "paused"),
        """state = 'running', paced_from = clock_timestamp(), paced_count = 0, pace = coalesce(:pace, pace),
           started_at = coalesce(started_at, clock_timestamp())""",
        {"pace": pace},
    )
    count = run(session, "SELECT count(*) AS n FROM replay_items WHERE replay_id = :id", {"id": found})
    record(session, program_id, actor, "deliveries.replayed", public_id, {"count": count[0].n})
    advance(session, found)


def pause(session: Session, program_id: int, public_id: str, *, actor: str) -> None:
    """Make no more due until it goes on; what is due already is processed. Raises `NotPossible`."""
    _changed(session, program_id, public_id, ("running",), "state = 'paused'")
    record(session, program_id, actor, "replay.paused", public_id)


def stop(session: Session, program_id: int, public_id: str, *, actor: str) -> None:
    """Leave the rest as it is, for good. Raises `NotPossible`."""
    _changed(
        session,
        program_id,
        public_id,
        ("planned", "running", "paused"),
        "state = 'stopped', ended_at = clock_timestamp()",
    )
    record(session, program_id, actor, "replay.stopped", public_id)


def _changed(
    session: Session,
    program_id: int,
    public_id: str,
    states: Sequence[str],
    sets: str,
    more: Mapping[str, Any] | None = None,
) -> int:
    rows = run(
        session,
        f"""UPDATE replays SET {sets} WHERE program_id = :program AND public_id = :id AND state = ANY(:states)
            RETURNING id""",
        {"program": program_id, "id": public_id, "states": list(states), **(more or {})},
    )
    if not rows:
        raise NotPossible(public_id)
    replay_id: int = rows[0].id
    return replay_id


def advance(session: Session, replay_id: int) -> int:
    """Note how items ended, and make as many more due as the pace allows by now. Returns how many;
    0 as well when another process is at it."""
    rows = run(
        session,
        """SELECT program_id, state, least(:most, greatest(0, pace - paced_count
                  + floor(extract(epoch FROM clock_timestamp() - paced_from) * pace)))::int AS allowed
           FROM replays WHERE id = :id FOR UPDATE SKIP LOCKED""",
        {"id": replay_id, "most": _ROUND},
    )
    if not rows:
        return 0
    _note_endings(session, replay_id)
    if rows[0].state != "running":
        return 0
    released = _release(session, replay_id, rows[0].allowed)
    run(
        session,
        """UPDATE replays r SET paced_count = paced_count + :released,
               state = CASE WHEN open.n = 0 THEN 'done' ELSE r.state END,
               ended_at = CASE WHEN open.n = 0 THEN clock_timestamp() END
           FROM (SELECT count(*) AS n FROM replay_items
                 WHERE replay_id = :id AND state IN ('planned', 'released')) open
           WHERE r.id = :id""",
        {"id": replay_id, "released": released},
    )
    return released


def _release(session: Session, replay_id: int, allowed: int) -> int:
    """Make the next ones due; those that are due or worked on already are left alone."""
    rows = run(
        session,
        """SELECT delivery_id FROM replay_items WHERE replay_id = :id AND state = 'planned'
           ORDER BY place LIMIT :allowed""",
        {"id": replay_id, "allowed": allowed},
    )
    ids = [row.delivery_id for row in rows]
    if not ids:
        return 0
    made_due = deliveries.replay(session, ids)
    run(
        session,
        """UPDATE replay_items SET released_at = clock_timestamp(),
               state = CASE WHEN delivery_id = ANY(:due) THEN 'released' ELSE 'left_alone' END,
               ended_at = CASE WHEN delivery_id = ANY(:due) THEN NULL ELSE clock_timestamp() END
           WHERE replay_id = :id AND delivery_id = ANY(:ids)""",
        {"id": replay_id, "due": made_due, "ids": ids},
    )
    return len(ids)


def _note_endings(session: Session, replay_id: int) -> None:
    """What a delivery came to is kept with the replay: a later replay of it does not rewrite this
    one's story. One that failed and is tried again by itself waits, and so does a push to a channel
    that nothing is pushed to now."""
    run(
        session,
        """UPDATE replay_items i SET ended_at = clock_timestamp(), outcome = d.outcome,
               reason = CASE WHEN d.state <> 'due' OR d.code IS NOT NULL THEN d.reason
                             WHEN c.status <> 'active' THEN 'channel_' || c.status ELSE 'channel_down' END,
               fault = d.fault, code = d.code, detail = d.detail,
               state = CASE WHEN d.state IN ('failed', 'parked', 'settled') THEN 'failing'
                            WHEN d.state IN ('waiting', 'due', 'working') THEN 'waiting'
                            WHEN d.outcome IN ('posted', 'pushed', 'fetched') THEN 'changed'
                            ELSE 'right' END
           FROM deliveries d JOIN channels c ON c.id = d.channel_id
           WHERE i.replay_id = :id AND i.state = 'released' AND d.id = i.delivery_id
             AND (d.state NOT IN ('due', 'working') OR d.code IS NOT NULL
                  OR (d.direction = 'outbound' AND d.state = 'due'
                      AND (c.status <> 'active' OR c.down_until > clock_timestamp())))""",
        {"id": replay_id},
    )


def advance_all(runtime: Runtime) -> int:
    """A round of the sweeper: every replay that runs, or whose last items are on their way, one
    transaction each. Returns how many deliveries were made due."""
    with runtime.sessions() as session:
        running = run(session, _OPEN)
    released = 0
    for row in running:
        try:
            with runtime.sessions.begin() as session:
                released += advance(session, row.id)
        except OperationalError as error:
            log.warning("a replay waits for its next round", replay=row.id, error=type(error).__name__)
    return released


_OPEN = """
SELECT id FROM replays WHERE state = 'running'
UNION SELECT replay_id FROM replay_items WHERE state = 'released'
ORDER BY id
"""


def forget(session: Session) -> None:
    """Drop what was planned and never begun."""
    run(
        session,
        f"""DELETE FROM replays WHERE state = 'planned' AND started_at IS NULL
            AND created_at < clock_timestamp() - interval '{_FORGOTTEN}'""",
    )


def after_restore(session: Session) -> None:
    """What ran when a backup was made goes on when a person says so."""
    run(session, "UPDATE replays SET state = 'paused' WHERE state = 'running'")
