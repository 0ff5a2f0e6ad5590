"""Orders that were told of long after they were placed: a person says whether they earn (rules.md A9)."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.desk.claims import post_again
from hub.desk.place import Desk
from hub.outbox import deliveries


class NotWaiting(Exception):
    """This order waits for nobody's decision."""


def waiting(session: Session, program_id: int, limit: int = 100) -> list[dict[str, Any]]:
    """Orders that wait for a decision, the oldest first."""
    rows = run(
        session,
        """SELECT t.public_id AS id, t.number, c.name AS channel, t.placed_at, t.created_at AS told_at, t.points
           FROM transactions t JOIN channels c ON c.id = t.channel_id
           WHERE t.program_id = :program AND t.waiting_for = 'review' ORDER BY t.id LIMIT :limit""",
        {"program": program_id, "limit": limit},
    )
    return [dict(row._mapping) for row in rows]


def decide(desk: Desk, transaction_id: str, *, approve: bool) -> int:
    """Let an order earn, or not; returns the points it has now. A decision can be changed by deciding
    again. Raises `LookupError`, and `NotWaiting` for an order that was never in doubt."""
    rows = run(
        desk.session,
        """SELECT id, channel_id, external_id, review FROM transactions
           WHERE program_id = :program AND public_id = :id FOR NO KEY UPDATE""",
        {"program": desk.program.id, "id": transaction_id},
    )
    if not rows:
        raise LookupError(transaction_id)
    row = rows[0]
    if row.review is None:
        raise NotWaiting(transaction_id)
    review = "approved" if approve else "declined"
    run(
        desk.session,
        "UPDATE transactions SET review = :review WHERE id = :id",
        {"review": review, "id": row.id},
    )
    desk.tell_balances(post_again(desk, (row.channel_id, row.external_id)))
    outcome = "posted" if approve else "no_change"
    deliveries.release(desk.session, {(row.channel_id, f"sale:{row.external_id}", False): outcome})
    desk.note(f"order.{review}", transaction_id)
    points: int = run(desk.session, "SELECT points FROM transactions WHERE id = :id", {"id": row.id})[
        0
    ].points
    return points
