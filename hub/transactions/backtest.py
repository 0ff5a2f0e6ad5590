"""What orders of the past would have earned by a draft of the rules, and what members would have now.

Pure reading: each order is folded from its messages and judged as posting would judge it, each member's
book is replayed with other points. No row is written, no lock taken.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.ledger.ingredients import Ingredients, load_ingredients, sale_key
from hub.ledger.lots import Book, Grant
from hub.program.rules import Rules
from hub.transactions import context, own_sales, windows
from hub.transactions.judge import Verdict, judge
from hub.transactions.post import Ground, Transaction, fold_contributions, load_contributions

AT_ONCE = 500
"""Members whose orders are in memory at a time."""
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Affected:
    """One member whose balance would be another."""

    member: str
    """Public id."""
    balance: int
    drafted: int

    @property
    def difference(self) -> int:
        """Points more (or fewer) by the draft."""
        return self.drafted - self.balance


@dataclass(slots=True)
class Backtest:
    """What came out. Liability: points that members still have and that have not expired."""

    orders: int = 0
    """Orders of members that were judged."""
    changed: int = 0
    unjudged: int = 0
    """Orders whose categories nobody has told, or that wait for a person: they keep what they have."""
    points: int = 0
    """What these orders have earned."""
    drafted: int = 0
    """What they would have earned."""
    liability: int = 0
    drafted_liability: int = 0
    members: int = 0
    gain: int = 0
    """Members who would have more."""
    lose: int = 0
    most: list[Affected] = field(default_factory=list)
    """Those whose balance would differ most, at most `SHOWN`."""


def size(session: Session, program_id: int, since: datetime) -> int:
    """How many orders a backtest looks at."""
    found = run(
        session,
        """SELECT count(*) AS n FROM transactions
           WHERE program_id = :program AND member_id IS NOT NULL AND placed_at >= :since""",
        {"program": program_id, "since": since},
    )
    return int(found[0].n)


def backtest(
    session: Session,
    ground: Ground,
    draft: Rules,
    *,
    since: datetime,
    now: datetime,
    progress: Callable[[int], None] = lambda _: None,
) -> Backtest:
    """Judge the orders of members placed since then by the draft, as if it had been in force. `ground`
    names all channels of the program; orders of others are left alone."""
    situations = {i: replace(one, versions=[draft]) for i, one in ground.situations.items()}
    drafted, found = replace(ground, situations=situations), Backtest()
    for roots in _members(session, ground.program_id, since):
        its = _orders(session, drafted, roots, since)
        verdicts = _judged(session, drafted, its)
        _compare(session, found, roots, its, verdicts, now)
        progress(sum(len(orders) for orders in its.values()))
    return found


def _members(session: Session, program_id: int, since: datetime) -> Iterator[list[int]]:
    """Root members with orders since then, some at a time."""
    after = 0
    while True:
        rows = run(
            session,
            """SELECT m.id FROM members m WHERE m.program_id = :program AND m.id > :after AND m.alias_of IS NULL
                 AND EXISTS (SELECT FROM transactions t JOIN members o ON o.id = t.member_id
                             WHERE (o.id = m.id OR o.alias_of = m.id) AND t.placed_at >= :since)
               ORDER BY m.id LIMIT :limit""",
            {"program": program_id, "after": after, "since": since, "limit": AT_ONCE},
        )
        if not rows:
            return
        yield [row.id for row in rows]
        after = rows[-1].id


def _orders(
    session: Session, ground: Ground, roots: Sequence[int], since: datetime
) -> dict[int, list[Transaction]]:
    """Root -> the orders of it and its aliases, folded from their messages."""
    rows = run(
        session,
        """SELECT coalesce(m.alias_of, m.id) AS root, t.id, t.public_id, t.channel_id, t.external_id, t.placed_at,
                  t.line_facts, t.member_id, t.review, t.created_at
           FROM members m JOIN transactions t ON t.member_id = m.id
           WHERE (m.id = ANY(:roots) OR m.alias_of = ANY(:roots)) AND t.placed_at >= :since
             AND t.channel_id = ANY(:channels)""",
        {"roots": list(roots), "since": since, "channels": sorted(ground.traits)},
    )
    found: dict[int, list[Transaction]] = defaultdict(list)
    for row in rows:
        found[row.root].append(_order(row))
    everything = [order for its in found.values() for order in its]
    load_contributions(session, everything)
    for order in everything:
        fold_contributions(ground, order)
    if own_sales.are_refused(ground.versions):
        own_sales.mark(session, ground.program_id, everything)
    return found


def _order(row: Any) -> Transaction:
    return Transaction(
        (row.channel_id, row.external_id),
        row.id,
        row.public_id,
        is_new=False,
        placed_at=row.placed_at,
        line_facts=dict(row.line_facts),
        member_id=row.member_id,
        review=row.review,
        first_seen_at=row.created_at,
    )


def _judged(
    session: Session, ground: Ground, orders: Mapping[int, Sequence[Transaction]]
) -> dict[int, Verdict]:
    """Transaction id -> verdict by the draft, of those that can be judged."""
    asking: dict[int, list[Transaction]] = defaultdict(list)
    for root, its in orders.items():
        for order in its:
            if order.sale is None or order.fold is None or order.review in {"needed", "declined"}:
                continue
            situation = ground.situations[order.key[0]]
            order.verdict = judge(order.sale, order.fold, order.line_facts, situation)
            if order.is_own:
                order.verdict = own_sales.refused(order.verdict)
            if order.verdict.asks_who:
                asking[root].append(order)
    told = {order.id: order for its in orders.values() for order in its}
    contexts = {}
    for order, its_context in context.walk(session, ground, asking, told):
        contexts[order.id] = its_context
        assert order.sale is not None
        assert order.fold is not None
        situation = ground.situations[order.key[0]]
        order.verdict = judge(order.sale, order.fold, order.line_facts, situation, its_context.buyer)
    if windows.asked(ground):
        around = windows.placed_of(session, orders.keys())
        windows.Windows(ground, told, around).judge(contexts)
    return {i: order.verdict for i, order in told.items() if order.verdict and not order.verdict.lacks}


# --- the books -----------------------------------------------------------------------------------


def _compare(
    session: Session,
    found: Backtest,
    roots: Sequence[int],
    orders: Mapping[int, Sequence[Transaction]],
    verdicts: Mapping[int, Verdict],
    now: datetime,
) -> None:
    """Add these members to what was found."""
    rows = run(
        session,
        """SELECT m.id AS root, m.public_id, a.id AS account FROM members m JOIN accounts a ON a.member_id = m.id
           WHERE m.id = ANY(:roots)""",
        {"roots": list(roots)},
    )
    books = load_ingredients(session, [row.account for row in rows])
    for row in rows:
        ingredients = books[row.account]
        present = ingredients.replay(now)
        for order in orders.get(row.root, ()):
            _redraft(found, ingredients, order, verdicts.get(order.id))
        _add(found, Affected(row.public_id, present.balance, 0), present, ingredients.replay(now))


def _redraft(
    found: Backtest, ingredients: Ingredients, order: Transaction, verdict: Verdict | None
) -> None:
    """Put what the draft gives in the place of what the order has earned."""
    key = sale_key(order.id)
    known = ingredients.grants.get(key)
    has = known.amount if known else 0
    if verdict is None:
        found.unjudged += 1
        return
    points = verdict.judgement.points
    found.orders += 1
    found.changed += points != has
    found.points += has
    found.drafted += points
    ingredients.grants[key] = Grant(
        key, points, verdict.earned_at, verdict.available_at, verdict.expires_at
    )


def _add(found: Backtest, member: Affected, present: Book, drafted: Book) -> None:
    member = replace(member, drafted=drafted.balance)
    found.members += 1
    found.gain += member.difference > 0
    found.lose += member.difference < 0
    found.liability += _left(present)
    found.drafted_liability += _left(drafted)
    if member.difference:
        found.most.append(member)
        found.most.sort(key=lambda one: (-abs(one.difference), one.member))
        del found.most[SHOWN:]


def _left(book: Book) -> int:
    return sum(lot.remaining for lot in book.lots.values())
