"""Everything the hub keeps about a person, to hand over when they ask for it (GDPR article 15)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.members import view

_OWN = "(SELECT id FROM members WHERE id = :member UNION ALL SELECT id FROM members WHERE alias_of = :member)"
MOST = 100_000
"""Rows of one kind in a report."""


def of_member(session: Session, member_id: int, now: datetime) -> dict[str, Any]:
    """Of a member (a root) and all that was merged into it: who they are, what they agreed to, their
    orders, codes and every movement of their points. Money in minor units, times in UTC."""
    given = {"member": member_id, "most": MOST}
    who = run(
        session,
        """SELECT public_id AS id, name, birthday, address, locale, created_at AS since FROM members
           WHERE id = :member""",
        given,
    )[0]
    return {
        "member": dict(who._mapping),
        "identities": [
            {name: one[name] for name in ("kind", "value", "channel_name", "created_at")}
            for one in view.identities(session, member_id)
        ],
        "consents": [dict(row._mapping) for row in view.consents(session, member_id)],
        "points": view.balance(session, member_id, now),
        "orders": _rows(session, _ORDERS, given),
        "movements": _rows(session, _MOVEMENTS, given),
        "codes": _rows(session, _CODES, given),
    }


def _rows(session: Session, statement: str, given: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in run(session, statement, given)]


_ORDERS = f"""
SELECT t.public_id AS id, t.number, c.name AS channel, t.state, t.placed_at, t.currency, t.goods_net, t.goods_tax,
       t.shipping, t.refunded, t.points
FROM transactions t JOIN channels c ON c.id = t.channel_id
WHERE t.member_id IN {_OWN} ORDER BY t.placed_at, t.id LIMIT :most"""

_MOVEMENTS = """
SELECT e.seq, e.amount, e.counter, e.balance_after, e.occurred_at, e.recorded_at, e.expires_at
FROM entries e JOIN accounts a ON a.id = e.account_id WHERE a.member_id = :member ORDER BY e.seq LIMIT :most"""

_CODES = f"""
SELECT v.code, v.state, v.created_at, v.expires_at, r.reward, r.points
FROM vouchers v JOIN redemptions r ON r.id = v.redemption_id
WHERE v.member_id IN {_OWN} ORDER BY v.id LIMIT :most"""
