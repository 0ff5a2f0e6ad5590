"""A spend that is later than all else in its account: taken from the lots as they are stored, without a replay.

A replay of everything with the spend at its end gives the same (rules.md D1, a property test); `verify` replays
all the same. Where anything might be later, or has to be settled first, the caller takes the long way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.ledger import lots
from hub.ledger.accounts import Account, Locked, RootChanged, lock_one
from hub.ledger.entry import Draft
from hub.ledger.lots import Book, Lot, Spend
from hub.ledger.write import write_spend


@dataclass(frozen=True, slots=True)
class Present:
    """A locked account as it is stored."""

    locked: Locked
    account: Account
    book: Book
    """Its lots with anything left."""
    movement_id: int
    is_current: bool
    """Nothing is to be settled, owed or later than now, and no policy looks back on what was done."""

    def pays(self, points: int) -> bool:
        """Whether a spend of so many points can be taken from what is stored."""
        return self.is_current and self.book.available(self.locked.now) >= points


def look(
    session: Session, program_id: int, member_id: int, reference: str, *, chain_key: bytes, actor: str,
    now: datetime | None, currency: str | None,
) -> Present | None:  # fmt: skip
    """Lock a member's account (C4) and read what it has; None where there is none, or the reference is
    known. Raises `RootChanged` when the member was merged while the lock was waited for."""
    found = lock_one(
        session, program_id, member_id, chain_key=chain_key, actor=actor, now=now, currency=currency
    )
    if found is None:
        return None
    locked, row = found
    account = locked.accounts[row.id]
    keys = {"account": account.id, "member": member_id, "program": program_id, "reference": reference}
    rows = run(session, _STORED, keys)
    if rows[0].root != account.member_id:
        raise RootChanged
    if rows[0].known:
        return None
    stored = [_lot(one) for one in rows if one.key is not None]
    is_current = not row.policies and not account.rebuild and _is_last(locked, account, stored)
    return Present(locked, account, Book({lot.key: lot for lot in stored}), row.movement, is_current)


_STORED = """
SELECT coalesce(m.alias_of, m.id) AS root,
       EXISTS (SELECT 1 FROM entries WHERE program_id = :program AND reference = :reference) AS known,
       l.key, l.granted, l.remaining, l.placed_at, l.available_at, l.expires_at, l.parent
FROM members m LEFT JOIN lots l ON l.account_id = :account AND l.remaining > 0 WHERE m.id = :member"""
"""Asked after the lock: it sees what was committed while that was waited for."""


def _lot(row: Any) -> Lot:
    return Lot(
        row.key, row.granted, row.remaining, row.placed_at, row.available_at, row.expires_at, parent=row.parent
    )  # fmt: skip


def _is_last(locked: Locked, account: Account, stored: Sequence[Lot]) -> bool:
    """Whether a spend at this moment comes after all grants, spends and returns."""
    before = account.high_water_at is None or account.high_water_at < locked.now
    return not account.debt and before and all(lot.placed_at <= locked.now for lot in stored)


def take(session: Session, present: Present, draft: Draft) -> None:
    """Write the spend that `present.pays`."""
    locked, account, book = present.locked, present.account, present.book
    lots.add_last(book, Spend(draft.subject, -draft.amount, locked.now))
    account.drafts.append(draft)
    write_spend(session, locked, account, book, present.movement_id)
