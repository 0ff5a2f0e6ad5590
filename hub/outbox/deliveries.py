"""Deliveries in both directions: enqueue, claim under a lease, finish, fail, free what is stuck.

The row is the truth about a message; Redis only rings (design: PostgreSQL is the truth). Every
finish checks the lease's fencing token, so a worker that was thought dead cannot write late.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy.orm import Session

from hub.bulk import arrays, json_text, run, unnest
from hub.errors import ChannelDown, Fault, FaultName

Direction = Literal["inbound", "outbound"]
Outcome = Literal["posted", "ignored", "superseded", "no_change", "waiting", "pushed", "fetched"]

URGENT, NORMAL, LATER = 1, 5, 8
"""Priorities: revoking a used code goes ahead of everything, balances wait."""

SUSPECT = 3
"""A delivery whose lease ran out this often is claimed alone: it may kill its worker. The index
deliveries_suspect says the same number."""
POISON = 6
"""After this many leases that ran out it is parked."""
SUSPECT_WAITS = timedelta(seconds=10)
"""Suspects come after all others, but not for ever when there is no end of others."""
CLAIM_BYTES = 32 * 1024 * 1024
"""A claim ends with the delivery that goes over this: bodies have up to 10 MB."""
MAX_ATTEMPTS = 14
"""Outbound tries before a delivery is left to a person: with the back-off below about four days."""
_LEAST_WAIT = timedelta(seconds=1)
_FIRST_WAIT = timedelta(minutes=1)
_LONGEST_WAIT = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery this process works on, under the lease `token`."""

    id: int
    program_id: int
    channel_id: int
    topic: str
    key: str
    subject: str
    source: str
    headers: Mapping[str, str]
    body: bytes
    body_hash: bytes
    received_at: datetime
    attempts: int
    generation: int
    token: int
    priority: int


@dataclass(frozen=True, slots=True)
class Finish:
    """How one attempt at a delivery ended."""

    delivery: Claimed
    state: Literal["done", "waiting", "failed", "parked", "due"]
    outcome: str | None = None
    reason: str | None = None
    number: str = ""
    subject: str = ""
    fault: FaultName | None = None
    code: str | None = None
    detail: str | None = None
    due_at: datetime | None = None
    counts: bool = True
    """False: it is no attempt of this delivery's (its channel is paused, or asked us to wait)."""
    milliseconds: int = 0
    exchanges: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    ended: float = field(default_factory=time.monotonic)
    """When (monotonic seconds): it may be written a moment later."""


class LeaseLost(Exception):
    """Another process took a delivery over; nothing of this batch may be written."""


def backoff(attempts: int, now: datetime, asked: datetime | None = None) -> datetime:
    """When to try again: 1 min doubling to 12 h, with jitter of a fifth, and never before the
    channel asked us to (Retry-After)."""
    wait = min(_FIRST_WAIT * int(2 ** min(max(attempts - 1, 0), 20)), _LONGEST_WAIT)
    jittered = now + wait * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, guards nothing
    return max(jittered, asked) if asked else jittered


def pause(times: int, now: datetime, asked: datetime | None) -> datetime:
    """Until when a channel that was down `times` times in a row is left alone: as long as it asked,
    and a little longer so that not all come at once, else with back-off."""
    if asked is None:
        return backoff(times, now)
    return asked + (asked - now) * random.uniform(0, 0.1) + _LEAST_WAIT  # noqa: S311 - as above


