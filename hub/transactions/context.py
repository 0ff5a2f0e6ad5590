"""Who bought, for rules that ask: resolved under the account's lock, once, and stored (rules.md B2).

A sale of a programme whose rules look at the buyer (tier, segment, birthday) is judged a second time
when the accounts of the batch are locked. Each member's sales are taken in their order (placed_at,
channel, external id), so that two sales of one batch, two batches of two workers and one sale after
the other agree. What was so of the member at a sale is stored with its first credit, and serves
every refund and replay of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from hub.bulk import arrays, run, unnest
from hub.ledger.accounts import Locked
from hub.program.birthdays import occasions
from hub.program.climb import Climb
from hub.program.history import Purchase, in_order
from hub.program.rules import Buyer, Occasion, Rules
from hub.program.segments import Member, belongs_to
from hub.transactions import past
from hub.transactions.judge import judge
from hub.transactions.past import Known

if TYPE_CHECKING:
    from hub.transactions.post import Ground, Transaction
    from hub.transactions.windows import Windows

_CONTEXT = {
    "transaction_id": "bigint",
    "member_id": "bigint",
    "tier": "text",
    "segments": "text",
    "birthday": "text",
    "late": "boolean",
}
OCCASIONS: tuple[Occasion, ...] = ("day", "week", "month")


@dataclass(frozen=True, slots=True)
class Context:
    """What was so of one member when a sale was placed."""

    buyer: Buyer
    late: bool = False
    """A later sale of the member had been credited before: that one knew nothing of this."""
    is_new: bool = False


def asking(transactions: Sequence[Transaction]) -> list[Transaction]:
    """Those that can only be judged knowing who bought."""
    return [
        t
        for t in transactions
        if t.member_id is not None and t.verdict is not None and t.verdict.asks_who
    ]


def judge_again(
    session: Session,
    ground: Ground,
    transactions: Sequence[Transaction],
    locked: Locked,
    around: Windows | None = None,
) -> dict[int, Context]:
    """Judge these sales for whom they were sold to; sets their verdicts. The accounts of their members
    are locked. `around`: the members' other sales, where what one earns hangs on them; a tier by points
    counts what is earned under the caps. Returns transaction id -> the context each was judged in."""
    known = _stored(session, transactions)
    contexts: dict[int, Context] = {}
    for transaction, context in _in_order(session, ground, transactions, locked, known):
        contexts[transaction.id] = context
        sale, fold = transaction.sale, transaction.fold
        assert sale is not None
        assert fold is not None
        situation = ground.situations[transaction.key[0]]
        buyer = context.buyer if around is None else around.buyer(transaction, context.buyer)
        transaction.verdict = judge(sale, fold, transaction.line_facts, situation, buyer)
    return contexts


def store(
    session: Session,
    ground: Ground,
    transactions: Sequence[Transaction],
    contexts: Mapping[int, Context],
    locked: Locked,
) -> None:
    """Keep the new contexts of sales that are credited now."""
    rows = [
        {
            "transaction_id": t.id,
            "member_id": t.member_id,
            "tier": contexts[t.id].buyer.tier,
            "segments": "\x1f".join(sorted(contexts[t.id].buyer.segments)),
            "birthday": "\x1f".join(sorted(contexts[t.id].buyer.birthday)),
            "late": contexts[t.id].late,
        }
        for t in transactions
        if contexts[t.id].is_new and t.waiting_for is None
    ]
    if not rows:
        return
    run(
        session,
        f"""INSERT INTO sale_contexts (program_id, transaction_id, member_id, tier, segments, birthday, late,
                                       resolved_at)
            SELECT :program, r.transaction_id, r.member_id, r.tier,
                   coalesce(string_to_array(r.segments, chr(31)), '{{}}'),
                   coalesce(string_to_array(r.birthday, chr(31)), '{{}}'), r.late, :now
            FROM {unnest(_CONTEXT)}
            ON CONFLICT (transaction_id, member_id) DO UPDATE
            SET tier = excluded.tier, segments = excluded.segments, birthday = excluded.birthday,
                late = excluded.late, resolved_at = excluded.resolved_at, stale = false
            WHERE sale_contexts.stale""",
        {**arrays(_CONTEXT, rows), "program": ground.program_id, "now": locked.now},
    )


# --- resolving -----------------------------------------------------------------------------------


def _in_order(
    session: Session,
    ground: Ground,
    transactions: Sequence[Transaction],
    locked: Locked,
    known: Mapping[int, Stored],
) -> Iterator[tuple[Transaction, Context]]:
    """Each sale with its context, member by member in the order in which their sales count. A sale is
    judged before the next one is asked for: what it earns may matter to that."""
    by_root: dict[int, list[Transaction]] = defaultdict(list)
    for transaction in transactions:
        if transaction.id in known and not known[transaction.id].stale:
            yield transaction, Context(known[transaction.id].buyer)
        else:
            assert transaction.member_id is not None
            account = locked.accounts[locked.roots[transaction.member_id]]
            by_root[account.member_id].append(transaction)
    yield from walk(session, ground, by_root, {t.id: t for t in transactions}, known)


def walk(
    session: Session,
    ground: Ground,
    by_root: Mapping[int, Sequence[Transaction]],
    told: Mapping[int, Transaction],
    stale: Mapping[int, Stored] | None = None,
) -> Iterator[tuple[Transaction, Context]]:
    """The sales of each root member in their order, each with its context found out anew; `told`: those
    whose present state is here rather than in the database; `stale`: contexts that are replaced, whose
    birthday stays. Judge each before asking for the next."""
    if not by_root:
        return
    look_back = any("history" in _rules(t).needed for its in by_root.values() for t in its)
    members = past.known(session, ground.program_id, by_root, ground.versions, look_back=look_back)
    for root, its in by_root.items():
        way = _Way(members[root], ground.versions, told, {t.id for t in its}, stale or {})
        yield from way.walk()


class _Way:
    """One member's sales in their order, those of the batch among the others."""

    def __init__(
        self,
        member: Known,
        versions: Sequence[Rules],
        told: Mapping[int, Transaction],
        wanted: Collection[int],
        stale: Mapping[int, Stored],
    ) -> None:
        self.member, self.told, self.wanted, self.stale = member, told, wanted, stale
        zone = ZoneInfo(versions[0].time_zone)
        self.climb = Climb(past.ladders(versions), zone, member.begins, member.joined)
        self.before: list[Purchase] = []

    def walk(self) -> Iterator[tuple[Transaction, Context]]:
        counted = {p.transaction_id for p in self.member.purchases}
        waiting = [_uncounted(self.told[i]) for i in self.wanted if i not in counted]
        for fact in in_order([*self.member.facts, *waiting]):
            if not isinstance(fact, Purchase):
                self.climb.take(fact)
                continue
            transaction = self.told.get(fact.transaction_id)
            if transaction is not None and fact.transaction_id in self.wanted:
                yield transaction, self._context(transaction, fact)
            if fact.transaction_id in counted:
                self._count(
                    fact if transaction is None else replace(fact, points=transaction.tier_points)
                )

    def _count(self, purchase: Purchase) -> None:
        self.climb.take(purchase)
        self.before.append(purchase)

    def _context(self, transaction: Transaction, purchase: Purchase) -> Context:
        self.climb.advance(purchase.at)
        rules, member = _rules(transaction), self.member
        tier = self.climb.tier_with(purchase)
        them = Member(purchase.at, tier, member.tags, member.birthday, self.before)
        birthday = occasions(member.birthday, purchase.at, rules.time_zone)
        if transaction.id in self.stale:  # it depends on no other sale
            birthday = self.stale[transaction.id].buyer.birthday
        buyer = Buyer(tier, belongs_to(rules.segments, them, ZoneInfo(rules.time_zone)), birthday)
        return Context(buyer, late=self._is_late(purchase), is_new=True)

    def _is_late(self, purchase: Purchase) -> bool:
        """Whether a later sale has been judged before, without knowing of this one."""
        return any(
            p.judged and p.transaction_id not in self.wanted and p.order > purchase.order
            for p in self.member.purchases
        )


