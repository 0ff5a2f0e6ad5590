"""The checker: re-derives every stored sum, lot and chain link, and names the first that is off.

What it checks is named in `hub.ledger.invariants`. It streams over the accounts, so its memory does not
grow with the book.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from hub.bulk import run
from hub.i18n import gettext as _
from hub.ledger import lots
from hub.ledger.as_of import ingredients_of, replayed_balance
from hub.ledger.entry import MAX_AMOUNT, Draft, canonical, chain
from hub.ledger.ingredients import Ingredients, load_ingredients, sale_key
from hub.ledger.invariants import BY_NUMBER
from hub.ledger.lots import Book
from hub.ledger.wide_checks import Found, of_the_whole_book

CHUNK = 500
ENTRIES_AT_ONCE = 5000
"""So many entries are held in memory at a time; those of one account always together."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be."""

    invariant: int
    account_id: int | None
    entry_id: int | None
    what: str

    @property
    def name(self) -> str:
        """The invariant's."""
        return BY_NUMBER[self.invariant].name


@dataclass(slots=True)
class Report:
    """What a verification saw."""

    accounts: int = 0
    entries: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Nothing was off."""
        return not self.findings


def verify(
    session: Session,
    chain_key: bytes,
    program_id: int | None = None,
    limit: int = 100,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Check the whole book (of one program), at most `limit` findings. `progress` is told how many
    entries were looked at. Takes no locks: run it in a REPEATABLE READ transaction when the hub is at
    work."""
    report = Report()
    for finding in _findings(session, chain_key, program_id, report, progress):
        report.findings.append(finding)
        if len(report.findings) >= limit:
            break
    return report


def size(session: Session, program_id: int | None = None) -> int:
    """How many entries there are to look at."""
    found = run(
        session,
        """SELECT coalesce(sum(seq), 0)::bigint AS entries FROM accounts
           WHERE CAST(:program AS bigint) IS NULL OR program_id = :program""",
        {"program": program_id},
    )
    return int(found[0].entries)


def _findings(
    session: Session,
    chain_key: bytes,
    program_id: int | None,
    report: Report,
    progress: Callable[[int], None],
) -> Iterator[Finding]:
    for found in of_the_whole_book(session, program_id):
        yield _named(found)
    for accounts in _chunks(session, program_id):
        before = report.entries
        yield from _check_chunk(session, accounts, chain_key, report)
        progress(report.entries - before)


def _named(found: Found) -> Finding:
    return Finding(found.invariant, found.account_id, found.entry_id, found.what)


def _chunks(session: Session, program_id: int | None) -> Iterator[Sequence[Row[Any]]]:
    """Accounts in the order of their ids, as many as have few enough entries; at least one."""
    after = 0
    while True:
        accounts = run(
            session,
            """SELECT * FROM accounts WHERE id > :after AND (CAST(:program AS bigint) IS NULL OR program_id = :program)
               ORDER BY id LIMIT :chunk""",
            {"after": after, "program": program_id, "chunk": CHUNK},
        )
        if not accounts:
            return
        count, size = 1, accounts[0].seq
        while count < len(accounts) and size + accounts[count].seq <= ENTRIES_AT_ONCE:
            size += accounts[count].seq
            count += 1
        yield accounts[:count]
        after = accounts[count - 1].id


def _check_chunk(
    session: Session, accounts: Sequence[Row[Any]], chain_key: bytes, report: Report
) -> Iterator[Finding]:
    ids = [a.id for a in accounts]
    entries: dict[int, list[Row[Any]]] = {i: [] for i in ids}
    for entry in run(
        session,
        "SELECT * FROM entries WHERE account_id = ANY(:ids) ORDER BY account_id, seq",
        {"ids": ids},
    ):
        entries[entry.account_id].append(entry)
    report.accounts += len(ids)
    report.entries += sum(len(e) for e in entries.values())
    yield from _check_postings(session, ids)
    ingredients = load_ingredients(session, ids)
    stored = _stored_lots(session, ids)
    for account in accounts:
        its = entries[account.id]
        yield from _check_chain(account, its, chain_key)
        yield from _check_amounts(account.id, its)
        yield from _check_book(account, ingredients[account.id], stored.get(account.id, {}))
        yield from _check_as_of(account.id, its)


