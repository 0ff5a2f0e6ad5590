"""Answers to requests that carried an Idempotency-Key: rows, so that a request is carried out once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from hub.bulk import run

KEPT = timedelta(days=30)
"""How long answers are kept. Redemptions and events know their keys for ever."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered, and the hash of what had been asked."""

    request_hash: str
    status: int
    response: str


def claim(session: Session, program_id: int, key: str, request_hash: str, now: datetime) -> bool:
    """Make a key this request's own; False when it was another's before. Waits for whoever has just claimed
    it, until that transaction ends or the lock's time-out is over."""
    rows = run(
        session,
        """INSERT INTO idempotency_keys (program_id, key, request_hash, created_at)
           VALUES (:program, :key, :hash, :now) ON CONFLICT DO NOTHING RETURNING 1""",
        {"program": program_id, "key": key, "hash": request_hash, "now": now},
    )
    return bool(rows)


def find(session: Session, program_id: int, key: str) -> Answer | None:
    """The answer that was given under a key."""
    rows = run(
        session,
        """SELECT request_hash, status, response FROM idempotency_keys
           WHERE program_id = :program AND key = :key AND status IS NOT NULL""",
        {"program": program_id, "key": key},
    )
    return Answer(**rows[0]._mapping) if rows else None


def keep(session: Session, program_id: int, key: str, status: int, response: str) -> None:
    """Store the answer of a claimed key, in the transaction of the deed."""
    given = {"program": program_id, "answered": key, "status": status, "response": response}
    run(session, KEPT_UNDER, given)


KEPT_UNDER = """UPDATE idempotency_keys SET status = :status, response = :response
    WHERE program_id = :program AND key = :answered"""


def forget(session: Session, now: datetime) -> None:
    """Drop some of the answers that were kept long enough."""
    run(
        session,
        """DELETE FROM idempotency_keys WHERE (program_id, key) IN (
               SELECT program_id, key FROM idempotency_keys WHERE created_at < :before
               ORDER BY created_at LIMIT 1000 FOR UPDATE SKIP LOCKED)""",
        {"before": now - KEPT},
    )
