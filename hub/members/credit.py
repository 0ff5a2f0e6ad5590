"""A member's store credit as people see it: what there is in each currency, and how it came about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run


@dataclass(frozen=True, slots=True)
class Held:
    """Store credit in one currency, in its minor units."""

    currency: str
    balance: int
    available: int
    """What can be used now."""
    pending: int
    """What is not there yet: cashback of a period that is not over."""


def held(session: Session, member_id: int, now: datetime) -> list[Held]:
    """What a member (a root) has, by currency."""
    rows = run(
        session,
        """SELECT a.currency, a.balance,
                  coalesce(sum(l.remaining) FILTER (WHERE l.available_at <= :now
                           AND (l.expires_at IS NULL OR l.expires_at > :now)), 0)::bigint AS available,
                  coalesce(sum(l.remaining) FILTER (WHERE l.available_at > :now), 0)::bigint AS pending
           FROM accounts a LEFT JOIN lots l ON l.account_id = a.id AND l.remaining > 0
           WHERE a.holder_id = :member GROUP BY a.id ORDER BY a.currency""",
        {"member": member_id, "now": now},
    )
    return [Held(**row._mapping) for row in rows]


def movements(
    session: Session, member_id: int, *, before: tuple[str, int] | None = None, limit: int = 200
) -> list[Any]:
    """What moved it, newest first, with the order or the code it is about; `before` is the currency and
    seq to go on from."""
    return list(
        run(
            session,
            """SELECT a.currency, e.seq, e.amount, e.counter, e.balance_after, e.recorded_at, e.explanation,
                      e.actor, t.public_id AS transaction, t.number, r.public_id AS redemption, v.code
               FROM accounts a JOIN entries e ON e.account_id = a.id
               LEFT JOIN transactions t ON t.program_id = a.program_id AND t.id = coalesce(e.transaction_id,
                   CASE WHEN e.subject ~ '^pay:[0-9]+$' THEN CAST(substr(e.subject, 5) AS bigint) END)
               LEFT JOIN redemptions r
                 ON r.id = CASE WHEN e.subject ~ '^red:[0-9]+$' THEN CAST(substr(e.subject, 5) AS bigint) END
               LEFT JOIN vouchers v ON v.redemption_id = r.id
               WHERE a.holder_id = :member AND (CAST(:seq AS bigint) IS NULL OR e.id < (
                   SELECT last.id FROM accounts own JOIN entries last ON last.account_id = own.id
                   WHERE own.holder_id = :member AND own.currency = :currency AND last.seq = :seq))
               ORDER BY e.id DESC LIMIT :limit""",
            {
                "member": member_id,
                "limit": limit,
                "currency": before[0] if before else None,
                "seq": before[1] if before else None,
            },
        )
    )
