"""How decided drafts are written: entries in their chains, lots, postings, cached sums.

A constant number of statements for a batch, whatever its size.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import arrays, run, unnest
from hub.ledger.accounts import Account, Locked, Posting
from hub.ledger.entry import Draft, canonical, chain, explanation_text, input_hash
from hub.ledger.ingredients import Ingredients, load_ingredients
from hub.ledger.lots import Book, Grant, Lot


class LedgerBroken(Exception):
    """A stored sum is not what its parts say; nothing is written on top of it."""


def write(
    session: Session, locked: Locked, known: Mapping[int, Ingredients] | None = None
) -> dict[int, Book]:
    """Carry out everything drafted on the locked accounts. Returns the replayed books of those that
    had to be rebuilt (the others only gained lots no spend could have used). `known`: what was read of
    accounts under their lock already; it is used up."""
    rebuilt = [a for a in locked.accounts.values() if a.rebuild]
    books = _rebuild(session, locked, rebuilt, known or {})
    _write_entries(session, locked)
    _write_fast_lots(session, [a for a in locked.accounts.values() if not a.rebuild])
    _write_postings(session, list(locked.touched.values()))
    _write_accounts(session, locked, books)
    return books


def write_spend(
    session: Session, locked: Locked, account: Account, book: Book, movement_id: int
) -> None:
    """One entry that takes points from the stored lots of `book`, in one statement: the entry, what is left of
    the lots, who paid, and the cached sums."""
    entry = _chained(locked, account, account.drafts[0], movement_id)
    used: dict[str, int] = defaultdict(int)
    for use in book.uses:
        used[use.lot] += use.amount
    paid = {"lots": list(used), "used": list(used.values())}
    run(session, _SPEND, {**entry, **paid, **_new_sums(locked, account, book)})


def write_return(
    session: Session, locked: Locked, account: Account, book: Book, movement_id: int
) -> None:
    """One entry that puts all that a spend took back into the stored lots, in one statement. `book` has its lots with
    that in them."""
    entry = _chained(locked, account, account.drafts[0], movement_id)
    run(session, _RETURN, {**entry, **_new_sums(locked, account, book)})


def _new_sums(locked: Locked, account: Account, book: Book) -> dict[str, Any]:
    sums = _account_row(locked, account, book)
    names = ("debt", "high_water_at", "next_settle_at")
    return {"now": locked.now, **{f"new_{name}": sums[name] for name in names}}


# --- replaying accounts --------------------------------------------------------------------------


def _rebuild(
    session: Session, locked: Locked, accounts: Sequence[Account], known: Mapping[int, Ingredients]
) -> dict[int, Book]:
    """Replay these accounts with their drafts, draft what forgiveness and expiry follow from it, and
    store the lots."""
    missing = [a.id for a in accounts if a.id not in known]
    ingredients = {**known, **(load_ingredients(session, missing) if missing else {})}
    books = {}
    for account in accounts:
        parts = ingredients[account.id]
        for posting in locked.touched.values():
            if posting.account_id == account.id:
                _set_grant(parts, posting)
        for draft in account.drafts:
            if draft.counter != "issued" or draft.transaction_id is None:
                parts.take(draft)
        _forgive(locked, account, parts)
        book = parts.replay(locked.now)
        _expire(locked, account, parts, book)
        books[account.id] = book
    if books:
        _store_lots(session, books)
    return books


def _set_grant(parts: Ingredients, posting: Posting) -> None:
    parts.grants.pop(posting.key, None)
    if posting.posted > 0:
        parts.grants[posting.key] = Grant(
            posting.key, posting.posted, posting.placed_at, posting.available_at, posting.expires_at
        )


def _forgive(locked: Locked, account: Account, parts: Ingredients) -> None:
    """By the policy `forgive`, what a claw-back would leave as debt is given back, as an entry of
    its own and in a register of its own (C3)."""
    for posting in locked.touched.values():
        if posting.account_id != account.id:
            continue
        taken = -sum(
            d.amount
            for d in account.drafts
            if d.counter == "issued" and d.subject == posting.key and d.amount < 0
        )
        if taken <= 0 or posting.transaction_id not in locked.forgiving:
            continue
        owed = parts.replay(locked.now).debt
        amount = min(taken, max(0, owed - account.debt))
        if not amount:
            continue
        posting.forgiven += amount
        posting.n += 1
        draft = Draft(
            account_id=account.id,
            amount=amount,
            counter="forgiven",
            subject=f"forgiven:{posting.transaction_id}",
            reference=f"sale:{posting.transaction_id}:{account.id}:{posting.n}",
            input_hash=input_hash("forgive", amount, posting.transaction_id),
            member_id=posting.member_id,
            occurred_at=locked.now,
            actor=locked.actor,
            transaction_id=posting.transaction_id,
            explanation=({"code": "forgiven", "points": str(amount)},),
        )
        account.drafts.append(draft)
        parts.take(draft)


def _expire(locked: Locked, account: Account, parts: Ingredients, book: Book) -> None:
    """Post target minus already expired per lot; it may be negative (D2)."""
    for key in sorted({*book.lots, *parts.expired}):
        lot = book.lots.get(key)
        due = (lot.expired if lot else 0) - parts.expired.get(key, 0)
        if not due:
            continue
        number = parts.expiries.get(key, 0) + 1
        account.drafts.append(
            Draft(
                account_id=account.id,
                amount=-due,
                counter="expired",
                subject=key,
                reference=f"expiry:{account.id}:{key}:{number}",
                input_hash=input_hash(key, due, number),
                member_id=account.member_id,
                occurred_at=lot.expires_at if lot and lot.expires_at else locked.now,
                actor="hub:expiry",
                explanation=(
                    {"code": "expired" if due > 0 else "expiry_taken_back", "points": str(-due)},
                ),
            )
        )


# --- rows ----------------------------------------------------------------------------------------

_ENTRY = {
    "program_id": "bigint",
    "account_id": "bigint",
    "seq": "bigint",
    "amount": "bigint",
    "counter": "text",
    "movement_id": "bigint",
    "reference": "text",
    "input_hash": "text",
    "member_id": "bigint",
    "transaction_id": "bigint",
    "subject": "text",
    "occurred_at": "timestamptz",
    "available_at": "timestamptz",
    "expires_at": "timestamptz",
    "recorded_at": "timestamptz",
    "balance_after": "bigint",
    "corrects": "bigint",
    "actor": "text",
    "explanation": "jsonb",
    "prev_hash": "text",
    "hashed": "text",
    "hash": "text",
}
_INSERT_ENTRIES = (
    f"INSERT INTO entries ({', '.join(_ENTRY)}) SELECT {', '.join(f'r.{c}' for c in _ENTRY)} FROM "
    + unnest(_ENTRY)
)


_ONE_ENTRY = f"""INSERT INTO entries ({", ".join(_ENTRY)})
    VALUES ({", ".join(f"CAST(:{c} AS {t})" for c, t in _ENTRY.items())})"""
_NEW_SUMS = """UPDATE accounts SET balance = balance + CAST(:amount AS bigint), debt = :new_debt,
    seq = CAST(:seq AS bigint), head = CAST(:hash AS text), last_recorded_at = CAST(:recorded_at AS timestamptz),
    high_water_at = :new_high_water_at, next_settle_at = :new_next_settle_at, settled_at = :now