_CLAIM = """
UPDATE deliveries d
SET state = 'working', lease_until = clock_timestamp() + :lease, lease_token = t.token, attempts = d.attempts + 1
FROM (
    SELECT s.id FROM (
        SELECT q.id, q.size, sum(q.size) OVER (ORDER BY q.priority, q.due_at, q.id) AS upto
        FROM (
            SELECT q.id, q.priority, q.due_at, octet_length(q.body) AS size FROM deliveries q
            WHERE q.direction = :direction AND q.state = 'due' AND {which}
            ORDER BY q.priority, q.due_at
            LIMIT :limit
            FOR UPDATE OF q SKIP LOCKED
        ) q
    ) s WHERE s.upto - s.size < :bytes
) q, (SELECT nextval('lease_tokens') AS token) t
WHERE d.id = q.id
RETURNING d.id, d.program_id, d.channel_id, d.topic, d.key, d.subject, d.source, d.headers, d.body, d.body_hash,
          d.received_at, d.attempts, d.generation, d.lease_token AS token, d.priority
"""
_HEALTHY = f"q.lost < {SUSPECT} AND q.due_at <= clock_timestamp()"
_SUSPECT = f"q.lost >= {SUSPECT} AND q.due_at <= clock_timestamp()"
_WAITED = f"q.lost >= {SUSPECT} AND q.due_at <= clock_timestamp() - CAST(:waits AS interval)"
_HAS_DUE = """EXISTS (SELECT 1 FROM deliveries q WHERE q.channel_id = c.id AND q.direction = 'outbound'
    AND q.state = 'due' AND q.due_at <= clock_timestamp()"""
_MAY_PUSH = f"""c.status = 'active' AND (c.down_until IS NULL OR c.down_until <= clock_timestamp())
    AND {_HAS_DUE})
    AND NOT EXISTS (SELECT 1 FROM deliveries w WHERE w.state = 'working' AND w.direction = 'outbound'
                    AND w.lease_until > clock_timestamp() AND w.channel_id = c.id)"""


def claim(session: Session, direction: Direction, *, limit: int, lease: timedelta) -> list[Claimed]:
    """Take up to `limit` due deliveries, oldest first; outbound ones of one channel alone. The start
    must be committed before the work begins: a delivery that kills its worker is found out by the
    leases that ran out."""
    parameters: dict[str, Any] = {
        "direction": direction, "limit": limit, "lease": lease, "bytes": CLAIM_BYTES, "waits": SUSPECT_WAITS,
    }  # fmt: skip
    where = ""
    if direction == "outbound":
        parameters["channel"] = _next_channel(session)
        where = " AND q.channel_id = :channel"
        if parameters["channel"] is None:
            return []
    for which, most in ((_WAITED, 1), (_HEALTHY, limit), (_SUSPECT, 1)):
        rows = run(session, _CLAIM.format(which=which + where), {**parameters, "limit": most})
        if rows:
            break
    claimed = [Claimed(**row._mapping) for row in rows]
    return sorted(claimed, key=lambda c: (c.priority, c.id))


def claim_these(
    session: Session, ids: Sequence[int], *, waiting_for: str, own: str, lease: timedelta
) -> list[Claimed]:
    """Take inbound deliveries that wait for us with that reason, and, to be read again, those that are done
    and whose key does not begin with `own`. What somebody else is at, or what is due, is left alone."""
    rows = run(
        session,
        """UPDATE deliveries d SET state = 'working', lease_until = clock_timestamp() + :lease,
               lease_token = t.token, attempts = 1, lost = 0, outcome = NULL, reason = NULL, finished_at = NULL
           FROM (SELECT id FROM deliveries WHERE id = ANY(:ids) AND direction = 'inbound'
                   AND ((state = 'waiting' AND reason = :reason) OR (state = 'done' AND NOT starts_with(key, :own)))
                 ORDER BY channel_id, direction, key FOR UPDATE SKIP LOCKED) q,
                (SELECT nextval('lease_tokens') AS token) t
           WHERE d.id = q.id
           RETURNING d.id, d.program_id, d.channel_id, d.topic, d.key, d.subject, d.source, d.headers, d.body,
                     d.body_hash, d.received_at, d.attempts, d.generation, d.lease_token AS token, d.priority""",
        {"ids": list(ids), "reason": waiting_for, "own": own, "lease": lease},
    )
    return [Claimed(**row._mapping) for row in rows]


def read(session: Session, ids: Sequence[int]) -> list[Claimed]:
    """These deliveries as they came, without a claim on them: to be understood anew."""
    rows = run(
        session,
        """SELECT id, program_id, channel_id, topic, key, subject, source, headers, body, body_hash,
                  received_at, attempts, generation, 0 AS token, priority
           FROM deliveries WHERE id = ANY(:ids) ORDER BY id""",
        {"ids": list(ids)},
    )
    return [Claimed(**row._mapping) for row in rows]


