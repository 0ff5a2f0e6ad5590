"""Vouchers as a batch locks them: their state, who paid for them, and which orders used them before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.redemption.states import Leaving, State


@dataclass(slots=True)
class Spent:
    """What one subject of the ledger has cost so far."""

    by: list[tuple[int, int]] = field(default_factory=list)
    """(member, points), the voucher's owner first."""
    entries: int = 0
    """How many entries it has: their references go on from there."""

    @property
    def points(self) -> int:
        """By all members together."""
        return sum(points for _, points in self.by)


@dataclass(slots=True)
class Voucher:
    """One locked voucher."""

    id: int
    public_id: str
    redemption_id: int
    member_id: int
    code_key: str
    state: State
    uses: int
    points: int
    redemption_state: str
    leaving: Leaving | None = None
    """Why it is to go, or went."""
    returned: bool = False
    """Whether its points came back when it had gone."""
    decided: str | None = None
    """What a person decided about its further uses, whatever the programme says."""
    currency: str | None = None
    """Of store credit that bought it; None: points did."""
    price: Spent = field(default_factory=Spent)
    """The redemption itself: its points, less those that came back."""
    again: Spent = field(default_factory=Spent)
    """Further uses of the code."""
    absorbed: int = 0
    """What the shop bears by now of uses that nobody pays for: the sum of its lines in the history."""
    present: set[int] = field(default_factory=set)
    """The sales that used it before this batch."""

    @property
    def is_late(self) -> bool:
        """Used after its points had come back, and not because its order was cancelled for a while: what
        that costs is a matter of the double-use policy (rules.md E4)."""
        return self.state == "used_late" and self.returned and self.leaving != "cancelled"

    @property
    def price_subject(self) -> str:
        """What the redemption is called in the ledger."""
        return f"red:{self.redemption_id}"

    @property
    def again_subject(self) -> str:
        """What its further uses are called in the ledger."""
        return f"use:{self.id}"

    @property
    def payers(self) -> set[int]:
        """The owner, and all who paid for it."""
        return {self.member_id, *(m for m, _ in (*self.price.by, *self.again.by))}


def lock(session: Session, program_id: int, where: str, **parameters: Any) -> list[Voucher]:
    """Lock the vouchers for which `where` (SQL over `v` and its redemption `r`) holds, by id (C4), and
    load what was posted for them."""
    rows = run(
        session,
        f"""SELECT v.id, v.public_id, v.redemption_id, v.member_id, v.code_key, v.state, v.uses, v.leaving, v.returned,
                   v.decided, r.points, r.state AS redemption_state, r.currency
            FROM vouchers v JOIN redemptions r ON r.id = v.redemption_id
            WHERE v.program_id = :program AND {where} ORDER BY v.id FOR NO KEY UPDATE OF v""",
        {"program": program_id, **parameters},
    )
    vouchers = [Voucher(**row._mapping) for row in rows]
    if vouchers:
        _load_present(session, vouchers)
        _load_spent(session, program_id, vouchers)
    return vouchers


def _load_present(session: Session, vouchers: Sequence[Voucher]) -> None:
    by_id = {v.id: v for v in vouchers}
    for row in run(
        session,
        """SELECT voucher_id, transaction_id, 0 AS absorbed FROM voucher_uses
           WHERE voucher_id = ANY(:ids) AND present
           UNION ALL
           SELECT v.id, NULL, CAST(sum(CAST(e.detail->>'points' AS bigint)) AS bigint)
           FROM vouchers v JOIN redemption_events e ON e.redemption_id = v.redemption_id AND e.event = 'absorbed'
           WHERE v.id = ANY(:ids) GROUP BY v.id""",
        {"ids": sorted(by_id)},
    ):
        if row.transaction_id is None:
            by_id[row.voucher_id].absorbed = row.absorbed
        else:
            by_id[row.voucher_id].present.add(row.transaction_id)


def spent(session: Session, program_id: int, subjects: Iterable[str]) -> dict[str, Spent]:
    """What these subjects of the ledger have cost so far, and whom."""
    found = {subject: Spent() for subject in subjects}
    for row in run(
        session,
        """SELECT e.subject, coalesce(a.member_id, a.holder_id) AS member_id, -sum(e.amount) AS spent,
                  count(*) FILTER (WHERE e.counter <> 'member') AS n
           FROM entries e JOIN accounts a ON a.id = e.account_id
           WHERE e.program_id = :program AND e.subject = ANY(:subjects) AND e.counter <> 'issued'
           GROUP BY e.subject, 2 ORDER BY 2""",
        {"program": program_id, "subjects": sorted(found)},
    ):
        one = found[row.subject]
        one.entries += row.n
        if row.spent:
            one.by.append((row.member_id, int(row.spent)))
    return found


def _load_spent(session: Session, program_id: int, vouchers: Sequence[Voucher]) -> None:
    subjects = [s for v in vouchers for s in (v.price_subject, v.again_subject)]
    found = spent(session, program_id, subjects)
    for voucher in vouchers:
        voucher.price = found[voucher.price_subject]
        voucher.again = found[voucher.again_subject]
        for one in (voucher.price, voucher.again):
            owner = voucher.member_id
            one.by = [*_of(one, owner, mine=True), *_of(one, owner, mine=False)]


def _of(one: Spent, owner: int, *, mine: bool) -> list[tuple[int, int]]:
    return [paid for paid in one.by if (paid[0] == owner) == mine]