WHERE id = CAST(:account_id AS bigint)"""
_SPEND = f"""
WITH entry AS ({_ONE_ENTRY}
), paid AS (
    SELECT u.lot, u.amount FROM unnest(CAST(:lots AS text[]), CAST(:used AS bigint[])) AS u(lot, amount)
), uses AS (
    INSERT INTO lot_uses (account_id, lot, spend, amount)
    SELECT CAST(:account_id AS bigint), lot, CAST(:subject AS text), amount FROM paid
), lower AS (
    UPDATE lots l SET remaining = l.remaining - paid.amount FROM paid
    WHERE l.account_id = CAST(:account_id AS bigint) AND l.key = paid.lot
)
{_NEW_SUMS}"""
_RETURN = f"""
WITH entry AS ({_ONE_ENTRY}
), back AS (
    DELETE FROM lot_uses WHERE account_id = CAST(:account_id AS bigint) AND spend = CAST(:subject AS text)
    RETURNING lot, amount
), higher AS (
    UPDATE lots l SET remaining = l.remaining + back.amount FROM back
    WHERE l.account_id = CAST(:account_id AS bigint) AND l.key = back.lot
)
{_NEW_SUMS}"""


def _write_entries(session: Session, locked: Locked) -> None:
    drafts = [(a, d) for a in sorted(locked.accounts.values(), key=lambda a: a.id) for d in a.drafts]
    if not drafts:
        return
    movements = run(
        session,
        "SELECT nextval('movements') AS id FROM generate_series(1, :n)",
        {"n": len(drafts)},
    )
    between_members: dict[str, int] = {}
    rows = []
    for (account, draft), fresh in zip(drafts, movements, strict=True):
        movement = fresh.id
        if draft.counter == "member":  # both sides of what went from one member to another are one
            movement = between_members.setdefault(draft.reference.rpartition(":")[0], movement)
        rows.append(_chained(locked, account, draft, movement))
    run(session, _INSERT_ENTRIES, arrays(_ENTRY, rows))


def _chained(locked: Locked, account: Account, draft: Draft, movement_id: int) -> dict[str, Any]:
    """Give a draft its place in its account's chain."""
    account.seq += 1
    account.balance += draft.amount
    recorded_at = max(locked.now, account.last_recorded_at or locked.now)
    account.last_recorded_at = recorded_at
    hashed = canonical(
        draft,
        program_id=locked.program_id,
        seq=account.seq,
        movement_id=movement_id,
        recorded_at=recorded_at,
        balance_after=account.balance,
    )
    previous, account.head = account.head, chain(locked.chain_key, account.head, hashed)
    return {
        "program_id": locked.program_id,
        "account_id": account.id,
        "seq": account.seq,
        "amount": draft.amount,
        "counter": draft.counter,
        "movement_id": movement_id,
        "reference": draft.reference,
        "input_hash": draft.input_hash,
        "member_id": draft.member_id,
        "transaction_id": draft.transaction_id,
        "subject": draft.subject,
        "occurred_at": draft.occurred_at,
        "available_at": draft.available_at,
        "expires_at": draft.expires_at,
        "recorded_at": recorded_at,
        "balance_after": account.balance,
        "corrects": draft.corrects,
        "actor": draft.actor,
        "explanation": explanation_text(draft.explanation),
        "prev_hash": previous,
        "hashed": hashed,
        "hash": account.head,
    }


