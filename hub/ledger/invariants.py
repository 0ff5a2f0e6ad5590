"""What a book of points must never stop being true of: the 23 invariants by name, and how each is held.

Numbers and statements are those of the reliability facts the hub was designed by; docs/ledger.md has
them as a table (a test keeps the two in step).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

How = Literal["rows", "database", "tests"]
"""rows: recomputed over the whole book; database: the constraint, trigger or right is looked for;
tests: a property of behaviour that no row can show, named with the test that shows it."""


INVARIANT_WORDS = {
    "movements_balance": "both sides of a movement between members sum to zero",
    "whole_amounts": "an amount is a whole number, never 0, inside 2^53",
    "balance_is_sum": "a balance is the sum of its entries",
    "no_gaps": "an account's entries are numbered 1 to n, and it counts n",
    "running_balance": "each balance after is the one before plus the amount",
    "debt_is_visible": "what is below zero is debt, and no lot has anything beside it",
    "lots_replay": "stored lots are what a replay gives, and less debt they are the balance",
    "order_is_total": "a replay does not depend on the order it is fed in",
    "expires_once": "expiry takes what a lot had left, once",
    "clawback_within_earn": "a sale never takes back more than it gave",
    "one_effect": "no two entries of a program share a reference",
    "converges": "messages in any order, any number of times, end in the same book",
    "corrections_named": "a sale's present points are the sum of its entries",
    "holds_resolve": "a released hold took nothing, a standing one exactly its points",
    "append_only": "nobody can change or delete an entry",
    "no_crossing": "account, member, sale and program of an entry belong together",
    "chain": "each hash covers the one before and every column",
    "refusal_is_whole": "what was refused left no trace",
    "recorded_in_order": "recorded times never run backwards within an account",
    "everything_has_a_cause": "points of a sale have a message, a finished message an outcome",
    "told_with_the_posting": "a channel is told of a posting, or of none",
    "vouchers_are_paid": "a code that works was paid for, and by its member",
    "as_of_is_replay": "a balance as of a time is what a replay up to then gives",
}


@dataclass(frozen=True, slots=True)
class Invariant:
    """One of them."""

    number: int
    name: str
    how: How
    shown_by: str = ""
    """tests: the file."""

    @property
    def says(self) -> str:
        """The statement, in English."""
        return INVARIANT_WORDS[self.name]


INVARIANTS: tuple[Invariant, ...] = (
    Invariant(1, "movements_balance", "rows"),
    Invariant(2, "whole_amounts", "rows"),
    Invariant(3, "balance_is_sum", "rows"),
    Invariant(4, "no_gaps", "rows"),
    Invariant(5, "running_balance", "rows"),
    Invariant(6, "debt_is_visible", "rows"),
    Invariant(7, "lots_replay", "rows"),
    Invariant(8, "order_is_total", "rows"),
    Invariant(9, "expires_once", "rows"),
    Invariant(10, "clawback_within_earn", "rows"),
    Invariant(11, "one_effect", "database"),
    Invariant(12, "converges", "tests", "tests/property/test_convergence.py"),
    Invariant(13, "corrections_named", "rows"),
    Invariant(14, "holds_resolve", "rows"),
    Invariant(15, "append_only", "database"),
    Invariant(16, "no_crossing", "rows"),
    Invariant(17, "chain", "rows"),
    Invariant(18, "refusal_is_whole", "tests", "tests/ledger/test_book_model.py"),
    Invariant(19, "recorded_in_order", "rows"),
    Invariant(20, "everything_has_a_cause", "rows"),
    Invariant(21, "told_with_the_posting", "tests", "tests/faults/test_kill.py"),
    Invariant(22, "vouchers_are_paid", "rows"),
    Invariant(23, "as_of_is_replay", "rows"),
)

BY_NUMBER = {invariant.number: invariant for invariant in INVARIANTS}
