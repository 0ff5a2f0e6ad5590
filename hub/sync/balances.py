"""Balances as a channel is told of them: read for many members at once, told one by one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.canonical import IdentityKind
from hub.connector import CustomerKey


@dataclass(frozen=True, slots=True)
class Standing:
    """What a member has, and how the channel knows it."""

    customer: CustomerKey
    points: int
    available: int
    pending: int
    as_of: datetime


def read(
    session: Session, channel_id: int, members: Sequence[int], now: datetime
) -> dict[int, Standing]:
    """How these members stand now; who has no account is left out."""
    rows = run(
        session,
        """SELECT m.id, a.balance,
                  coalesce(sum(l.remaining) FILTER (WHERE l.available_at <= :now
                           AND (l.expires_at IS NULL OR l.expires_at > :now)), 0) AS available,
                  coalesce(sum(l.remaining) FILTER (WHERE l.available_at > :now), 0) AS pending
           FROM members m JOIN accounts a ON a.member_id = coalesce(m.alias_of, m.id)
           LEFT JOIN lots l ON l.account_id = a.id
           WHERE m.id = ANY(:members) GROUP BY m.id, a.balance""",
        {"members": list(members), "now": now},
    )
    known = customers(session, channel_id, [row.id for row in rows])
    return {
        row.id: Standing(known[row.id], int(row.balance), int(row.available), int(row.pending), now)
        for row in rows
    }


def customers(session: Session, channel_id: int, members: Sequence[int]) -> dict[int, CustomerKey]:
    """How this channel knows these members or any of their aliases; the oldest key of each kind."""
    if not members:
        return {}
    rows = run(
        session,
        """SELECT m.id, i.kind, i.value, root.public_id
           FROM members m JOIN members root ON root.id = coalesce(m.alias_of, m.id)
           LEFT JOIN members every ON every.id = root.id OR every.alias_of = root.id
           LEFT JOIN identities i ON i.member_id = every.id AND i.gone_at IS NULL
                AND i.scope IN (0, :channel)
           WHERE m.id = ANY(:members) ORDER BY i.id DESC""",
        {"members": list(members), "channel": channel_id},
    )
    found: dict[int, dict[str, str]] = defaultdict(dict)
    for row in rows:
        found[row.id][row.kind] = row.value
    return {row.id: _key(row.public_id, found[row.id]) for row in rows}


def _key(member: str, found: dict[str, str]) -> CustomerKey:
    return CustomerKey(
        member,
        external_id=found.get(IdentityKind.CUSTOMER),
        email=found.get(IdentityKind.EMAIL),
        phone=found.get(IdentityKind.PHONE),
        card=found.get(IdentityKind.CARD),
    )