_LOT = {
    "account_id": "bigint",
    "key": "text",
    "granted": "bigint",
    "remaining": "bigint",
    "expired": "bigint",
    "moved": "bigint",
    "placed_at": "timestamptz",
    "available_at": "timestamptz",
    "expires_at": "timestamptz",
    "parent": "text",
}


def _write_fast_lots(session: Session, accounts: Sequence[Account]) -> None:
    """Add or resize lots that nothing was spent from; a lot of 0 points is none."""
    rows: dict[tuple[int, str], dict[str, Any]] = {}
    for account in accounts:
        for grant, _ in account.fast_lots:
            rows[account.id, grant.key] = _lot_row(account.id, _fresh(grant))
    kept = [row for row in rows.values() if row["granted"]]
    gone = [row for row in rows.values() if not row["granted"]]
    if kept:
        run(
            session,
            f"""INSERT INTO lots ({", ".join(_LOT)}) SELECT {", ".join(f"r.{c}" for c in _LOT)}
                FROM {unnest(_LOT)}
                ON CONFLICT (account_id, key) DO UPDATE
                SET granted = excluded.granted, remaining = excluded.remaining""",
            arrays(_LOT, kept),
        )
    if gone:
        columns = {"account_id": "bigint", "key": "text"}
        run(
            session,
            f"DELETE FROM lots USING {unnest(columns)} WHERE lots.account_id = r.account_id AND lots.key = r.key",
            arrays(columns, gone),
        )


def _fresh(grant: Grant) -> Lot:
    return Lot(
        grant.key, grant.amount, grant.amount, grant.placed_at, grant.available_at, grant.expires_at
    )


def _lot_row(account_id: int, lot: Lot) -> dict[str, Any]:
    return {
        "account_id": account_id,
        "key": lot.key,
        "granted": lot.granted,
        "remaining": lot.remaining,
        "expired": lot.expired,
        "moved": lot.moved,
        "placed_at": lot.placed_at,
        "available_at": lot.available_at,
        "expires_at": lot.expires_at,
        "parent": lot.parent,
    }