def _next_channel(session: Session) -> int | None:
    """The channel whose turn it is: one that nobody pushes to now, so that a slow one holds up one
    worker at most; urgent matters first, then who was served longest ago."""
    rows = run(
        session,
        f"""UPDATE channels SET pushed_at = clock_timestamp() WHERE id = (
                SELECT c.id FROM channels c WHERE {_MAY_PUSH}
                ORDER BY {_HAS_DUE} AND q.priority = {URGENT}) DESC, c.pushed_at NULLS FIRST, c.id
                LIMIT 1 FOR NO KEY UPDATE OF c SKIP LOCKED)
            RETURNING id""",
    )
    return rows[0].id if rows else None


_FINISH = {
    "id": "bigint",
    "token": "bigint",
    "generation": "integer",
    "state": "text",
    "outcome": "text",
    "reason": "text",
    "number": "text",
    "subject": "text",
    "fault": "text",
    "code": "text",
    "detail": "text",
    "due_at": "timestamptz",
    "uncounted": "integer",
}
_ATTEMPT = {
    "delivery_id": "bigint",
    "program_id": "bigint",
    "number": "integer",
    "milliseconds": "integer",
    "ago": "integer",
    "outcome": "text",
    "fault": "text",
    "code": "text",
    "detail": "text",
    "exchanges": "jsonb",
}


def finish(session: Session, finishes: Sequence[Finish], *, worker: str) -> None:
    """Write how these attempts ended, and an attempt row each. Raises `LeaseLost` when any lease is
    not ours any more: the caller's transaction must roll back.

    A delivery that was asked for again while it was worked on (its generation moved) is due again.
    """
    if not finishes:
        return
    # in the order in which the inbox counts repetitions of the same rows: neither waits for the other
    ordered = sorted(finishes, key=lambda f: (f.delivery.channel_id, f.delivery.key))
    rows = [_finish_row(f) for f in ordered]
    done = run(
        session,
        f"""UPDATE deliveries d SET
                state = CASE WHEN d.generation <> r.generation THEN 'due' ELSE r.state END,
                outcome = r.outcome, reason = r.reason,
                number = CASE WHEN r.number <> '' THEN r.number ELSE d.number END,
                subject = CASE WHEN r.subject <> '' THEN r.subject ELSE d.subject END,
                fault = r.fault, code = r.code, detail = r.detail,
                due_at = coalesce(r.due_at, d.due_at),
                attempts = CASE WHEN r.state = 'done' THEN d.attempts ELSE d.attempts - r.uncounted END,
                finished_at = CASE WHEN r.state = 'due' THEN NULL ELSE clock_timestamp() END,
                lease_until = NULL, lease_token = NULL
            FROM {unnest(_FINISH)} WHERE d.id = r.id AND d.lease_token = r.token AND d.state = 'working'
            RETURNING d.id""",
        arrays(_FINISH, rows),
    )
    if len(done) != len(rows):
        raise LeaseLost
    _record_attempts(session, [f for f in finishes if f.counts or f.fault], worker)


def _finish_row(finish: Finish) -> dict[str, Any]:
    return {
        "id": finish.delivery.id,
        "token": finish.delivery.token,
        "generation": finish.delivery.generation,
        "state": finish.state,
        "outcome": finish.outcome,
        "reason": finish.reason,
        "number": finish.number,
        "subject": finish.subject,
        "fault": finish.fault,
        "code": finish.code,
        "detail": finish.detail,
        "due_at": finish.due_at,
        "uncounted": 0 if finish.counts else 1,
    }


