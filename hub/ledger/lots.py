"""Lots, expiry and debt as a pure replay of grants and spends by event time (rules.md D).

Nothing here is remembered: which lot a spend used, what expired and what is owed follow from the
present grants and spends alone, so any order of arrival gives the same book. Standard library only.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from hub.ledger.policies import NO_POLICIES, Policies, soonest

NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Grant:
    """Points given: what a sale is worth *now*, an adjustment, a transfer."""

    key: str
    amount: int
    """Points, >= 0: the sum of all postings for this key."""
    placed_at: datetime
    available_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Return:
    """Points of a spend that came back."""

    amount: int
    at: datetime
    grace_until: datetime | None = None
    """Set when the merchant's side cancelled or refunded: points whose lot expired meanwhile live
    on in a child lot until then (D5)."""


@dataclass(frozen=True, slots=True)
class Spend:
    """Points taken: a hold, a redemption, a debit."""

    key: str
    amount: int
    """Points, > 0, before returns."""
    at: datetime
    returns: tuple[Return, ...] = ()

    @property
    def net(self) -> int:
        """What stays spent after all returns."""
        return max(0, self.amount - sum(r.amount for r in self.returns))

    def taken_again(self, amount: int) -> Spend:
        """The spend with so many points more: what had come back goes first, the latest return before
        the others, so that none of them leaves a child lot behind."""
        returns = list(self.returns)
        while amount and returns:
            last = returns.pop()
            undone = min(amount, last.amount)
            amount -= undone
            if undone < last.amount:
                returns.append(replace(last, amount=last.amount - undone))
        return replace(self, amount=self.amount + amount, returns=tuple(returns))


@dataclass(slots=True)
class Lot:
    """One earned amount with its own availability and expiry."""

    key: str
    granted: int
    remaining: int
    placed_at: datetime
    available_at: datetime
    expires_at: datetime | None
    expired: int = 0
    moved: int = 0
    """Points that live on in a child lot."""
    parent: str | None = None

    def is_expired(self, now: datetime) -> bool:
        """At `expires_at` itself the points are gone: validity is half-open (A9)."""
        return self.expires_at is not None and self.expires_at <= now

    def is_open(self, now: datetime) -> bool:
        """Whether the lot can be redeemed from."""
        return self.available_at <= now and not self.is_expired(now)


@dataclass(frozen=True, slots=True)
class Use:
    """`amount` points of a lot paid for a spend."""

    lot: str
    spend: str
    amount: int


@dataclass(slots=True)
class Debt:
    """Points of a spend that no lot could pay yet."""

    spend: str
    amount: int


@dataclass(slots=True)
class Book:
    """The replayed state of one account."""

    lots: dict[str, Lot] = field(default_factory=dict)
    uses: list[Use] = field(default_factory=list)
    debts: list[Debt] = field(default_factory=list)
    policies: Policies = NO_POLICIES

    @property
    def debt(self) -> int:
        """Points owed."""
        return sum(d.amount for d in self.debts)

    @property
    def balance(self) -> int:
        """Lots remaining less debt."""
        return sum(lot.remaining for lot in self.lots.values()) - self.debt

    def available(self, now: datetime, payer: str | None = None) -> int:
        """Points a redemption may use at `now` (D3); of one payer alone, if named."""
        return sum(
            lot.remaining
            for lot in self.lots.values()
            if lot.is_open(now) and payer in (None, payer_of(lot.key))
        )

    def pending(self, now: datetime) -> int:
        """Points that are not available yet."""
        return sum(lot.remaining for lot in self.lots.values() if lot.available_at > now)


_GRANT, _CHILD, _SPEND = 0, 1, 2


def replay(
    grants: Iterable[Grant],
    spends: Iterable[Spend],
    now: datetime,
    policies: Policies = NO_POLICIES,
) -> Book:
    """The book at `now`. Credits come before spends of the same instant, then keys decide, so the
    result is a function of the sets alone."""
    book = Book(policies=policies)
    if policies.versions:
        grants, spends = list(grants), list(spends)
        grants = _until_idle(grants, spends, policies)
    events: list[tuple[datetime, int, str, Grant | Lot | Spend]] = [
        (grant.placed_at, _GRANT, grant.key, grant) for grant in grants if grant.amount > 0
    ]
    events.extend(
        (spend.at, _SPEND, spend.key, spend)
        for spend in spends
        if spend.net or any(r.grace_until for r in spend.returns)
    )
    heapq.heapify(events)
    while events:
        _, _, _, event = heapq.heappop(events)
        if isinstance(event, Grant):
            _credit(book, _lot(event))
        elif isinstance(event, Lot):
            _adopt(book, event)
        else:
            for child in _spend(book, event):
                heapq.heappush(events, (child.placed_at, _CHILD, child.key, child))
    for lot in book.lots.values():
        if lot.is_expired(now):
            lot.expired, lot.remaining = lot.remaining, 0
    return book


def add_last(book: Book, spend: Spend) -> None:
    """Add a spend to a book as it is: what a replay with it would give, where it comes after all grants,
    spends and returns and no lot has expired by then unsettled."""
    _spend(book, spend)


def _until_idle(grants: Sequence[Grant], spends: Sequence[Spend], policies: Policies) -> list[Grant]:
    """The grants with the expiry that inactivity gives them, where that is sooner than their own."""
    active = {grant.placed_at for grant in grants if grant.amount > 0}
    activity = sorted(active | {spend.at for spend in spends if spend.net})
    return [
        replace(
            grant,
            expires_at=soonest([grant.expires_at, policies.lost_at(grant.placed_at, activity)]),
        )
        for grant in grants
    ]


def consumption_order(lot: Lot) -> tuple[datetime, datetime, str]:
    """Soonest expiry first, then the older sale, then the key (D1)."""
    return (lot.expires_at or NEVER, lot.placed_at, lot.key)


def _lot(grant: Grant) -> Lot:
    return Lot(
        grant.key, grant.amount, grant.amount, grant.placed_at, grant.available_at, grant.expires_at
    )


def _credit(book: Book, lot: Lot) -> None:
    """Add a lot; it pays what is owed first, and that is a use (D3)."""
    book.lots[lot.key] = lot
    while book.debts and lot.remaining:
        debt = book.debts[0]
        paid = min(debt.amount, lot.remaining)
        lot.remaining -= paid
        debt.amount -= paid
        book.uses.append(Use(lot.key, debt.spend, paid))
        if not debt.amount:
            book.debts.pop(0)


def _adopt(book: Book, child: Lot) -> None:
    """Points that came back after their lot expired move to a child lot. What the parent no longer
    has (a later spend took it) cannot move."""
    assert child.parent is not None
    parent = book.lots[child.parent]
    amount = min(child.granted, parent.remaining)
    if amount <= 0:
        return
    parent.remaining -= amount
    parent.moved += amount
    child.granted = child.remaining = amount
    _credit(book, child)


def _spend(book: Book, spend: Spend) -> list[Lot]:
    """Take the net amount from lots, the rest is owed; answer the child lots its returns make."""
    wanted = spend.net
    for lot in _usable(book, spend.at, payer_of(spend.key)):
        taken = min(wanted, lot.remaining)
        if taken:
            lot.remaining -= taken
            wanted -= taken
            book.uses.append(Use(lot.key, spend.key, taken))
        if not wanted:
            break
    if wanted:
        book.debts.append(Debt(spend.key, wanted))
    return _children(book, spend)


def _usable(book: Book, at: datetime, payer: str | None = None) -> list[Lot]:
    """Lots a spend at that moment takes from: open ones first, then pending ones (a debt never
    stands beside a lot with anything left); what a payer takes back comes from the payer's own first."""
    alive = [lot for lot in book.lots.values() if lot.remaining and not lot.is_expired(at)]
    oldest_first = book.policies.earned_first(at)

    def place(lot: Lot) -> tuple[object, ...]:
        others = payer is not None and payer_of(lot.key) != payer
        order = (lot.placed_at, lot.key) if oldest_first else consumption_order(lot)
        return (others, lot.available_at > at, *order)

    return sorted(alive, key=place)


