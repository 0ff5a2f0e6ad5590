"""What a scrap of text may stand for: the vouchers, orders and members whose messages it means."""

from __future__ import annotations

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.members import search
from hub.program.store import Program
from hub.redemption.uses import code_key

_MOST = 200
"""Orders and codes that are looked for, the newest first."""
_PERSON = frozenset({"id", "phone", "email", "card", "last_digits", "name"})
"""Ways a text names a person; an order's number or a code means that alone, not all of its buyer's."""


def subjects(session: Session, program: Program, text: str) -> tuple[str, ...]:
    """Subjects of deliveries that a text stands for: of a code its voucher and the orders that used
    it, of a phone, an e-mail or a card the person's orders, codes and balance."""
    found = _of_code(session, program.id, text)
    members = _members(session, program, text)
    return tuple(dict.fromkeys([*found, *_of_members(session, program.id, members)]))


def _of_code(session: Session, program_id: int, text: str) -> list[str]:
    rows = run(
        session,
        """SELECT v.public_id, c.external_id FROM vouchers v
           LEFT JOIN LATERAL (SELECT t.external_id FROM voucher_uses u JOIN transactions t ON t.id = u.transaction_id
                              WHERE u.voucher_id = v.id ORDER BY t.id DESC LIMIT :most) c ON true
           WHERE v.program_id = :program AND v.code_key = :code""",
        {"program": program_id, "code": code_key(text), "most": _MOST},
    )
    found = [f"voucher:{row.public_id}" for row in rows[:1]]
    return found + [f"sale:{row.external_id}" for row in rows if row.external_id is not None]


def _members(session: Session, program: Program, text: str) -> list[int]:
    hits = search.search(session, program.id, program.region, text)
    return [hit.member_id for hit in hits if hit.by in _PERSON]


def _of_members(session: Session, program_id: int, members: list[int]) -> list[str]:
    if not members:
        return []
    rows = run(
        session,
        """SELECT 'member:' || m.id AS subject FROM members m
             WHERE m.program_id = :program AND (m.id = ANY(:members) OR m.alias_of = ANY(:members))
           UNION ALL
           (SELECT 'sale:' || t.external_id FROM transactions t
             WHERE t.program_id = :program AND t.member_id = ANY(:members) ORDER BY t.id DESC LIMIT :most)
           UNION ALL
           (SELECT 'voucher:' || v.public_id FROM vouchers v
             WHERE v.program_id = :program AND v.member_id = ANY(:members) ORDER BY v.id DESC LIMIT :most)""",
        {"program": program_id, "members": members, "most": _MOST},
    )
    return [row.subject for row in rows]
