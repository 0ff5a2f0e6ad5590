"""What is known of members, read for the rules that look at it: what they bought, were given, are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.program.climb import Ladders
from hub.program.history import Act, Fact, Movement, Purchase
from hub.program.rules import Rules

_NOT_HERE = ("backdated", "before_program_start", "copy_of_another_channel", "draft", "own_sale",
             "test_order")  # fmt: skip
"""Why a paid sale does not count as bought in this program."""


@dataclass(slots=True)
class Known:
    """One member with all their aliases."""

    root: int
    begins: datetime
    """The first that is known of them: when they were made, said to have joined, or bought."""
    stated: datetime | None = None
    """When they joined, where somebody stated it."""
    birthday: date | None = None
    tags: frozenset[str] = frozenset()
    purchases: list[Purchase] = field(default_factory=list)
    """In the order in which they count."""
    others: list[Fact] = field(default_factory=list)
    """What else the tiers look at."""

    @property
    def joined(self) -> datetime:
        """From when on membership years count."""
        return self.stated or self.begins

    @property
    def facts(self) -> list[Fact]:
        """All that tiers are counted from; not in order yet."""
        return [*self.purchases, *self.others]


def ladders(versions: Sequence[Rules]) -> Ladders:
    """The ladders of a program's versions."""
    return [(rules.effective_from, rules.tiers) for rules in versions]


def known(
    session: Session,
    program_id: int,
    roots: Collection[int],
    versions: Sequence[Rules],
    *,
    look_back: bool = True,
) -> dict[int, Known]:
    """Root member -> what is known of them. `look_back`: with what they bought, and, as far as the
    ladders ask, with points, decisions and memberships."""
    found = _members(session, program_id, roots)
    if not look_back or not found:
        return found
    steps = [rules.tiers for rules in versions if rules.tiers is not None]
    for root, bought in _purchases(session, program_id, found).items():
        found[root].purchases = bought
    if any(one.by.startswith("points") for one in steps):
        for row in _movements(session, found):
            found[row.root].others.append(Movement(row.at, int(row.earned), int(row.amount)))
    if steps:
        for row in _acts(session, program_id, found):
            found[row.root].others.append(Act(row.at, row.kind, row.tier, row.until, row.amount))
    if any(one.memberships for one in steps):
        _add_memberships(session, found)
    for member in found.values():
        member.begins = min([member.begins, *(fact.at for fact in member.facts)])
    return found


def _members(session: Session, program_id: int, roots: Collection[int]) -> dict[int, Known]:
    """What an alias was told and its root was not counts too."""
    rows = run(
        session,
        """SELECT coalesce(m.alias_of, m.id) AS root, min(m.birthday) FILTER (WHERE m.alias_of IS NULL) AS own,
                  min(m.birthday) AS any, min(m.joined_at) AS stated,
                  least(min(m.joined_at), min(m.created_at)) AS begins,
                  coalesce(array_agg(DISTINCT g.tag) FILTER (WHERE g.tag IS NOT NULL), '{}') AS tags
           FROM members m LEFT JOIN member_tags g ON g.member_id = m.id
           WHERE m.program_id = :program AND (m.id = ANY(:roots) OR m.alias_of = ANY(:roots)) GROUP BY 1""",
        {"program": program_id, "roots": sorted(roots)},
    )
    return {
        row.root: Known(row.root, row.begins, row.stated, row.own or row.any, frozenset(row.tags))
        for row in rows
    }


def _purchases(session: Session, program_id: int, roots: Collection[int]) -> dict[int, list[Purchase]]:
    rows = run(
        session,
        """SELECT coalesce(m.alias_of, m.id) AS root, t.id, t.placed_at, t.channel_id, t.external_id,
                  c.kind, c.public_id AS channel, t.currency, t.eligible,
                  coalesce(t.tier_points, t.points) AS points,
                  t.goods_net + t.goods_tax + t.shipping - t.refunded AS bill,
                  EXISTS (SELECT 1 FROM sale_contexts x WHERE x.transaction_id = t.id) AS judged
           FROM members m JOIN transactions t ON t.member_id = m.id JOIN channels c ON c.id = t.channel_id
           WHERE m.program_id = :program AND (m.id = ANY(:roots) OR m.alias_of = ANY(:roots))
             AND t.state IN ('paid', 'fulfilled') AND NOT t.test AND t.placed_at IS NOT NULL
             AND (t.why IS NULL OR t.why <> ALL(:not_here)) AND t.waiting_for IS DISTINCT FROM 'review'
           ORDER BY t.placed_at, t.channel_id, t.external_id COLLATE "C\"""",
        {"program": program_id, "roots": sorted(roots), "not_here": list(_NOT_HERE)},
    )
    found: dict[int, list[Purchase]] = defaultdict(list)
    for row in rows:
        found[row.root].append(_purchase(row))
    return found


def _purchase(row: Any) -> Purchase:
    return Purchase(
        transaction_id=row.id,
        placed_at=row.placed_at,
        channel_id=row.channel_id,
        external_id=row.external_id,
        channels=frozenset((row.kind, row.channel)),
        currency=row.currency,
        goods=row.eligible,
        bill=max(0, row.bill),
        points=row.points,
        judged=row.judged,
    )


def _movements(session: Session, roots: Collection[int]) -> Sequence[Any]:
    """Points that are not a sale's. Earned are gifts and what deeds bring; a sale that moved with a merge
    counts as a purchase. What was brought over from another programme was not earned in this one."""
    return run(
        session,
        """SELECT a.member_id AS root, e.occurred_at AS at, e.amount,
                  CASE WHEN starts_with(e.subject, 'import:') THEN 0 WHEN e.counter = 'issued' THEN e.amount
                       WHEN e.counter IN ('adjusted', 'member') THEN greatest(e.amount, 0) ELSE 0 END AS earned
           FROM accounts a JOIN entries e ON e.account_id = a.id
           WHERE a.member_id = ANY(:roots)
             AND NOT (e.counter IN ('issued', 'member') AND starts_with(e.subject, 'sale:'))
           ORDER BY e.account_id, e.seq""",
        {"roots": sorted(roots)},
    )


def _acts(session: Session, program_id: int, roots: Collection[int]) -> Sequence[Any]:
    return run(
        session,
        """SELECT coalesce(m.alias_of, m.id) AS root, x.kind, x.tier, x.until, x.amount, x.at
           FROM members m JOIN tier_acts x ON x.member_id = m.id
           WHERE m.program_id = :program AND (m.id = ANY(:roots) OR m.alias_of = ANY(:roots)) ORDER BY x.at, x.id""",
        {"program": program_id, "roots": sorted(roots)},
    )


def _add_memberships(session: Session, found: dict[int, Known]) -> None:
    rows = run(
        session,
        """SELECT transaction_id, tier, pieces FROM sale_memberships
           WHERE transaction_id = ANY(:ids) AND pieces > 0 ORDER BY transaction_id, tier""",
        {"ids": [p.transaction_id for member in found.values() for p in member.purchases]},
    )
    plans: dict[int, tuple[tuple[str, int], ...]] = defaultdict(tuple)
    for row in rows:
        plans[row.transaction_id] += ((row.tier, row.pieces),)
    for member in found.values():
        member.purchases = [
            replace(p, memberships=plans[p.transaction_id]) if p.transaction_id in plans else p
            for p in member.purchases
        ]