def payer_key(payer: str, reference: str) -> str:
    """The key of a grant that a partner pays for, or of points that they take back. A payer's name has no
    colon."""
    return f"payer:{payer}:{reference}"


def payer_of(key: str) -> str | None:
    """Who pays for the points of a grant; None: the programme itself."""
    kind, _, rest = key.partition(":")
    return rest.partition(":")[0] if kind == "payer" else None


def _children(book: Book, spend: Spend) -> list[Lot]:
    """Child lots for returned points whose lot had expired by the time of the return (D5): only
    with grace, and never a child of a child."""
    children = []
    taken: dict[str, int] = {}
    for number, returned in enumerate(spend.returns):
        if returned.grace_until is None:
            continue
        wanted = returned.amount
        for lot in _usable(book, spend.at):
            free = lot.remaining - taken.get(lot.key, 0)
            part = min(wanted, free)
            if part <= 0:
                continue
            wanted -= part
            taken[lot.key] = taken.get(lot.key, 0) + part
            if lot.parent is None and lot.is_expired(returned.at):
                children.append(_child(lot, spend, number, part, returned))
    return children


def _child(lot: Lot, spend: Spend, number: int, amount: int, returned: Return) -> Lot:
    assert lot.expires_at is not None
    assert returned.grace_until is not None
    return Lot(
        key=f"{lot.key}~{spend.key}~{number}",
        granted=amount,
        remaining=amount,
        placed_at=returned.at,
        available_at=returned.at,
        expires_at=max(lot.expires_at, returned.grace_until),
        parent=lot.key,
    )
