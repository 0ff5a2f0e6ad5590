"""What an account's book is replayed from: its postings and its other entries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.ledger import lots
from hub.ledger.entry import Draft
from hub.ledger.lots import Book, Grant, Return, Spend
from hub.ledger.policies import NO_POLICIES, Policies, Policy


def sale_key(transaction_id: int) -> str:
    """The key of a sale's grant: zero-padded, so that keys sort as the sales were recorded."""
    return f"sale:{transaction_id:016d}"


@dataclass(slots=True)
class Ingredients:
    """What an account's book is replayed from."""

    grants: dict[str, Grant] = field(default_factory=dict)
    spends: dict[str, Spend] = field(default_factory=dict)
    expired: dict[str, int] = field(default_factory=dict)
    """Lot key -> points whose expiry is posted."""
    expiries: dict[str, int] = field(default_factory=dict)
    """Lot key -> number of expiry entries, for the next reference (D2)."""
    policies: Policies = NO_POLICIES

    def replay(self, now: datetime) -> Book:
        """The book at `now`."""
        return lots.replay(self.grants.values(), self.spends.values(), now, self.policies)

    def take(self, entry: Draft | Any) -> None:
        """Add one entry that is not a sale's (those come from the postings)."""
        if entry.counter == "member":
            self._move(entry)
        elif entry.counter == "issued":
            self._issue(entry)
        elif entry.counter == "expired":
            self.expired[entry.subject] = self.expired.get(entry.subject, 0) - entry.amount
            self.expiries[entry.subject] = self.expiries.get(entry.subject, 0) + 1
        elif entry.counter == "forgiven":
            present = self.grants.get(entry.subject)
            amount = (present.amount if present else 0) + entry.amount
            self.grants[entry.subject] = Grant(
                entry.subject, amount, entry.occurred_at, entry.occurred_at, None
            )
        elif entry.subject in self.spends:
            self._change_spend(entry)
        elif entry.amount < 0:
            self.spends[entry.subject] = Spend(entry.subject, -entry.amount, entry.occurred_at)
        else:
            self.grants[entry.subject] = Grant(
                entry.subject,
                entry.amount,
                entry.occurred_at,
                entry.available_at or entry.occurred_at,
                entry.expires_at,
            )

    def _move(self, entry: Draft | Any) -> None:
        """A grant or spend that came from, or went to, another member's account (rules.md D8). Sales
        move with their postings."""
        if entry.subject.startswith("sale:"):
            return
        grant, spend = self.grants.get(entry.subject), self.spends.get(entry.subject)
        if grant is not None:
            self.grants[entry.subject] = replace(grant, amount=grant.amount + entry.amount)
        elif spend is not None:
            self.spends[entry.subject] = Spend(spend.key, spend.net - entry.amount, spend.at)
        elif entry.amount < 0:
            self.spends[entry.subject] = Spend(entry.subject, -entry.amount, entry.occurred_at)
        else:
            available = entry.available_at or entry.occurred_at
            self.grants[entry.subject] = Grant(
                entry.subject, entry.amount, entry.occurred_at, available, entry.expires_at
            )

    def _issue(self, entry: Draft | Any) -> None:
        """Points of an action or a referral: what its entries sum to, with the times of the newest."""
        present = self.grants.get(entry.subject)
        available = entry.available_at or entry.occurred_at
        self.grants[entry.subject] = Grant(
            entry.subject,
            (present.amount if present else 0) + entry.amount,
            entry.occurred_at,
            available,
            entry.expires_at,
        )

    def _change_spend(self, entry: Draft | Any) -> None:
        spend = self.spends[entry.subject]
        if entry.amount < 0:
            self.spends[entry.subject] = spend.taken_again(-entry.amount)
            return
        back = Return(entry.amount, entry.occurred_at, entry.expires_at)
        self.spends[entry.subject] = Spend(spend.key, spend.amount, spend.at, (*spend.returns, back))


def load_ingredients(session: Session, account_ids: Sequence[int]) -> dict[int, Ingredients]:
    """Read what the books of these accounts are replayed from."""
    found: dict[int, Ingredients] = {account_id: Ingredients() for account_id in account_ids}
    by_policy: set[int] = set()
    for row in run(
        session,
        """SELECT a.id AS account_id, p.transaction_id, p.posted, p.placed_at, p.available_at, p.expires_at,
                  EXISTS (SELECT 1 FROM lot_policies l WHERE l.program_id = a.program_id
                          AND a.currency IS NULL) AS by_policy
           FROM accounts a LEFT JOIN postings p ON p.account_id = a.id AND p.posted > 0
           WHERE a.id = ANY(:ids)""",
        {"ids": list(account_ids)},
    ):
        if row.by_policy:
            by_policy.add(row.account_id)
        if row.transaction_id is None:
            continue
        key = sale_key(row.transaction_id)
        found[row.account_id].grants[key] = Grant(
            key, row.posted, row.placed_at, row.available_at, row.expires_at
        )
    for row in run(
        session,
        """SELECT account_id, amount, counter, subject, occurred_at, available_at, expires_at
           FROM entries
           WHERE account_id = ANY(:ids) AND (counter <> 'issued' OR transaction_id IS NULL)
           ORDER BY account_id, seq""",
        {"ids": list(account_ids)},
    ):
        found[row.account_id].take(row)
    if by_policy:
        _add_policies(session, {i: found[i] for i in by_policy})
    return found


def _add_policies(session: Session, found: Mapping[int, Ingredients]) -> None:
    """The policies of these accounts' programmes, and what their members bought: also what earned
    nothing, but nothing that was given back in full."""
    ids = sorted(found)
    versions: dict[int, list[Policy]] = defaultdict(list)
    for row in run(
        session,
        """SELECT a.id, l.effective_from, l.consume, l.idle_days, l.idle_year, l.time_zone
           FROM accounts a JOIN lot_policies l ON l.program_id = a.program_id
           WHERE a.id = ANY(:ids) ORDER BY l.effective_from, l.number""",
        {"ids": ids},
    ):
        versions[row.id].append(
            Policy(row.effective_from, row.consume, row.idle_days, row.idle_year, row.time_zone)
        )
    bought: dict[int, list[datetime]] = defaultdict(list)
    for row in run(
        session,
        """SELECT a.id, t.placed_at FROM accounts a
           JOIN members m ON m.id = a.member_id OR m.alias_of = a.member_id
           JOIN transactions t ON t.member_id = m.id
           WHERE a.id = ANY(:ids) AND t.state IN ('paid', 'fulfilled') AND NOT t.test
             AND t.placed_at IS NOT NULL
             AND coalesce(t.why, '') NOT IN ('backdated', 'before_program_start', 'copy_of_another_channel',
                                            'own_sale')
             AND coalesce(t.total, t.goods_net + t.goods_tax + t.shipping) > t.refunded
           ORDER BY t.placed_at""",
        {"ids": ids},
    ):
        bought[row.id].append(row.placed_at)
    for account_id, parts in found.items():
        parts.policies = Policies(tuple(versions[account_id]), tuple(bought[account_id]))