# --- one account's entries -----------------------------------------------------------------------


def _check_chain(account: Any, entries: list[Row[Any]], chain_key: bytes) -> Iterator[Finding]:
    """Gaps, balances, hashes; then the head on the account row (a chain cut at its tail)."""
    balance, head = 0, ""
    for number, entry in enumerate(entries, 1):
        balance += entry.amount
        wrong = _link(entry, number, balance, head, chain_key)
        if wrong is not None:
            yield Finding(wrong[0], account.id, entry.id, wrong[1])
            return
        head = entry.hash
    if (account.seq, account.head) != (len(entries), head):
        what = _(
            "the account counts {counted} entries, there are {count}",
            counted=account.seq,
            count=len(entries),
        )
        yield Finding(4 if account.seq != len(entries) else 17, account.id, None, what)
    if account.balance != balance:
        what = _(
            "the cached balance is {cached}, the entries sum to {balance}",
            cached=account.balance,
            balance=balance,
        )
        yield Finding(3, account.id, None, what)


def _link(entry: Any, number: int, balance: int, head: str, chain_key: bytes) -> tuple[int, str] | None:
    """What is wrong with one entry at its place in the chain: (invariant, sentence)."""
    if entry.seq != number:
        return 4, _("entry {number} is missing", number=number)
    if entry.balance_after != balance:
        told = entry.balance_after
        return 5, _("balance after it is {told}, its sum is {balance}", told=told, balance=balance)
    hashed = canonical(
        _draft(entry),
        program_id=entry.program_id,
        seq=entry.seq,
        movement_id=entry.movement_id,
        recorded_at=entry.recorded_at,
        balance_after=entry.balance_after,
    )
    links = entry.prev_hash == head and entry.hash == chain(chain_key, head, hashed)
    if hashed != entry.hashed or not links:
        return 17, _("its hash does not match: the row was changed")
    return None


def _check_amounts(account_id: int, entries: Sequence[Row[Any]]) -> Iterator[Finding]:
    """What each entry is by itself and after the one before it."""
    earned: dict[str, int] = {}
    last: datetime | None = None
    for entry in entries:
        if not 0 < abs(entry.amount) <= MAX_AMOUNT:
            what = _("the amount {amount} is none", amount=entry.amount)
            yield Finding(2, account_id, entry.id, what)
        if last is not None and entry.recorded_at < last:
            yield Finding(19, account_id, entry.id, _("it was recorded before the entry before it"))
        last = entry.recorded_at
        if entry.counter in {"issued", "member"} and entry.subject.startswith("sale:"):
            left = earned[entry.subject] = earned.get(entry.subject, 0) + entry.amount
            if left < 0:
                what = _("{sale} took back more than it gave", sale=entry.subject)
                yield Finding(10, account_id, entry.id, what)