def _record_attempts(session: Session, finishes: Sequence[Finish], worker: str) -> None:
    now = time.monotonic()
    rows = [
        {
            "delivery_id": f.delivery.id,
            "program_id": f.delivery.program_id,
            "number": f.delivery.attempts,
            "milliseconds": f.milliseconds,
            "ago": f.milliseconds + int((now - f.ended) * 1000),
            "outcome": f.outcome or f.state,
            "fault": f.fault,
            "code": f.code,
            "detail": f.detail,
            "exchanges": json_text(list(f.exchanges)) if f.exchanges else "[]",
        }
        for f in finishes
    ]
    if not rows:
        return
    written = [column for column in _ATTEMPT if column != "ago"]
    run(
        session,
        f"""INSERT INTO attempts ({", ".join(written)}, started_at, worker)
            SELECT {", ".join(f"r.{c}" for c in written)},
                   clock_timestamp() - r.ago * interval '1 millisecond', :worker
            FROM {unnest(_ATTEMPT)}""",
        {**arrays(_ATTEMPT, rows), "worker": worker},
    )


def failure(delivery: Claimed, fault: Fault, now: datetime, **more: Any) -> Finish:
    """How an attempt that met a fault ends: the channel's faults are retried, the rest wait for a
    person (a replay makes them due again)."""
    retried = fault.retryable and delivery.attempts < MAX_ATTEMPTS
    asked = fault.retry_at if isinstance(fault, ChannelDown) else None
    return Finish(
        delivery,
        "due" if retried else "failed",
        fault=fault.fault,
        code=fault.code,
        detail=fault.detail,
        due_at=backoff(delivery.attempts, now, asked) if retried else None,
        **more,
    )


def release(session: Session, came: Mapping[tuple[int, str, bool], str]) -> None:
    """What waited is done: (channel, subject, whether it waited for a look-up's answer) -> outcome. Its
    contribution was stored when it arrived."""
    columns = {"channel_id": "bigint", "subject": "text", "fetched": "boolean", "outcome": "text"}
    if not came:
        return
    rows = [dict(zip(columns, (*one, came[one]), strict=True)) for one in sorted(came)]
    run(
        session,
        f"""UPDATE deliveries d SET state = 'done', outcome = r.outcome, finished_at = clock_timestamp()
            FROM {unnest(columns)}
            WHERE d.channel_id = r.channel_id AND d.subject = r.subject AND d.state = 'waiting'
              AND d.direction = 'inbound' AND (d.reason = 'fetch') = r.fetched""",
        arrays(columns, rows),
    )


# --- outbound ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Push:
    """Something a channel should be told. One row per `key`: asking again makes it due again, and
    what exactly is sent follows from the state at that moment."""

    program_id: int
    channel_id: int
    topic: str
    key: str
    subject: str = ""
    priority: int = NORMAL
    body: Mapping[str, Any] = field(default_factory=dict)
    delay: timedelta = timedelta(0)


_PUSH = {
    "program_id": "bigint",
    "channel_id": "bigint",
    "topic": "text",
    "key": "text",
    "subject": "text",
    "priority": "smallint",
    "body": "text",
    "delay": "interval",
}


def enqueue(session: Session, pushes: Sequence[Push]) -> None:
    """Make pushes due, in the caller's transaction (the outbox). Pushes of one key coalesce: a row
    that is being worked on gets a new generation and is done once more after that."""
    if pushes:
        run(session, ENQUEUED, pushed(pushes))


def pushed(pushes: Sequence[Push]) -> dict[str, list[Any]]:
    """The parameters of `ENQUEUED`."""
    latest = {(p.channel_id, p.key): p for p in pushes}
    rows = [
        {
            "program_id": p.program_id,
            "channel_id": p.channel_id,
            "topic": p.topic,
            "key": p.key,
            "subject": p.subject,
            "priority": p.priority,
            "body": json_text(p.body),
            "delay": p.delay,
        }
        for _, p in sorted(latest.items(), key=lambda one: one[0])
    ]
    return arrays(_PUSH, rows)


