"""Budgets of campaigns: reserved in record order at a sale's first credit (rules.md B4).

The rows of a batch's campaigns are locked before its accounts (C4), so two batches never give the same
points twice. What a sale has reserved it keeps as long as it wants as much; a refund frees it, for later
first evaluations only; an edit upwards takes what is left.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from hub.bulk import arrays, run, unnest
from hub.program.rules import Budget, Rules

if TYPE_CHECKING:
    from hub.transactions.post import Ground, Transaction

_USE = {
    "transaction_id": "bigint",
    "campaign": "text",
    "member_id": "bigint",
    "wanted": "bigint",
    "points": "bigint",
}


@dataclass(slots=True)
class Use:
    """What one sale has reserved of one campaign."""

    wanted: int
    points: int
    member_id: int


@dataclass(slots=True)
class Budgets:
    """The locked budgets of a batch's campaigns, and what its sales have reserved of them."""

    program_id: int
    given: dict[str, int]
    """Campaign -> points given so far, this batch's among them."""
    before: Mapping[str, int]
    uses: dict[tuple[int, str], Use]
    """(transaction, campaign) -> its reservation."""
    by_member: dict[tuple[int, str], int]
    """(root member, campaign) -> points given to them."""
    roots: Mapping[int, int]
    told: dict[tuple[int, str], Use] = field(default_factory=dict)
    """What this batch found."""

    def allowed(
        self, transaction: Transaction, rules: Rules, wanted: Mapping[str, int]
    ) -> dict[str, int]:
        """What each campaign with a budget may give on this sale, which would like `wanted`."""
        return {
            campaign: self._reserve(transaction, campaign, budget, wanted.get(campaign, 0))
            for campaign, budget in rules.budgets.items()
        }

    def _reserve(self, transaction: Transaction, campaign: str, budget: Budget, wanted: int) -> int:
        assert transaction.member_id is not None
        key, root = (transaction.id, campaign), self.roots[transaction.member_id]
        self._take_back(key)
        known = self.uses.get(key)
        more, points = wanted, 0
        if known is not None and self.roots[known.member_id] == root:
            points = min(known.points, wanted)
            more = max(0, wanted - max(known.wanted, points))
        points += min(more, self._left(root, campaign, budget, points))
        self.told[key] = Use(wanted, points, transaction.member_id)
        self._count(root, campaign, points)
        return points

    def _left(self, root: int, campaign: str, budget: Budget, kept: int) -> int:
        """What can be reserved besides the points that the sale keeps."""
        left = []
        if budget.total is not None:
            left.append(budget.total - self.given.get(campaign, 0) - kept)
        if budget.per_member is not None:
            left.append(budget.per_member - self.by_member.get((root, campaign), 0) - kept)
        return max(0, min(left))

    def _take_back(self, key: tuple[int, str]) -> None:
        """What the sale had counts as free while it is looked at again."""
        present = self.told.pop(key, None) or self.uses.get(key)
        if present is not None:
            self._count(self.roots[present.member_id], key[1], -present.points)

    def _count(self, root: int, campaign: str, points: int) -> None:
        self.given[campaign] = self.given.get(campaign, 0) + points
        self.by_member[root, campaign] = self.by_member.get((root, campaign), 0) + points

    def free(self, transactions: Iterable[Transaction]) -> None:
        """Give back what sales had reserved that earn nothing any more."""
        for transaction in transactions:
            if transaction.waiting_for in {"lookup", "review"}:
                continue
            for key in [k for k in self.uses if k[0] == transaction.id and k not in self.told]:
                self._take_back(key)
                self.told[key] = Use(0, 0, self.uses[key].member_id)

    def store(self, session: Session) -> None:
        """Write what changed."""
        rows = [
            {
                "transaction_id": key[0],
                "campaign": key[1],
                "member_id": use.member_id,
                "wanted": use.wanted,
                "points": use.points,
            }
            for key, use in self.told.items()
            if use != self.uses.get(key) and (use.wanted or key in self.uses)
        ]
        if rows:
            run(
                session,
                f"""INSERT INTO budget_uses (program_id, transaction_id, campaign, member_id, wanted, points)
                    SELECT :program, r.* FROM {unnest(_USE)}
                    ON CONFLICT (transaction_id, campaign) DO UPDATE SET member_id = excluded.member_id,
                        wanted = excluded.wanted, points = excluded.points""",
                {**arrays(_USE, rows), "program": self.program_id},
            )
        changed = {c: n for c, n in self.given.items() if n != self.before.get(c, 0)}
        if changed:
            columns = {"campaign": "text", "given": "bigint"}
            sums = [{"campaign": c, "given": n} for c, n in sorted(changed.items())]
            run(
                session,
                f"""UPDATE budgets b SET given = r.given FROM {unnest(columns)}
                    WHERE b.program_id = :program AND b.campaign = r.campaign""",
                {**arrays(columns, sums), "program": self.program_id},
            )