def _check_as_of(account_id: int, entries: Sequence[Row[Any]]) -> Iterator[Finding]:
    """The middle of its history, replayed, is what the running balance said then."""
    if not entries:
        return
    at = entries[len(entries) // 2].recorded_at
    past = [entry for entry in entries if entry.recorded_at <= at]
    ingredients = ingredients_of(past)
    replayed = replayed_balance(ingredients, ingredients.replay(at))
    if replayed != past[-1].balance_after:
        what = _(
            "a replay up to it comes to {replayed}, its balance is {stored}",
            replayed=replayed,
            stored=past[-1].balance_after,
        )
        yield Finding(23, account_id, past[-1].id, what)


# --- one account's book --------------------------------------------------------------------------


def _check_book(
    account: Any, ingredients: Ingredients, stored: Mapping[str, tuple[Any, ...]]
) -> Iterator[Finding]:
    book = ingredients.replay(account.settled_at)
    if book.balance != account.balance:
        what = _(
            "lots less debt come to {replayed}, the balance is {stored}",
            replayed=book.balance,
            stored=account.balance,
        )
        yield Finding(7, account.id, None, what)
    if book.debt != account.debt:
        what = _(
            "the cached debt is {stored}, the replay owes {replayed}",
            stored=account.debt,
            replayed=book.debt,
        )
        yield Finding(6, account.id, None, what)
    if account.debt and any(remaining for _granted, remaining, *_rest in stored.values()):
        yield Finding(6, account.id, None, _("there is debt, and a lot that has something left"))
    yield from _check_lots(account.id, book, stored)
    yield from _check_expiries(account.id, ingredients, book)
    yield from _check_order(account, ingredients, book)


def _check_lots(account_id: int, book: Book, stored: Mapping[str, tuple[Any, ...]]) -> Iterator[Finding]:
    derived = {key: _lot(lot) for key, lot in book.lots.items()}
    for key in sorted({*derived, *stored}):
        if derived.get(key) != stored.get(key):
            what = _(
                "lot {key} is stored as {stored}, the replay says {replayed}",
                key=key,
                stored=stored.get(key),
                replayed=derived.get(key),
            )
            yield Finding(7, account_id, None, what)
            return


def _lot(lot: Any) -> tuple[Any, ...]:
    return (lot.granted, lot.remaining, lot.expired, lot.moved, lot.available_at, lot.expires_at)


def _check_expiries(account_id: int, ingredients: Ingredients, book: Book) -> Iterator[Finding]:
    for key in sorted({*ingredients.expired, *book.lots}):
        lot = book.lots.get(key)
        posted, due = ingredients.expired.get(key, 0), lot.expired if lot else 0
        if posted != due:
            what = _(
                "of lot {key} {posted} points are posted as expired, {due} are",
                key=key,
                posted=posted,
                due=due,
            )
            yield Finding(9, account_id, None, what)
            return


def _check_order(account: Any, ingredients: Ingredients, book: Book) -> Iterator[Finding]:
    if not ingredients.spends:
        return
    grants, spends = [*ingredients.grants.values()], [*ingredients.spends.values()]
    again = lots.replay(reversed(grants), reversed(spends), account.settled_at, ingredients.policies)
    if (again.lots, again.debts) != (book.lots, book.debts):
        yield Finding(8, account.id, None, _("fed in another order, the replay gives other lots"))


def _check_postings(session: Session, ids: list[int]) -> Iterator[Finding]:
    """Posted points per sale and account are a cached sum of that sale's entries."""
    rows = run(
        session,
        """SELECT coalesce(p.account_id, e.account_id) AS account_id,
                  coalesce(p.transaction_id, e.transaction_id) AS transaction_id,
                  coalesce(p.posted, 0) AS posted, coalesce(e.total, 0) AS total
           FROM (SELECT * FROM postings WHERE account_id = ANY(:ids)) p
           FULL JOIN (SELECT account_id, transaction_id, sum(amount) AS total FROM entries
                      WHERE account_id = ANY(:ids) AND transaction_id IS NOT NULL
                        AND counter IN ('issued', 'member')
                      GROUP BY 1, 2) e
             ON e.account_id = p.account_id AND e.transaction_id = p.transaction_id
           WHERE coalesce(p.posted, 0) <> coalesce(e.total, 0)""",
        {"ids": ids},
    )
    for row in rows:
        what = _(
            "{sale} is posted as {posted}, its entries sum to {total}",
            sale=sale_key(row.transaction_id),
            posted=row.posted,
            total=row.total,
        )
        yield Finding(13, row.account_id, None, what)


def _stored_lots(session: Session, ids: list[int]) -> dict[int, dict[str, tuple[Any, ...]]]:
    found: dict[int, dict[str, tuple[Any, ...]]] = {}
    for row in run(session, "SELECT * FROM lots WHERE account_id = ANY(:ids)", {"ids": ids}):
        found.setdefault(row.account_id, {})[row.key] = _lot(row)
    return found


def _draft(entry: Any) -> Draft:
    explanation = entry.explanation
    return Draft(
        account_id=entry.account_id,
        amount=entry.amount,
        counter=entry.counter,
        subject=entry.subject,
        reference=entry.reference,
        input_hash=entry.input_hash,
        member_id=entry.member_id,
        occurred_at=entry.occurred_at,
        actor=entry.actor,
        transaction_id=entry.transaction_id,
        available_at=entry.available_at,
        expires_at=entry.expires_at,
        corrects=entry.corrects,
        explanation=json.loads(explanation) if isinstance(explanation, str) else explanation,
    )
