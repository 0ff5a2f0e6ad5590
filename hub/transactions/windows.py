"""Caps and ordinals: what a sale earns may hang on the member's other sales (rules.md B3).

Caps per day, week, month, year and member, and rules for the first or every tenth order, are targets
over a member's sales in their order (placed_at, channel, external id). When one of them comes, changes
or goes, those that follow it are judged again with it: they are locked with the batch, before the
accounts (C4), and whether all of them are there is looked at under the accounts' locks. So any order
of arrival ends with the same points, and a refund frees what the cap had cut.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from hub.bulk import arrays, run, unnest
from hub.ledger.accounts import Locked, RootChanged
from hub.program.history import SaleOrder
from hub.program.rules import Buyer, Rules
from hub.program.windows import Period, period
from hub.transactions.judge import judge

if TYPE_CHECKING:
    from hub.transactions.budgets import Budgets
    from hub.transactions.context import Context
    from hub.transactions.post import Ground, Key, Transaction

COUNTS = """t.state IN ('paid', 'fulfilled') AND NOT t.test AND t.placed_at IS NOT NULL
            AND coalesce(t.why, '') NOT IN ('backdated', 'before_program_start', 'copy_of_another_channel',
                                            'draft', 'own_sale', 'test_order')"""
"""A sale that was bought in this program. Whether something of it is left is asked besides."""


@dataclass(frozen=True, slots=True)
class Placed:
    """One sale of a member in the order in which their sales count."""

    id: int
    order: SaleOrder
    points: int
    """What it earns as the database has it; 0 while it waits for something."""
    counts: bool
    """Whether it is an order: something of it is left."""


def followers(
    session: Session,
    ground: Ground,
    told: Iterable[tuple[int, datetime]],
    keys: Collection[Key],
) -> set[Key]:
    """The sales that have to be judged again with these: later ones of the same members, as far as a cap
    or an ordinal reaches. `told`: (root member, placed at) as messages say; `keys`: sales that are known
    perhaps. Ask only where `asked`."""
    versions = ground.versions
    first: dict[int, datetime] = {}
    last: dict[int, datetime] = {}
    for root, at in [*told, *_known(session, keys)]:
        first[root] = min(at, first.get(root, at))
        last[root] = max(at, last.get(root, at))
    return _later(session, ground, first, {m: _reach(versions, at) for m, at in last.items()})


@dataclass(slots=True)
class Windows:
    """The sales of a batch's members under the locks of their accounts."""

    ground: Ground
    told: Mapping[int, Transaction]
    placed: Mapping[int, Sequence[Placed]]
    """Root member -> their sales in order."""

    @classmethod
    def read(
        cls, session: Session, ground: Ground, transactions: Sequence[Transaction], locked: Locked
    ) -> Windows:
        """What the members of these sales have bought. Raises `RootChanged` when a sale that follows one
        of these came between: it has to be locked and judged with them."""
        told = {t.id: t for t in transactions}
        roots = {locked.accounts[locked.roots[m]].member_id for m in members(transactions)}
        windows = cls(ground, told, placed_of(session, roots))
        windows._complete(transactions, locked)
        return windows

    def _complete(self, transactions: Sequence[Transaction], locked: Locked) -> None:
        versions = self.ground.versions
        for transaction in transactions:
            at = transaction.placed_at
            for member in members([transaction]):
                root = locked.accounts[locked.roots[member]].member_id
                if at is None:
                    continue
                until = _reach(versions, at)
                place = (at, *transaction.key)
                for one in self.placed.get(root, ()):
                    follows = one.order > place and (until is None or one.order[0] < until)
                    if follows and one.id not in self.told and self._can_fold(one):
                        raise RootChanged

    def _can_fold(self, one: Placed) -> bool:
        """A sale of a channel whose connector is not installed any more stays as it is."""
        return one.order[1] in self.ground.traits

    def buyer(self, transaction: Transaction, buyer: Buyer) -> Buyer:
        """The buyer with what comes before this sale, as far as it is judged by now."""
        if "history" not in self.ground_needs:
            return buyer
        placed = next((p for p in self.placed.values() if any(o.id == transaction.id for o in p)), ())
        count = 0
        sums: dict[tuple[Period, datetime | None], int] = defaultdict(int)
        for one in placed:
            count += one.counts
            if one.id == transaction.id:
                return self._known(transaction, buyer, count if one.counts else None, sums)
            self._add(sums, one)
        return buyer

    def _add(self, sums: dict[tuple[Period, datetime | None], int], one: Placed) -> None:
        transaction = self.told.get(one.id)
        points = one.points if transaction is None else _points(transaction)
        for of, start in _periods(self.ground, one.order[0]):
            sums[of, start] += points

    @property
    def ground_needs(self) -> set[str]:
        """What any version of the program looks at."""
        return {need for rules in self.ground.versions for need in rules.needed}

    def judge(self, contexts: Mapping[int, Context], budgets: Budgets | None = None) -> None:
        """Judge the sales of the batch that ask, in their order, knowing what comes before each."""
        for placed in self.placed.values():
            count = 0
            sums: dict[tuple[Period, datetime | None], int] = defaultdict(int)
            for one in placed:
                count += one.counts
                transaction = self.told.get(one.id)
                if transaction is not None and one.id in contexts:
                    buyer = contexts[one.id].buyer
                    known = self._known(transaction, buyer, count if one.counts else None, sums)
                    judge_within(self.ground, transaction, known, budgets)
                self._add(sums, one)

    def _known(
        self,
        transaction: Transaction,
        buyer: Buyer,
        ordinal: int | None,
        sums: Mapping[tuple[Period, datetime | None], int],
    ) -> Buyer:
        """The buyer with what comes before this sale."""
        verdict, at = transaction.verdict, transaction.placed_at
        assert verdict is not None
        assert at is not None
        zone = verdict.rules.time_zone
        starts = {of: period(of, at, zone).starts for of in verdict.rules.caps}
        earned = {of: sums.get((of, start), 0) for of, start in starts.items()}
        return replace(buyer, ordinal=ordinal, earned=earned)