def _store_lots(session: Session, books: Mapping[int, Book]) -> None:
    """Replace the stored result of the replay of these accounts."""
    ids = list(books)
    run(session, "DELETE FROM lot_uses WHERE account_id = ANY(:ids)", {"ids": ids})
    run(session, "DELETE FROM lots WHERE account_id = ANY(:ids)", {"ids": ids})
    rows = [_lot_row(a, lot) for a, book in books.items() for lot in book.lots.values()]
    if rows:
        run(
            session,
            f"INSERT INTO lots ({', '.join(_LOT)}) SELECT {', '.join(f'r.{c}' for c in _LOT)} FROM {unnest(_LOT)}",
            arrays(_LOT, rows),
        )
    uses: dict[tuple[int, str, str], int] = defaultdict(int)
    for account_id, book in books.items():
        for use in book.uses:
            uses[account_id, use.lot, use.spend] += use.amount
    if uses:
        columns = {"account_id": "bigint", "lot": "text", "spend": "text", "amount": "bigint"}
        use_rows = [dict(zip(columns, (*key, amount), strict=True)) for key, amount in uses.items()]
        run(
            session,
            f"INSERT INTO lot_uses (account_id, lot, spend, amount) SELECT r.* FROM {unnest(columns)}",
            arrays(columns, use_rows),
        )


_POSTING = {
    "transaction_id": "bigint",
    "account_id": "bigint",
    "posted": "bigint",
    "forgiven": "bigint",
    "n": "integer",
    "member_id": "bigint",
    "placed_at": "timestamptz",
    "available_at": "timestamptz",
    "expires_at": "timestamptz",
}


def _write_postings(session: Session, postings: Sequence[Posting]) -> None:
    if not postings:
        return
    rows = [{name: getattr(p, name) for name in _POSTING} for p in postings]
    changed = ", ".join(f"{c} = excluded.{c}" for c in list(_POSTING)[2:])
    run(
        session,
        f"""INSERT INTO postings ({", ".join(_POSTING)})
            SELECT {", ".join(f"r.{c}" for c in _POSTING)} FROM {unnest(_POSTING)}
            ON CONFLICT (transaction_id, account_id) DO UPDATE SET {changed}""",
        arrays(_POSTING, rows),
    )


_ACCOUNT = {
    "id": "bigint",
    "delta": "bigint",
    "debt": "bigint",
    "seq": "bigint",
    "head": "text",
    "last_recorded_at": "timestamptz",
    "high_water_at": "timestamptz",
    "next_settle_at": "timestamptz",
}


def _write_accounts(session: Session, locked: Locked, books: Mapping[int, Book]) -> None:
    """The cached sums: an SQL expression on the locked row, and a check against the replay."""
    rows = [
        _account_row(locked, account, books.get(account.id))
        for account in locked.accounts.values()
        if account.drafts or account.rebuild
    ]
    if not rows:
        return
    run(
        session,
        f"""UPDATE accounts a SET balance = a.balance + r.delta, debt = r.debt, seq = r.seq, head = r.head,
                last_recorded_at = coalesce(r.last_recorded_at, a.last_recorded_at),
                high_water_at = r.high_water_at, next_settle_at = r.next_settle_at, settled_at = :now
            FROM {unnest(_ACCOUNT)} WHERE a.id = r.id""",
        {**arrays(_ACCOUNT, rows), "now": locked.now},
    )


def _account_row(locked: Locked, account: Account, book: Book | None) -> dict[str, Any]:
    if book is None:
        times = [
            t for grant, _ in account.fast_lots if grant.amount for t in _changes(grant, locked.now)
        ]
        soonest = min(
            [*times, *([account.next_settle_at] if account.next_settle_at else [])], default=None
        )
        debt = account.debt
    else:
        if book.balance != account.balance:
            raise LedgerBroken(
                f"account {account.id}: entries sum to {account.balance}, lots less debt to {book.balance}"
            )
        open_lots = [lot for lot in book.lots.values() if lot.remaining]
        soonest = min((t for lot in open_lots for t in _changes(lot, locked.now)), default=None)
        debt = book.debt
    return {
        "id": account.id,
        "delta": sum(d.amount for d in account.drafts),
        "debt": debt,
        "seq": account.seq,
        "head": account.head,
        "last_recorded_at": account.last_recorded_at,
        "high_water_at": _high_water(account, book),
        "next_settle_at": soonest,
    }


def _changes(lot: Grant | Lot, now: datetime) -> list[datetime]:
    """Moments from which the account's answers differ: when a lot vests, when it expires."""
    return [t for t in (lot.available_at, lot.expires_at) if t is not None and t > now]


def _high_water(account: Account, book: Book | None) -> datetime | None:
    events = [
        d.occurred_at for d in account.drafts if d.counter in {"held", "redeemed", "adjusted", "member"}
    ]
    if book is not None:
        events += [book.lots[use.lot].placed_at for use in book.uses]
    if account.high_water_at is not None:
        events.append(account.high_water_at)
    return max(events, default=None)