ENQUEUED = f"""INSERT INTO deliveries (program_id, channel_id, direction, topic, key, subject, source, priority,
                            body, body_hash, due_at)
    SELECT r.program_id, r.channel_id, 'outbound', r.topic, r.key, r.subject, 'hub', r.priority,
           convert_to(r.body, 'UTF8'), sha256(convert_to(r.body, 'UTF8')), clock_timestamp() + r.delay
    FROM {unnest(_PUSH)}
    ON CONFLICT (channel_id, direction, key) DO UPDATE SET
        topic = excluded.topic, body = excluded.body, body_hash = excluded.body_hash,
        priority = least(excluded.priority, deliveries.priority),
        generation = deliveries.generation + 1,
        state = CASE WHEN deliveries.state = 'working' THEN 'working' ELSE 'due' END,
        due_at = CASE WHEN deliveries.state = 'due'
                      THEN least(deliveries.due_at, excluded.due_at) ELSE excluded.due_at END,
        attempts = CASE WHEN deliveries.state = 'working' THEN deliveries.attempts ELSE 0 END,
        lost = CASE WHEN deliveries.state = 'working' THEN deliveries.lost ELSE 0 END,
        outcome = NULL, reason = NULL, fault = NULL, code = NULL, detail = NULL, finished_at = NULL"""
"""Makes pushes due; it can be a part of another statement."""


# --- housekeeping --------------------------------------------------------------------------------


def free_stuck(session: Session) -> list[int]:
    """Make deliveries due again whose lease ran out (their worker died), and park those that were
    started too often without an end. Returns the ids of both."""
    rows = run(
        session,
        """UPDATE deliveries SET lost = lost + 1,
               state = CASE WHEN lost + 1 >= :poison THEN 'parked' ELSE 'due' END,
               fault = CASE WHEN lost + 1 >= :poison THEN 'hub' END,
               code = CASE WHEN lost + 1 >= :poison THEN 'kills_its_worker' END,
               detail = CASE WHEN lost + 1 >= :poison
                             THEN 'Each time it was processed the worker died; it is kept aside.' END,
               lease_until = NULL, lease_token = NULL, due_at = clock_timestamp()
           WHERE id IN (SELECT id FROM deliveries
                        WHERE state = 'working' AND lease_until < clock_timestamp()
                        ORDER BY id FOR UPDATE SKIP LOCKED)
           RETURNING id""",
        {"poison": POISON},
    )
    return [row.id for row in rows]


def is_any_due(session: Session, direction: Direction) -> bool:
    """Whether a drain would find something now."""
    if direction == "outbound":
        return bool(run(session, f"SELECT 1 FROM channels c WHERE {_MAY_PUSH} LIMIT 1"))
    return bool(
        run(
            session,
            """SELECT 1 FROM deliveries WHERE direction = 'inbound' AND state = 'due'
                 AND due_at <= clock_timestamp() LIMIT 1""",
        )
    )


def ask_again(session: Session, ids: Sequence[int]) -> None:
    """Make pushes due once more, also those that another worker has at hand now."""
    run(
        session,
        """UPDATE deliveries SET generation = generation + 1, due_at = clock_timestamp(),
               state = CASE WHEN state = 'working' THEN 'working' ELSE 'due' END
           WHERE id IN (SELECT id FROM deliveries WHERE id = ANY(:ids) ORDER BY id FOR UPDATE)""",
        {"ids": list(ids)},
    )


def replay(session: Session, ids: Sequence[int]) -> list[int]:
    """Make finished deliveries due again, and those that are retried later due now: the very same
    path as the first time. Those that are due anyhow or being worked on are left alone. Returns the
    ids made due. A row that somebody else has locked is being worked on or replayed by them: waiting
    for it while holding others would be a circle."""
    rows = run(
        session,
        """UPDATE deliveries SET state = 'due', due_at = clock_timestamp(), attempts = 0, lost = 0,
               outcome = NULL, reason = NULL, fault = NULL, code = NULL, detail = NULL, finished_at = NULL
           WHERE id IN (SELECT id FROM deliveries WHERE id = ANY(:ids) AND (state NOT IN ('due', 'working')
                            OR (state = 'due' AND code IS NOT NULL AND due_at > clock_timestamp()))
                        ORDER BY channel_id, direction, key FOR UPDATE SKIP LOCKED)
           RETURNING id""",
        {"ids": list(ids)},
    )
    return [row.id for row in rows]
