"""An account as it stood: replayed from the entries that were recorded up to a moment (rules.md C5)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.ledger.ingredients import Ingredients
from hub.ledger.lots import Book, Grant


@dataclass(frozen=True, slots=True)
class AsOf:
    """Points of one account as recorded by a moment."""

    balance: int
    """What the running balance said then; equal to `replayed`."""
    replayed: int
    """What a replay of the entries up to then comes to."""
    available: int
    """What could have been redeemed: open at that moment, whether or not an expiry was posted yet."""
    pending: int
    debt: int
    entries: int


def as_of(session: Session, member_id: int, at: datetime) -> AsOf:
    """The member's account at `at` (aware, by recorded time). A sale that was later found to be older has there
    the times that were known of it then."""
    entries = run(
        session,
        """SELECT e.amount, e.counter, e.subject, e.occurred_at, e.available_at, e.expires_at, e.balance_after
           FROM accounts a JOIN entries e ON e.account_id = a.id
           WHERE a.member_id = :member AND e.recorded_at <= :at ORDER BY e.seq""",
        {"member": member_id, "at": at},
    )
    ingredients = ingredients_of(entries)
    book = ingredients.replay(at)
    return AsOf(
        balance=entries[-1].balance_after if entries else 0,
        replayed=replayed_balance(ingredients, book),
        available=book.available(at),
        pending=book.pending(at),
        debt=book.debt,
        entries=len(entries),
    )


def ingredients_of(entries: Iterable[Any]) -> Ingredients:
    """What a book is replayed from, out of entries alone (those of sales too, whose present amounts
    stand in the postings)."""
    found = Ingredients()
    for entry in entries:
        if entry.subject.startswith("sale:") and entry.counter in {"issued", "member"}:
            _add_sale(found.grants, entry)
        else:
            found.take(entry)
    return found


def replayed_balance(ingredients: Ingredients, book: Book) -> int:
    """What a replay comes to before expiries that its moment knows of and nobody has posted yet."""
    ended = sum(lot.expired for lot in book.lots.values())
    return book.balance + ended - sum(ingredients.expired.values())


def _add_sale(grants: dict[str, Grant], entry: Any) -> None:
    known = grants.get(entry.subject)
    available = entry.available_at or entry.occurred_at
    if known is None:
        grants[entry.subject] = Grant(
            entry.subject, entry.amount, entry.occurred_at, available, entry.expires_at
        )
        return
    times = {"placed_at": entry.occurred_at, "available_at": available, "expires_at": entry.expires_at}
    grants[entry.subject] = replace(known, amount=known.amount + entry.amount, **times)
