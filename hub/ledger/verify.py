"""The checker: re-derives every stored sum, lot and chain link, and names the first that is off."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from hub.bulk import run
from hub.i18n import gettext as _
from hub.ledger.entry import Draft, canonical, chain
from hub.ledger.ingredients import load_ingredients, sale_key

CHUNK = 500


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be."""

    account_id: int
    entry_id: int | None
    what: str


@dataclass(slots=True)
class Report:
    """What a verification saw."""

    accounts: int = 0
    entries: int = 0
    findings: list[Finding] | None = None

    @property
    def clean(self) -> bool:
        """Nothing was off."""
        return not self.findings


def verify(
    session: Session, chain_key: bytes, program_id: int | None = None, limit: int = 100
) -> Report:
    """Check all accounts (of one program), at most `limit` findings. Takes no locks: run it in a
    REPEATABLE READ transaction when the hub is at work."""
    report = Report(findings=[])
    assert report.findings is not None
    after = 0
    while True:
        accounts = run(
            session,
            """SELECT * FROM accounts WHERE id > :after AND (CAST(:program AS bigint) IS NULL OR program_id = :program)
               ORDER BY id LIMIT :chunk""",
            {"after": after, "program": program_id, "chunk": CHUNK},
        )
        if not accounts:
            return report
        for finding in _check_chunk(session, accounts, chain_key, report):
            report.findings.append(finding)
            if len(report.findings) >= limit:
                return report
        after = accounts[-1].id


def _check_chunk(session: Session, accounts: Any, chain_key: bytes, report: Report) -> Iterator[Finding]:
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
        yield from _check_chain(account, entries[account.id], chain_key)
        replayed = ingredients[account.id].replay(account.settled_at)
        yield from _check_book(account, replayed, stored.get(account.id, {}))


def _check_chain(account: Any, entries: list[Row[Any]], chain_key: bytes) -> Iterator[Finding]:
    """Gaps, balances, hashes; then the head on the account row (a chain cut at its tail)."""
    balance, head = 0, ""
    for number, entry in enumerate(entries, 1):
        balance += entry.amount
        hashed = canonical(
            _draft(entry),
            program_id=entry.program_id,
            seq=entry.seq,
            movement_id=entry.movement_id,
            recorded_at=entry.recorded_at,
            balance_after=entry.balance_after,
        )
        if entry.seq != number:
            yield Finding(account.id, entry.id, _("entry {number} is missing", number=number))
            return
        if entry.balance_after != balance:
            yield Finding(
                account.id,
                entry.id,
                _(
                    "balance after it is {told}, its sum is {balance}",
                    told=entry.balance_after,
                    balance=balance,
                ),
            )
            return
        if (
            hashed != entry.hashed
            or entry.prev_hash != head
            or entry.hash != chain(chain_key, head, hashed)
        ):
            yield Finding(account.id, entry.id, _("its hash does not match: the row was changed"))
            return
        head = entry.hash
    if (account.seq, account.head) != (len(entries), head):
        yield Finding(
            account.id,
            None,
            _(
                "the account counts {counted} entries, there are {count}",
                counted=account.seq,
                count=len(entries),
            ),
        )
    if account.balance != balance:
        yield Finding(
            account.id,
            None,
            _(
                "the cached balance is {cached}, the entries sum to {balance}",
                cached=account.balance,
                balance=balance,
            ),
        )


def _check_book(account: Any, replayed: Any, stored: dict[str, tuple[Any, ...]]) -> Iterator[Finding]:
    if replayed.balance != account.balance:
        yield Finding(
            account.id,
            None,
            _(
                "lots less debt come to {replayed}, the balance is {stored}",
                replayed=replayed.balance,
                stored=account.balance,
            ),
        )
    if replayed.debt != account.debt:
        yield Finding(
            account.id,
            None,
            _(
                "the cached debt is {stored}, the replay owes {replayed}",
                stored=account.debt,
                replayed=replayed.debt,
            ),
        )
    derived = {
        key: (lot.granted, lot.remaining, lot.expired, lot.moved, lot.available_at, lot.expires_at)
        for key, lot in replayed.lots.items()
    }
    for key in sorted({*derived, *stored}):
        if derived.get(key) != stored.get(key):
            yield Finding(
                account.id,
                None,
                _(
                    "lot {key} is stored as {stored}, the replay says {replayed}",
                    key=key,
                    stored=stored.get(key),
                    replayed=derived.get(key),
                ),
            )
            return


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
        yield Finding(
            row.account_id,
            None,
            _(
                "{sale} is posted as {posted}, its entries sum to {total}",
                sale=sale_key(row.transaction_id),
                posted=row.posted,
                total=row.total,
            ),
        )


def _stored_lots(session: Session, ids: list[int]) -> dict[int, dict[str, tuple[Any, ...]]]:
    found: dict[int, dict[str, tuple[Any, ...]]] = {}
    for row in run(session, "SELECT * FROM lots WHERE account_id = ANY(:ids)", {"ids": ids}):
        found.setdefault(row.account_id, {})[row.key] = (
            row.granted,
            row.remaining,
            row.expired,
            row.moved,
            row.available_at,
            row.expires_at,
        )
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
