"""Members as the API, the dashboard and the CLI show them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.members.identity import card, email, phone

_ROOT = """SELECT root.id, root.public_id, root.name, root.created_at
           FROM members m JOIN members root ON root.id = coalesce(m.alias_of, m.id)"""


def find(session: Session, program_id: int, public_id: str) -> Any | None:
    """The member with that id, or the one it was merged into."""
    rows = run(
        session,
        f"{_ROOT} WHERE m.program_id = :program AND m.public_id = :id",
        {"program": program_id, "id": public_id},
    )
    return rows[0] if rows else None


def search(session: Session, program_id: int, region: str, *, kind: str, text: str) -> list[Any]:
    """Members with that phone (in any spelling), e-mail, card or channel customer id."""
    value = {"phone": lambda t: phone(t, region), "email": email, "card": card}.get(kind, str)(text)
    if not value:
        return []
    return list(
        run(
            session,
            f"""{_ROOT} JOIN identities i ON i.member_id = m.id AND i.gone_at IS NULL
                WHERE i.program_id = :program AND i.kind = :kind AND i.value = :value ORDER BY root.id LIMIT 20""",
            {"program": program_id, "kind": kind, "value": value},
        )
    )


def identities(session: Session, member_id: int) -> list[dict[str, Any]]:
    """All keys of a member and its aliases."""
    return [
        dict(row._mapping)
        for row in run(
            session,
            """SELECT i.kind, i.value, c.public_id AS channel
               FROM members m JOIN identities i ON i.member_id = m.id AND i.gone_at IS NULL
               LEFT JOIN channels c ON c.id = i.scope
               WHERE coalesce(m.alias_of, m.id) = :member ORDER BY i.id""",
            {"member": member_id},
        )
    ]


def balance(session: Session, member_id: int, now: datetime) -> dict[str, int]:
    """Points of a member: `balance` counts pending ones, `available` may be spent."""
    row = run(
        session,
        """SELECT coalesce(max(a.balance), 0) AS balance, coalesce(max(a.debt), 0) AS debt,
                  coalesce(sum(l.remaining) FILTER (WHERE l.available_at <= :now
                           AND (l.expires_at IS NULL OR l.expires_at > :now)), 0) AS available,
                  coalesce(sum(l.remaining) FILTER (WHERE l.available_at > :now), 0) AS pending
           FROM accounts a LEFT JOIN lots l ON l.account_id = a.id AND l.remaining > 0
           WHERE a.member_id = :member""",
        {"member": member_id, "now": now},
    )[0]
    return {name: int(value) for name, value in row._mapping.items()}


def lots(session: Session, member_id: int) -> list[dict[str, Any]]:
    """Open lots, soonest expiry first."""
    return [
        dict(row._mapping)
        for row in run(
            session,
            """SELECT l.granted, l.remaining, l.placed_at, l.available_at, l.expires_at
               FROM lots l JOIN accounts a ON a.id = l.account_id
               WHERE a.member_id = :member AND l.remaining > 0
               ORDER BY l.expires_at NULLS LAST, l.placed_at LIMIT 500""",
            {"member": member_id},
        )
    ]


def entries(session: Session, member_id: int, *, before: int | None, limit: int) -> list[Any]:
    """Movements, newest first; `before` is the seq to go on from."""
    return list(
        run(
            session,
            """SELECT e.seq, e.amount, e.counter, e.balance_after, e.occurred_at, e.recorded_at, e.explanation,
                      e.reference, t.public_id AS transaction
               FROM entries e JOIN accounts a ON a.id = e.account_id
               LEFT JOIN transactions t ON t.id = e.transaction_id
               WHERE a.member_id = :member AND e.seq < coalesce(CAST(:before AS bigint), 9223372036854775807)
               ORDER BY e.seq DESC LIMIT :limit""",
            {"member": member_id, "before": before, "limit": limit},
        )
    )
