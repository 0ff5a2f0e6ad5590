"""The accounts a batch works on: locked in one order, with what the batch drafts for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.ledger.entry import Draft
from hub.ledger.ingredients import sale_key
from hub.ledger.lots import Grant


class RootChanged(Exception):
    """A member was merged while accounts were being locked: gather and try the batch again."""


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
    """Whether its lots are replayed: where points are lost by inactivity, whatever happens to a member
    moves the end of all their points."""


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


_COLUMNS = """balance, debt, seq, head, last_recorded_at, high_water_at, next_settle_at,
    clock_timestamp() AS now"""
_HOLDERS = "SELECT coalesce(member_id, holder_id) AS member_id FROM accounts WHERE id = ANY(:ids)"
_POINTS = f"""SELECT id, member_id, {_COLUMNS},
        EXISTS (SELECT 1 FROM lot_policies l WHERE l.program_id = :program
                AND (l.idle_days IS NOT NULL OR l.idle_year)) AS rebuild
    FROM accounts
    WHERE program_id = :program AND member_id = ANY(:members) ORDER BY id FOR NO KEY UPDATE"""
_WALLETS = f"""SELECT id, holder_id AS member_id, {_COLUMNS} FROM accounts
    WHERE program_id = :program AND holder_id = ANY(:members) AND currency = :currency
    ORDER BY id FOR NO KEY UPDATE"""
_OPEN_WALLETS = """INSERT INTO accounts (program_id, holder_id, currency)
    SELECT :program, m, :currency FROM unnest(CAST(:members AS bigint[])) AS m
    WHERE NOT EXISTS (SELECT 1 FROM accounts WHERE holder_id = m AND currency = :currency)
    ORDER BY m ON CONFLICT (holder_id, currency) WHERE holder_id IS NOT NULL DO NOTHING"""


def lock(
    session: Session,
    program_id: int,
    members: Iterable[int],
    *,
    chain_key: bytes,
    actor: str,
    now: datetime | None = None,
    currency: str | None = None,
) -> Locked:
    """Make missing accounts, lock all of them by id, and check that no root changed meanwhile.
    `currency`: the members' store credit in it, rather than their points; who needs both locks points
    first (rules.md C4).

    NO KEY UPDATE: whoever inserted a row that names an account (a redemption) holds its key in
    share, and two of them that both wanted FOR UPDATE would wait for each other for ever."""
    wanted = sorted(set(members))
    roots = _roots(session, wanted)
    everybody = sorted({*roots.values(), *wanted})
    if currency is None:
        open_accounts(session, program_id, sorted(set(roots.values())))
        rows = run(session, _POINTS, {"program": program_id, "members": everybody})
    else:
        keys = {"program": program_id, "currency": currency}
        run(session, _OPEN_WALLETS, {**keys, "members": sorted(set(roots.values()))})
        rows = run(session, _WALLETS, {**keys, "members": everybody})
    if _roots(session, wanted) != roots:
        raise RootChanged
    by_member = {row.member_id: row.id for row in rows}
    # never before what these accounts have recorded: a clock that lags would let a lot that was
    # expired when it was passed over stand beside the debt it left
    recorded = [row.last_recorded_at for row in rows if row.last_recorded_at is not None]
    moment = max([now or (max(row.now for row in rows) if rows else _now(session)), *recorded])
    accounts = {row.id: Account(**{k: v for k, v in row._mapping.items() if k != "now"}) for row in rows}
    for account in accounts.values():
        if account.next_settle_at is not None and account.next_settle_at <= moment:
            account.rebuild = True
    return Locked(
        program_id, moment, chain_key, actor, accounts, {m: by_member[r] for m, r in roots.items()}
    )


_ONE = """SELECT a.id, coalesce(a.member_id, a.holder_id) AS member_id, a.balance, a.debt, a.seq, a.head,
        a.last_recorded_at, a.high_water_at, a.next_settle_at, clock_timestamp() AS now,
        nextval('movements') AS movement,
        a.currency IS NULL AND EXISTS (SELECT 1 FROM lot_policies l WHERE l.program_id = :program) AS policies
    FROM members m JOIN accounts a ON {whose}
    WHERE m.id = :member AND a.program_id = :program FOR NO KEY UPDATE OF a"""
_ONES_POINTS = _ONE.format(whose="a.member_id = coalesce(m.alias_of, m.id)")
_ONES_WALLET = _ONE.format(whose="a.holder_id = coalesce(m.alias_of, m.id) AND a.currency = :currency")


def lock_one(
    session: Session,
    program_id: int,
    member_id: int,
    *,
    chain_key: bytes,
    actor: str,
    now: datetime | None = None,
    currency: str | None = None,
) -> tuple[Locked, Any] | None:
    """Lock one member's account in one statement, with its row: also the id of a movement, and whether the
    program has `policies` of how points are lost. None where there is no account. The caller looks by another
    statement whether the member was merged meanwhile."""
    keys = {"program": program_id, "member": member_id}
    if currency is None:
        rows = run(session, _ONES_POINTS, keys)
    else:
        rows = run(session, _ONES_WALLET, {**keys, "currency": currency})
    if not rows:
        return None
    row = rows[0]
    account = Account(**{name: getattr(row, name) for name in _STORED})
    moment = now or row.now
    moment = max(moment, row.last_recorded_at or moment)
    account.rebuild = account.next_settle_at is not None and account.next_settle_at <= moment
    return Locked(program_id, moment, chain_key, actor, {row.id: account}, {member_id: row.id}), row


_STORED = (
    "id",
    "member_id",
    "balance",
    "debt",
    "seq",
    "head",
    "last_recorded_at",
    "high_water_at",
    "next_settle_at",
)


def load_postings(
    session: Session, transaction_ids: Sequence[int], currency: str | None = None
) -> list[Posting]:
    """What these sales have earned so far, on all accounts of points, or of credit in a currency."""
    rows = run(
        session,
        """SELECT p.transaction_id, p.account_id, p.posted, p.forgiven, p.n, p.member_id, p.placed_at,
                  p.available_at, p.expires_at
           FROM unnest(CAST(:ids AS bigint[])) AS t(id)
           CROSS JOIN LATERAL (SELECT * FROM postings WHERE transaction_id = t.id OFFSET 0) p
           JOIN LATERAL (SELECT currency FROM accounts WHERE id = p.account_id LIMIT 1) a
             ON a.currency IS NOT DISTINCT FROM CAST(:currency AS text)""",
        {"ids": list(transaction_ids), "currency": currency},
    )
    return [Posting(**row._mapping) for row in rows]


def members_of(session: Session, account_ids: Iterable[int]) -> set[int]:
    """The members these accounts belong to."""
    ids = list(account_ids)
    if not ids:
        return set()
    return {r.member_id for r in run(session, _HOLDERS, {"ids": ids})}


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


def open_accounts(session: Session, program_id: int, members: Sequence[int]) -> None:
    """An account for each of these members who has none."""
    if not members:
        return
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
