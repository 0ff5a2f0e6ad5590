"""One delivery with its attempts and the messages that belong to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from hub.bulk import run

SHOWN_ATTEMPTS = 100
_RELATED = 20


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try. Attempts are counted anew after each replay; `place` goes on over all of them."""

    place: int
    id: int
    number: int
    started_at: datetime
    milliseconds: int
    worker: str
    outcome: str
    fault: str | None
    code: str | None
    detail: str | None
    exchanges: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Relative:
    """Another delivery about the same."""

    id: int
    direction: str
    topic: str
    number: str
    source: str
    received_at: datetime
    state: str
    outcome: str | None
    reason: str | None
    fault: str | None
    code: str | None
    detail: str | None


_ONE = """
SELECT d.id, d.program_id, d.channel_id, d.direction, d.topic, d.key, d.subject, d.number, d.source, d.headers, d.body,
       d.body_hash, d.received_at, d.duplicates, d.last_duplicate_at, d.conflicts_with, d.generation, d.priority,
       d.state, d.due_at, d.attempts, d.outcome, d.reason, d.fault, d.code, d.detail, d.finished_at,
       c.name AS channel, c.public_id AS channel_public_id, c.kind, c.status AS channel_status,
       c.down_until, c.down_code, c.down_detail
FROM deliveries d JOIN channels c ON c.id = d.channel_id WHERE d.program_id = :program AND d.id = :id
"""


def one(session: Session, program_id: int, delivery_id: int) -> Row[Any] | None:
    """A program's delivery with all its columns and its channel's."""
    rows = run(session, _ONE, {"program": program_id, "id": delivery_id})
    return rows[0] if rows else None


def body(session: Session, program_id: int, delivery_id: int) -> bytes | None:
    """Its raw bytes alone."""
    rows = run(
        session,
        "SELECT body FROM deliveries WHERE program_id = :program AND id = :id",
        {"program": program_id, "id": delivery_id},
    )
    return bytes(rows[0].body) if rows else None


def attempts(session: Session, delivery_id: int) -> list[Attempt]:
    """Its attempts, newest first, at most `SHOWN_ATTEMPTS`."""
    rows = run(
        session,
        f"""SELECT count(*) OVER () - row_number() OVER (ORDER BY id DESC) + 1 AS place, id, number, started_at,
                   milliseconds, worker, outcome, fault, code, detail, exchanges
            FROM attempts WHERE delivery_id = :id ORDER BY id DESC LIMIT {SHOWN_ATTEMPTS:d}""",
        {"id": delivery_id},
    )
    return [Attempt(**row._mapping) for row in rows]


_RELATIVE = (
    """id, direction, topic, number, source, received_at, state, outcome, reason, fault, code, detail"""
)


def about_the_same(session: Session, row: Row[Any]) -> list[Relative]:
    """Other deliveries of the channel with the same subject, newest first."""
    if not row.subject:
        return []
    found = run(
        session,
        f"""SELECT {_RELATIVE} FROM deliveries
            WHERE program_id = :program AND subject = :subject AND subject <> '' AND channel_id = :channel
              AND id <> :id ORDER BY id DESC LIMIT {_RELATED:d}""",
        {"program": row.program_id, "subject": row.subject, "channel": row.channel_id, "id": row.id},
    )
    return [Relative(**r._mapping) for r in found]


def conflicting(session: Session, row: Row[Any]) -> list[Relative]:
    """Deliveries that came under the key of this one with another body, or the one whose key this
    one came under."""
    found = run(
        session,
        f"""(SELECT {_RELATIVE} FROM deliveries WHERE program_id = :program AND id = :first)
            UNION ALL
            (SELECT {_RELATIVE} FROM deliveries WHERE program_id = :program AND code = 'conflict'
               AND conflicts_with = :id ORDER BY id LIMIT {_RELATED:d})""",
        {"program": row.program_id, "first": row.conflicts_with, "id": row.id},
    )
    return [Relative(**r._mapping) for r in found]