def lock(session: Session, ground: Ground, transactions: Sequence[Transaction]) -> Budgets | None:
    """Lock the budgets that these sales may use, or have used; None where no version of the program has
    any. Transactions are locked, accounts are not yet."""
    named = {campaign for rules in ground.versions for campaign in rules.budgets}
    if not named:
        return None
    campaigns = sorted(named)
    run(
        session,
        """INSERT INTO budgets (program_id, campaign)
           SELECT :program, c FROM unnest(CAST(:campaigns AS text[])) AS c ORDER BY c ON CONFLICT DO NOTHING""",
        {"program": ground.program_id, "campaigns": campaigns},
    )
    rows = run(
        session,
        """SELECT campaign, given FROM budgets WHERE program_id = :program AND campaign = ANY(:campaigns)
           ORDER BY campaign FOR NO KEY UPDATE""",
        {"program": ground.program_id, "campaigns": campaigns},
    )
    given = {row.campaign: int(row.given) for row in rows}
    uses = _uses(session, [t.id for t in transactions])
    members = {m for t in transactions for m in (t.member_id, t.was_member_id) if m is not None}
    members |= {use.member_id for use in uses.values()}
    roots = _roots(session, members)
    by_member = _by_member(session, campaigns, roots)
    return Budgets(ground.program_id, given, dict(given), uses, by_member, roots)


def _uses(session: Session, transaction_ids: Sequence[int]) -> dict[tuple[int, str], Use]:
    rows = run(
        session,
        """SELECT transaction_id, campaign, wanted, points, member_id FROM budget_uses
           WHERE transaction_id = ANY(:ids)""",
        {"ids": list(transaction_ids)},
    )
    return {
        (row.transaction_id, row.campaign): Use(row.wanted, row.points, row.member_id) for row in rows
    }


def _roots(session: Session, members: Iterable[int]) -> dict[int, int]:
    rows = run(
        session,
        "SELECT id, coalesce(alias_of, id) AS root FROM members WHERE id = ANY(:ids)",
        {"ids": sorted(members)},
    )
    return {row.id: row.root for row in rows}


def _by_member(
    session: Session, campaigns: Sequence[str], roots: Mapping[int, int]
) -> dict[tuple[int, str], int]:
    rows = run(
        session,
        """SELECT coalesce(m.alias_of, m.id) AS root, u.campaign, sum(u.points)::bigint AS points
           FROM members m JOIN budget_uses u ON u.member_id = m.id
           WHERE (m.id = ANY(:roots) OR m.alias_of = ANY(:roots)) AND u.campaign = ANY(:campaigns)
           GROUP BY 1, 2""",
        {"roots": sorted(set(roots.values())), "campaigns": list(campaigns)},
    )
    found: dict[tuple[int, str], int] = defaultdict(int)
    for row in rows:
        found[row.root, row.campaign] = row.points
    return found
