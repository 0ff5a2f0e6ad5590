"""The only writer of the points ledger: posts target minus posted, keeps lots, chain and balances.

Every function takes a session and never commits. Accounts are locked in the order of their ids
(rules.md C4), then settled (D6), then written: entries, lots, postings and the cached balance in a
constant number of statements per batch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy.orm import Session

from hub.bulk import arrays, run, unnest
from hub.ledger.entry import Draft, canonical, chain, explanation_text, input_hash
from hub.ledger.ingredients import Ingredients, load_ingredients, sale_key
from hub.ledger.lots import Book, Grant, Lot


class RootChanged(Exception):
    """A member was merged while accounts were being locked: gather and try the batch again."""


class LedgerBroken(Exception):
    """A stored sum is not what its parts say; nothing is written on top of it."""


@dataclass(frozen=True, slots=True)
class Target:
    """What one sale should have earned, for whom (rules.md C1)."""

    transaction_id: int
    member_id: int | None
    """The member as attributed; None: nobody, every account with postings for this sale gets 0."""
    points: int
    placed_at: datetime
    """Event time of the grant."""
    available_at: datetime
    expires_at: datetime | None
    context: str
    """What it was judged under (program version)."""
    winners: tuple[str, ...]
    """Raw hashes of the deciding contributions."""
    explanation: tuple[Mapping[str, Any], ...] = ()
    negative: Literal["debt", "forgive"] = "debt"


@dataclass(slots=True)
class Account:
    """One locked account and what this batch does to it."""

    id: int
    member_id: int
    balance: int
    debt: int
    seq: int
    head: str
    last_recorded_at: datetime | None
    high_water_at: datetime | None
    """The latest event that a use of any lot depends on: a spend, a return, a lot that paid a debt.
    A sale placed before it, or at it, may change who paid for what (rules.md D1)."""
    next_settle_at: datetime | None
    drafts: list[Draft] = field(default_factory=list)
    fast_lots: list[tuple[Grant, int]] = field(default_factory=list)
    """Grants that cannot change what earlier spends used: (grant with its new amount, delta)."""
    rebuild: bool = False


@dataclass(slots=True)
class Posting:
    """What one sale has earned on one account so far."""

    transaction_id: int
    account_id: int
    posted: int
    forgiven: int
    n: int
    member_id: int
    placed_at: datetime
    available_at: datetime
    expires_at: datetime | None

    @property
    def key(self) -> str:
        """The grant's key."""
        return sale_key(self.transaction_id)


@dataclass(slots=True)
class Locked:
    """The accounts of one batch, locked, and how members lead to them."""

    program_id: int
    now: datetime
    chain_key: bytes
    actor: str
    accounts: dict[int, Account]
    roots: dict[int, int]
    """Member id -> account id of its root."""
    postings: dict[tuple[int, int], Posting] = field(default_factory=dict)
    touched: dict[tuple[int, int], Posting] = field(default_factory=dict)
    forgiving: set[int] = field(default_factory=set)
    """Transactions whose claw-backs are forgiven rather than owed."""


# --- commands ------------------------------------------------------------------------------------


def post_targets(
    session: Session,
    program_id: int,
    targets: Sequence[Target],
    *,
    chain_key: bytes,
    actor: str,
    now: datetime | None = None,
) -> dict[int, int]:
    """Post the difference between what each sale should have earned and what it has.

    The transactions must be locked by the caller. Returns transaction id -> net change in points
    (0: it was right already). Raises `RootChanged` when the caller has to gather again.
    """
    transaction_ids = [t.transaction_id for t in targets]
    postings = _load_postings(session, transaction_ids)
    members = {t.member_id for t in targets if t.member_id is not None and t.points > 0}
    members |= {p.member_id for p in postings}
    members |= _members_of_accounts(session, {p.account_id for p in postings})
    locked = lock(session, program_id, members, chain_key=chain_key, actor=actor, now=now)
    # read again: what another batch posted while this one waited for the locks
    locked.postings = {
        (p.transaction_id, p.account_id): p for p in _load_postings(session, transaction_ids)
    }
    locked.forgiving = {t.transaction_id for t in targets if t.negative == "forgive"}
    by_transaction: dict[int, list[Posting]] = defaultdict(list)
    for posting in locked.postings.values():
        if posting.account_id not in locked.accounts:
            raise RootChanged
        by_transaction[posting.transaction_id].append(posting)
    changes = {
        target.transaction_id: _post_one(locked, target, by_transaction[target.transaction_id])
        for target in targets
    }
    write(session, locked)
    return changes