def _uncounted(transaction: Transaction) -> Purchase:
    """A sale that does not count as bought (it waits for a person), in its place among the others."""
    assert transaction.placed_at is not None
    return Purchase(
        transaction.id,
        transaction.placed_at,
        *transaction.key,
        frozenset(),
        "",
        goods=0,
        bill=0,
        points=0,
    )


def _rules(transaction: Transaction) -> Rules:
    assert transaction.verdict is not None
    return transaction.verdict.rules


@dataclass(frozen=True, slots=True)
class Stored:
    """A context as it is kept. `stale`: to be resolved anew (`hub.desk.reassess`)."""

    buyer: Buyer
    stale: bool


def _stored(session: Session, transactions: Sequence[Transaction]) -> dict[int, Stored]:
    """Transaction id -> who bought it, where that was resolved before for the same member."""
    rows = run(
        session,
        """SELECT transaction_id, member_id, tier, segments, birthday, stale FROM sale_contexts
           WHERE transaction_id = ANY(:ids)""",
        {"ids": [t.id for t in transactions]},
    )
    members = {t.id: t.member_id for t in transactions}
    return {
        row.transaction_id: Stored(_buyer(row), row.stale)
        for row in rows
        if members[row.transaction_id] == row.member_id
    }


def _buyer(row: Any) -> Buyer:
    birthday = frozenset(one for one in OCCASIONS if one in row.birthday)
    return Buyer(row.tier, frozenset(row.segments), birthday)
