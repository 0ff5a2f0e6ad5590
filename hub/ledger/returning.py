"""Points of a hold that come back while nothing has happened to the account since but sales: put back into the very
lots they came from as these are stored, without a replay.

A spend that came back whole is as if it had never been (rules.md D1), and nothing that was spent before depends on
it; a property test says that a replay gives the same, and `verify` replays all the same. Where anything else was
spent or given since, or a lot has ended, the caller takes the long way.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.ledger.accounts import RootChanged, lock_one
from hub.ledger.entry import Draft
from hub.ledger.lots import Book, Lot
from hub.ledger.spending import Present
from hub.ledger.write import write_return


def look(
    session: Session, program_id: int, member_id: int, reference: str, *, subject: str, points: int,
    chain_key: bytes, actor: str, now: datetime | None, currency: str | None,
) -> Present | None:  # fmt: skip
    """Lock a member's account (C4) and read what it has with these points of the hold `subject` back in their lots;
    None where that is not the whole of the last that was spent. Raises `RootChanged` when the member was merged
    while the lock was waited for."""
    found = lock_one(
        session, program_id, member_id, chain_key=chain_key, actor=actor, now=now, currency=currency
    )
    if found is None:
        return None
    locked, row = found
    account = locked.accounts[row.id]
    keys = {"account": account.id, "member": member_id, "program": program_id, "reference": reference}
    rows = run(session, _STORED, {**keys, "subject": subject, "points": points})
    if rows[0].root != account.member_id:
        raise RootChanged
    if row.policies or account.rebuild or account.debt or rows[0].known or not rows[0].is_last:
        return None
    if sum(one.used for one in rows) != points or _has_ended(rows, locked.now):
        return None
    book = Book({one.key: _lot(one) for one in rows})
    return Present(locked, account, book, row.movement, is_current=True)


_STORED = """
SELECT coalesce(m.alias_of, m.id) AS root,
       EXISTS (SELECT 1 FROM entries WHERE program_id = :program AND reference = :reference) AS known,
       coalesce(h.amount = -CAST(:points AS bigint)
           AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.account_id = :account AND e.seq > h.seq
                           AND e.counter <> 'issued')
           AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.account_id = :account AND e.seq = h.seq - 1
                           AND e.recorded_at >= h.recorded_at), false) AS is_last,
       l.key, l.granted, l.remaining, l.placed_at, l.available_at, l.expires_at, l.parent,
       CAST(coalesce(u.amount, 0) AS bigint) AS used
FROM members m
LEFT JOIN LATERAL (SELECT seq, amount, recorded_at FROM entries
                   WHERE program_id = :program AND subject = :subject AND account_id = :account AND counter = 'held'
                   ORDER BY seq LIMIT 1) h ON true
LEFT JOIN lots l ON l.account_id = :account
    AND (l.remaining > 0 OR l.key IN (SELECT lot FROM lot_uses WHERE account_id = :account AND spend = :subject))
LEFT JOIN lot_uses u ON u.account_id = l.account_id AND u.lot = l.key AND u.spend = :subject
WHERE m.id = :member"""
"""Asked after the lock: it sees what was committed while that was waited for. Recorded times never run backwards
(C5), so the entry before the hold tells of all others whether one was spent at the same moment."""


def _has_ended(rows: Sequence[Any], now: datetime) -> bool:
    """Whether points would come back to a lot that has expired meanwhile (D5)."""
    return any(one.used and one.expires_at is not None and one.expires_at <= now for one in rows)


def _lot(row: Any) -> Lot:
    return Lot(
        row.key, row.granted, row.remaining + row.used, row.placed_at, row.available_at, row.expires_at,
        parent=row.parent,
    )  # fmt: skip


def give_back(session: Session, present: Present, draft: Draft) -> None:
    """Write the return that `look` has found to be simple."""
    present.account.drafts.append(draft)
    write_return(session, present.locked, present.account, present.book, present.movement_id)