def lock(
    session: Session,
    program_id: int,
    members: Iterable[int],
    *,
    chain_key: bytes,
    actor: str,
    now: datetime | None = None,
) -> Locked:
    """Make missing accounts, lock all of them by id, and check that no root changed meanwhile.

    NO KEY UPDATE: whoever inserted a row that names an account (a redemption) holds its key in
    share, and two of them that both wanted FOR UPDATE would wait for each other for ever."""
    wanted = sorted(set(members))
    roots = _roots(session, wanted)
    _open_accounts(session, program_id, sorted(set(roots.values())))
    rows = run(
        session,
        """SELECT id, member_id, balance, debt, seq, head, last_recorded_at, high_water_at,
                  next_settle_at, clock_timestamp() AS now
           FROM accounts WHERE program_id = :program AND member_id = ANY(:members)
           ORDER BY id FOR NO KEY UPDATE""",
        {"program": program_id, "members": sorted({*roots.values(), *wanted})},
    )
    if _roots(session, wanted) != roots:
        raise RootChanged
    by_member = {row.member_id: row.id for row in rows}
    moment = now or (max(row.now for row in rows) if rows else _now(session))
    accounts = {row.id: Account(**{k: v for k, v in row._mapping.items() if k != "now"}) for row in rows}
    for account in accounts.values():
        if account.next_settle_at is not None and account.next_settle_at <= moment:
            account.rebuild = True
    return Locked(
        program_id, moment, chain_key, actor, accounts, {m: by_member[r] for m, r in roots.items()}
    )


def write(session: Session, locked: Locked) -> dict[int, Book]:
    """Carry out everything drafted on the locked accounts. Returns the replayed books of those that
    had to be rebuilt (the others only gained lots no spend could have used)."""
    books = _rebuild(session, locked, [a for a in locked.accounts.values() if a.rebuild])
    _write_entries(session, locked)
    _write_fast_lots(session, [a for a in locked.accounts.values() if not a.rebuild])
    _write_postings(session, list(locked.touched.values()))
    _write_accounts(session, locked, books)
    return books


# --- one sale ------------------------------------------------------------------------------------


def _post_one(locked: Locked, target: Target, postings: Sequence[Posting]) -> int:
    """Compare per root account: the attributed member's gets the target, every other 0 (C1)."""
    wanted: dict[int, int] = {}
    own = locked.roots.get(target.member_id) if target.member_id is not None else None
    for posting in postings:
        wanted.setdefault(locked.roots[locked.accounts[posting.account_id].member_id], 0)
    if own is not None and (target.points > 0 or own in wanted):
        wanted[own] = target.points
    change = 0
    for account_id in sorted(wanted):
        posted = sum(
            p.posted
            for p in postings
            if locked.roots[locked.accounts[p.account_id].member_id] == account_id
        )
        change += _post_delta(locked, target, account_id, posted, wanted[account_id])
    return change


def _post_delta(locked: Locked, target: Target, account_id: int, posted: int, wanted: int) -> int:
    """Draft the entry that brings one account from `posted` to `wanted` for this sale."""
    account = locked.accounts[account_id]
    posting = _posting(locked, target, account)
    times = (target.placed_at, target.available_at, target.expires_at)
    moved = times != (posting.placed_at, posting.available_at, posting.expires_at)
    delta = wanted - posted
    if not delta:
        if moved and wanted:
            _retime(locked, account, posting, target)
        return 0
    posting.placed_at, posting.available_at, posting.expires_at = times
    if delta > 0 and posting.forgiven:
        _reverse_forgiven(locked, account, posting, min(posting.forgiven, delta), target)
    before = posting.posted
    posting.posted += delta
    posting.n += 1
    posting.member_id = target.member_id if target.member_id is not None else posting.member_id
    locked.touched[posting.transaction_id, posting.account_id] = posting
    account.drafts.append(_sale_draft(locked, target, account, posting, delta, (posted, wanted)))
    if moved and before:
        account.rebuild = True
    _place(locked, account, posting, delta)
    if delta < 0 and target.negative == "forgive":
        account.rebuild = True
    return delta


def _sale_draft(
    locked: Locked,
    target: Target,
    account: Account,
    posting: Posting,
    delta: int,
    change: tuple[int, int],
) -> Draft:
    return Draft(
        account_id=account.id,
        amount=delta,
        counter="issued",
        subject=posting.key,
        reference=f"sale:{target.transaction_id}:{account.id}:{posting.n}",
        input_hash=input_hash(*change, target.context, target.winners),
        member_id=posting.member_id,
        occurred_at=target.placed_at,
        actor=locked.actor,
        transaction_id=target.transaction_id,
        available_at=target.available_at,
        expires_at=target.expires_at,
        explanation=target.explanation,
    )


def _posting(locked: Locked, target: Target, account: Account) -> Posting:
    key = (target.transaction_id, account.id)
    known = locked.postings.get(key)
    if known is None:
        known = locked.postings[key] = Posting(
            target.transaction_id,
            account.id,
            posted=0,
            forgiven=0,
            n=0,
            member_id=target.member_id if target.member_id is not None else account.member_id,
            placed_at=target.placed_at,
            available_at=target.available_at,
            expires_at=target.expires_at,
        )
    return known


