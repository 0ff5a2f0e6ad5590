"""What an account's book is replayed from: its postings and its other entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.ledger import lots
from hub.ledger.entry import Draft
from hub.ledger.lots import Book, Grant, Return, Spend


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

    def replay(self, now: datetime) -> Book:
        """The book at `now`."""
        return lots.replay(self.grants.values(), self.spends.values(), now)

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
    for row in run(
        session,
        """SELECT account_id, transaction_id, posted, placed_at, available_at, expires_at
           FROM postings WHERE account_id = ANY(:ids) AND posted > 0""",
        {"ids": list(account_ids)},
    ):
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
    return found