def judge_within(
    ground: Ground, transaction: Transaction, buyer: Buyer, budgets: Budgets | None
) -> None:
    """Judge a sale for a buyer of whom everything is known, within the budgets of its campaigns (B4). A
    sale that waits for something reserves nothing."""
    sale, fold, verdict = transaction.sale, transaction.fold, transaction.verdict
    assert sale is not None
    assert fold is not None
    assert verdict is not None
    situation = ground.situations[transaction.key[0]]
    found = judge(sale, fold, transaction.line_facts, situation, buyer)
    if budgets is not None and verdict.rules.budgets and transaction.review != "needed":
        allowed = budgets.allowed(transaction, verdict.rules, found.judgement.campaigns)
        known = replace(buyer, allowed=allowed)
        found = judge(sale, fold, transaction.line_facts, situation, known)
    transaction.verdict = found


def asked(ground: Ground) -> bool:
    """Whether any version of the program has a cap or an ordinal."""
    return looks_around(ground.versions)


def looks_around(versions: Iterable[Rules]) -> bool:
    """Whether one of these versions looks from one sale of a member at the others."""
    return any("windows" in rules.needed for rules in versions)


def members(transactions: Iterable[Transaction]) -> set[int]:
    """Whom these sales are attributed to, and whom they were before this batch."""
    named = {m for t in transactions for m in (t.member_id, t.was_member_id)}
    return {member for member in named if member is not None}


# --- reach ---------------------------------------------------------------------------------------


def _reach(versions: Sequence[Rules], at: datetime) -> datetime | None:
    """Until when a sale placed at that moment matters to later ones; None: for ever."""
    ends = []
    for rules in versions:
        if rules.has_ordinals or "ever" in rules.caps:
            return None
        ends += [period(of, at, rules.time_zone).ends for of in rules.caps]
    return max((end for end in ends if end is not None), default=at)


def _periods(ground: Ground, at: datetime) -> Iterable[tuple[Period, datetime | None]]:
    versions = ground.versions
    zone = versions[0].time_zone
    for of in sorted({of for rules in versions for of in rules.caps}):
        yield of, period(of, at, zone).starts


def _points(transaction: Transaction) -> int:
    return transaction.points if transaction.waiting_for is None else 0


# --- reading -------------------------------------------------------------------------------------


def _known(session: Session, keys: Collection[Key]) -> list[tuple[int, datetime]]:
    """Root members and times of sales that are known."""
    columns = {"channel_id": "bigint", "external_id": "text"}
    rows = run(
        session,
        f"""SELECT coalesce(m.alias_of, m.id) AS root, t.placed_at FROM {unnest(columns)}
            JOIN transactions t ON t.channel_id = r.channel_id AND t.external_id = r.external_id
            JOIN members m ON m.id IN (t.member_id, t.claim_member_id)
            WHERE t.placed_at IS NOT NULL""",
        arrays(columns, [{"channel_id": c, "external_id": e} for c, e in sorted(keys)]),
    )
    return [(row.root, row.placed_at) for row in rows]


def placed_of(session: Session, roots: Collection[int]) -> dict[int, list[Placed]]:
    """Root member -> what they bought in this program, in the order in which it counts."""
    rows = run(
        session,
        f"""SELECT coalesce(m.alias_of, m.id) AS root, t.id, t.placed_at, t.channel_id, t.external_id,
                  CASE WHEN t.waiting_for IS NULL THEN t.points ELSE 0 END AS points,
                  coalesce(t.total, t.goods_net + t.goods_tax + t.shipping) > t.refunded
                      AND t.waiting_for IS DISTINCT FROM 'review' AS counts
           FROM members m JOIN transactions t ON t.member_id = m.id
           WHERE (m.id = ANY(:roots) OR m.alias_of = ANY(:roots)) AND {COUNTS}
           ORDER BY t.placed_at, t.channel_id, t.external_id COLLATE "C\"""",
        {"roots": sorted(roots)},
    )
    found: dict[int, list[Placed]] = defaultdict(list)
    for row in rows:
        place = (row.placed_at, row.channel_id, row.external_id)
        found[row.root].append(Placed(row.id, place, row.points, row.counts))
    return found


def _later(
    session: Session,
    ground: Ground,
    first: Mapping[int, datetime],
    reach: Mapping[int, datetime | None],
) -> set[Key]:
    columns = {"root": "bigint", "starts": "timestamptz", "ends": "timestamptz"}
    rows = [{"root": m, "starts": at, "ends": reach[m]} for m, at in sorted(first.items())]
    if not rows:
        return set()
    found = run(
        session,
        f"""SELECT t.channel_id, t.external_id FROM {unnest(columns)}
            JOIN members m ON m.id = r.root OR m.alias_of = r.root
            JOIN transactions t ON t.member_id = m.id AND t.placed_at >= r.starts
             AND (r.ends IS NULL OR t.placed_at < r.ends)
            WHERE {COUNTS} AND t.channel_id = ANY(:channels)""",
        {**arrays(columns, rows), "channels": sorted(ground.traits)},
    )
    return {(row.channel_id, row.external_id) for row in found}