def _retime(locked: Locked, account: Account, posting: Posting, target: Target) -> None:
    """Same points, but a message showed that the sale was placed earlier: lots follow event time."""
    posting.placed_at, posting.available_at = target.placed_at, target.available_at
    posting.expires_at = target.expires_at
    locked.touched[posting.transaction_id, posting.account_id] = posting
    account.rebuild = True


def _place(locked: Locked, account: Account, posting: Posting, delta: int) -> None:
    """Change the lot in place where no spend, debt or expiry can be affected; else replay (D1)."""
    untouched = account.high_water_at is None or posting.placed_at > account.high_water_at
    expired = posting.expires_at is not None and posting.expires_at <= locked.now
    if account.rebuild or account.debt or expired or not untouched:
        account.rebuild = True
        return
    grant = Grant(
        posting.key, posting.posted, posting.placed_at, posting.available_at, posting.expires_at
    )
    account.fast_lots.append((grant, delta))


def _reverse_forgiven(
    locked: Locked, account: Account, posting: Posting, amount: int, target: Target
) -> None:
    """A forgiven claw-back counts in full as taken back: before the sale earns again, what was
    forgiven goes back, or cancel and complete in turn would be a pump (C3)."""
    posting.forgiven -= amount
    posting.n += 1
    account.drafts.append(
        Draft(
            account_id=account.id,
            amount=-amount,
            counter="forgiven",
            subject=f"forgiven:{posting.transaction_id}",
            reference=f"sale:{posting.transaction_id}:{account.id}:{posting.n}",
            input_hash=input_hash("unforgive", amount, target.context, target.winners),
            member_id=posting.member_id,
            occurred_at=target.placed_at,
            actor=locked.actor,
            transaction_id=posting.transaction_id,
            explanation=({"code": "forgiven_reversed", "points": str(-amount)},),
        )
    )
    account.rebuild = True


# --- replaying accounts --------------------------------------------------------------------------


def _rebuild(session: Session, locked: Locked, accounts: Sequence[Account]) -> dict[int, Book]:
    """Replay these accounts with their drafts, draft what forgiveness and expiry follow from it, and
    store the lots."""
    if not accounts:
        return {}
    ingredients = load_ingredients(session, [a.id for a in accounts])
    books = {}
    for account in accounts:
        parts = ingredients[account.id]
        for posting in locked.touched.values():
            if posting.account_id == account.id:
                _set_grant(parts, posting)
        for draft in account.drafts:
            if draft.counter != "issued":
                parts.take(draft)
        _forgive(locked, account, parts)
        book = parts.replay(locked.now)
        _expire(locked, account, parts, book)
        books[account.id] = book
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


# --- writing -------------------------------------------------------------------------------------

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


def _write_entries(session: Session, locked: Locked) -> None:
    drafts = [(a, d) for a in sorted(locked.accounts.values(), key=lambda a: a.id) for d in a.drafts]
    if not drafts:
        return
    movements = run(
        session,
        "SELECT nextval('movements') AS id FROM generate_series(1, :n)",
        {"n": len(drafts)},
    )
    rows = [
        _chained(locked, account, draft, movement.id)
        for (account, draft), movement in zip(drafts, movements, strict=True)
    ]
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


# --- reading -------------------------------------------------------------------------------------


def _load_postings(session: Session, transaction_ids: Sequence[int]) -> list[Posting]:
    rows = run(
        session,
        """SELECT transaction_id, account_id, posted, forgiven, n, member_id, placed_at, available_at, expires_at
           FROM postings WHERE transaction_id = ANY(:ids)""",
        {"ids": list(transaction_ids)},
    )
    return [Posting(**row._mapping) for row in rows]


def _members_of_accounts(session: Session, account_ids: Iterable[int]) -> set[int]:
    ids = list(account_ids)
    if not ids:
        return set()
    return {
        r.member_id
        for r in run(session, "SELECT member_id FROM accounts WHERE id = ANY(:ids)", {"ids": ids})
    }


def _roots(session: Session, members: Sequence[int]) -> dict[int, int]:
    """Member -> the member it is an alias of, or itself. Aliases always point at a root."""
    if not members:
        return {}
    rows = run(
        session,
        "SELECT id, coalesce(alias_of, id) AS root FROM members WHERE id = ANY(:ids)",
        {"ids": list(members)},
    )
    return {row.id: row.root for row in rows}


def _open_accounts(session: Session, program_id: int, members: Sequence[int]) -> None:
    run(
        session,
        """INSERT INTO accounts (program_id, member_id)
           SELECT :program, m FROM unnest(CAST(:members AS bigint[])) AS m
           WHERE NOT EXISTS (SELECT 1 FROM accounts WHERE member_id = m)
           ORDER BY m ON CONFLICT (member_id) DO NOTHING""",
        {"program": program_id, "members": list(members)},
    )


def _now(session: Session) -> datetime:
    moment: datetime = run(session, "SELECT clock_timestamp() AS now")[0].now
    return moment
