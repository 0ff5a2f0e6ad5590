"""A batch of contributions becomes transactions and points: load, fold, judge, write, post.

One call handles one program inside the caller's database transaction. The order of locks is
rules.md C4: identities (made here when new), transactions by id, accounts by id.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import arrays, json_text, run, unnest
from hub.canonical import CustomerRef, Refund, Sale, Traits
from hub.ids import new_id
from hub.ledger.accounts import Locked
from hub.ledger.book import Target, post_targets
from hub.members.resolve import Collision, Directory, Mention, look_up
from hub.outbox.channels import Channel
from hub.program.rules import Judgement, Rules, in_force
from hub.transactions import (
    bringing,
    budgets,
    context,
    credit,
    memberships,
    order_rewards,
    own_sales,
    standing,
    windows,
)
from hub.transactions.budgets import Budgets
from hub.transactions.codec import refund_from_json, refund_to_json, sale_from_json, sale_to_json
from hub.transactions.judge import Situation, Verdict, judge
from hub.transactions.merge import Amounts, Contribution, Fold, amounts, asked_to_pay, fold

CLOCK_SKEW = timedelta(minutes=5)
"""How far ahead of ours a channel's clock may be before its `placed_at` is clamped (A9)."""

TWIN_WINDOW = timedelta(minutes=10)
"""Two equal sales of one member in two channels within this time are suspected to be one (A8)."""

Key = tuple[int, str]
"""(channel id, external id) of a sale."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One contribution with where it came from."""

    key: Key
    delivery_id: int | None
    """None: nobody sent it; a simulation, which is rolled back."""
    contribution: Contribution
    normaliser_version: int
    received_at: datetime | None = None


@dataclass(slots=True)
class Transaction:
    """One sale of the batch, from its row to what is written of it."""

    key: Key
    id: int = 0
    public_id: str = ""
    is_new: bool = True
    placed_at: datetime | None = None
    line_facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    before: tuple[Any, ...] = ()
    """(codes, state) before this batch: which vouchers may be affected."""
    contributions: dict[tuple[str, str, str], tuple[Contribution, int, int | None]] = field(
        default_factory=dict
    )
    """(kind, ref, raw hash) -> (contribution, normaliser version, delivery id if new here)."""
    sources: dict[tuple[str, str, str], tuple[int | None, int]] = field(default_factory=dict)
    """Of the stored ones: (kind, ref, raw hash) -> (delivery id, normaliser version)."""
    dropped: list[tuple[str, str, str]] = field(default_factory=list)
    """Stored ones that newer code does not find in the same message any more."""
    fold: Fold | None = None
    amounts: Amounts | None = None
    verdict: Verdict | None = None
    member_id: int | None = None
    claim_member_id: int | None = None
    """Who staff gave it to; outranks whatever messages say (rules.md A3)."""
    change: int = 0
    """Points posted by this batch."""
    credit_change: int = 0
    """Store credit posted by this batch, minor units."""
    was_member_id: int | None = None
    """Whom it was attributed to before this batch."""
    touched: frozenset[int] = frozenset()
    """Members whose points changed by it besides its own: it was a friend's order."""
    first_seen_at: datetime | None = None
    """When the hub was first told of it."""
    is_own: bool = False
    """Whoever it belongs to rang it up; found out only where the programme refuses that."""
    review: str | None = None
    """needed, approved or declined: of a sale placed long before it was told of (A9)."""

    @property
    def sale(self) -> Sale | None:
        """The winning snapshot."""
        return self.fold.sale if self.fold else None

    @property
    def state(self) -> str:
        """The word stored for it."""
        if self.sale is None:
            return "unknown"
        if self.fold is not None and self.fold.void:
            return "deleted"
        return self.sale.state.value

    @property
    def waiting_for(self) -> str | None:
        """What has to come before it can be judged."""
        if self.sale is None:
            return "sale"
        if self.verdict is not None and self.verdict.lacks:
            return "lookup"
        if self.review == "needed" and self.points:
            return "review"
        return None

    @property
    def points(self) -> int:
        """What it should have earned."""
        return self.verdict.judgement.points if self.verdict else 0

    @property
    def tier_points(self) -> int:
        """What tiers count of it that ask for points."""
        theirs = self.verdict.tier_points if self.verdict else None
        return self.points if theirs is None else theirs


@dataclass(frozen=True, slots=True)
class Ground:
    """What the batch's program is like."""

    program_id: int
    channels: Mapping[int, Channel]
    traits: Mapping[int, Traits]
    situations: Mapping[int, Situation]
    """Channel id -> situation."""
    readers: Mapping[int, int]
    """Channel id -> the normaliser version its messages are read by."""
    chain_key: bytes
    actor: str
    now: datetime | None = None

    @property
    def versions(self) -> Sequence[Rules]:
        """The program's rules, oldest first."""
        return next((one.versions for one in self.situations.values()), ())


def post_arrivals(
    session: Session,
    ground: Ground,
    arrivals: Sequence[Arrival],
    directory: Directory,
    *,
    also: Iterable[Key] = (),
    read_again: Collection[int] = (),
    before_posting: Callable[[Mapping[Key, Transaction]], Collection[int]] = lambda _: (),
) -> dict[Key, Transaction]:
    """Merge contributions into their sales and post what follows.

    `directory`: whom the sales name. `also`: sales to judge again without a new contribution (a
    look-up answered). `read_again`: deliveries all of whose contributions are among the arrivals; what
    older code found in them and this code does not is gone (rules.md A2). `before_posting`: takes the
    locks that stand between transactions and accounts, and returns further members whose accounts the
    caller will write. Raises `Collision`, `RootChanged`: do it again.
    """
    told = {a.key for a in arrivals}
    also = {*also, *_followers(session, ground, arrivals, {*told, *also}, directory)}
    transactions = {
        key: found
        for key, found in _lock(session, sorted(told | also)).items()
        if key in told or not found.is_new
    }
    load_contributions(session, [t for t in transactions.values() if not t.is_new])
    for arrival in arrivals:
        _add(transactions[arrival.key], arrival)
    for transaction in transactions.values():
        _drop_old_readings(ground, transaction, read_again)
        fold_contributions(ground, transaction)
    _attribute(session, ground, transactions.values(), directory)
    if own_sales.are_refused(ground.versions):
        own_sales.mark(session, ground.program_id, transactions.values())
    _fill_lines(session, transactions.values())
    for transaction in transactions.values():
        _judge(ground, transaction)
    _write(session, ground, list(transactions.values()))
    _write_contributions(session, list(transactions.values()))
    _delete_dropped(session, list(transactions.values()))
    also_locked = before_posting(transactions)
    _post(session, ground, list(transactions.values()), also_locked)
    return transactions


def mention_of(ground: Ground, channel_id: int, ref: CustomerRef, at: datetime) -> Mention:
    """A person as a message of that channel names them."""
    channel = ground.channels[channel_id]
    rules = in_force(ground.situations[channel_id].versions, at)
    return Mention.of(ref, channel_id=channel_id, region=channel.region, enrol=rules.enrol)


def mentions_in(ground: Ground, arrivals: Iterable[Arrival]) -> list[Mention]:
    """The people that sales name."""
    found = []
    for arrival in arrivals:
        body = arrival.contribution.body
        if isinstance(body, Sale) and body.customer is not None:
            found.append(mention_of(ground, arrival.key[0], body.customer, body.placed_at))
    return found


def read_by_older_code(session: Session, readers: Mapping[int, int], keys: Collection[Key]) -> list[int]:
    """Deliveries of these sales that were last read by older code than their channel has now: all
    messages of a sale are folded as one code reads them (rules.md A2)."""
    columns = {"channel_id": "bigint", "external_id": "text", "reader": "integer"}
    rows = [
        dict(zip(columns, (channel, external_id, readers[channel]), strict=True))
        for channel, external_id in sorted(keys)
        if channel in readers
    ]
    if not rows:
        return []
    found = run(
        session,
        f"""SELECT DISTINCT c.delivery_id AS id FROM {unnest(columns)}
            JOIN transactions t ON t.channel_id = r.channel_id AND t.external_id = r.external_id
            JOIN contributions c ON c.transaction_id = t.id
            WHERE c.normaliser_version < r.reader AND c.delivery_id IS NOT NULL ORDER BY 1""",
        arrays(columns, rows),
    )
    return [row.id for row in found]


def _followers(
    session: Session,
    ground: Ground,
    arrivals: Sequence[Arrival],
    keys: Collection[Key],
    directory: Directory,
) -> set[Key]:
    """Sales that what these earn may change: caps and ordinals reach over a member's sales (B3)."""
    if not windows.asked(ground):
        return set()
    told = []
    for arrival in arrivals:
        body = arrival.contribution.body
        if isinstance(body, Sale) and body.customer is not None:
            mention = mention_of(ground, arrival.key[0], body.customer, body.placed_at)
            member = directory.find(mention)
            if member is not None:
                told.append((directory.root(member), body.placed_at))
    return windows.followers(session, ground, told, keys)


# --- loading -------------------------------------------------------------------------------------


def _lock(session: Session, keys: Sequence[Key]) -> dict[Key, Transaction]:
    columns = {"channel_id": "bigint", "external_id": "text"}
    found = {key: Transaction(key) for key in keys}
    if not keys:
        return found
    rows = run(
        session,
        f"""SELECT t.id, t.public_id, t.channel_id, t.external_id, t.placed_at, t.line_facts, t.codes, t.state,
                   t.claim_member_id, t.review, t.created_at, t.member_id
            FROM transactions t JOIN {unnest(columns)}
              ON t.channel_id = r.channel_id AND t.external_id = r.external_id
            ORDER BY t.id FOR NO KEY UPDATE OF t""",
        arrays(columns, [{"channel_id": c, "external_id": e} for c, e in keys]),
    )
    for row in rows:
        transaction = found[row.channel_id, row.external_id]
        transaction.id, transaction.public_id, transaction.is_new = row.id, row.public_id, False
        transaction.placed_at, transaction.line_facts = row.placed_at, dict(row.line_facts)
        transaction.before = (tuple(row.codes), row.state)
        transaction.claim_member_id = row.claim_member_id
        transaction.was_member_id = row.member_id
        transaction.review, transaction.first_seen_at = row.review, row.created_at
    return found


def load_contributions(session: Session, transactions: Sequence[Transaction]) -> None:
    """Add what is stored of these sales."""
    if not transactions:
        return
    by_id = {t.id: t for t in transactions}
    for row in run(
        session,
        """SELECT transaction_id, kind, ref, version, as_of, raw_hash, normaliser_version, delivery_id, body
           FROM contributions WHERE transaction_id = ANY(:ids)""",
        {"ids": list(by_id)},
    ):
        contribution = Contribution(
            row.kind, row.ref, row.version, row.as_of, row.raw_hash, _body(row.kind, row.body)
        )
        stored = (contribution, row.normaliser_version, None)
        place = (row.kind, row.ref, row.raw_hash)
        by_id[row.transaction_id].contributions[place] = stored
        by_id[row.transaction_id].sources[place] = (row.delivery_id, row.normaliser_version)


def _body(kind: str, data: Mapping[str, Any] | None) -> Sale | Refund | None:
    if data is None:
        return None
    return sale_from_json(data) if kind == "snapshot" else refund_from_json(data)


def _add(transaction: Transaction, arrival: Arrival) -> None:
    """Add a contribution; of the same bytes the newer code's reading counts (A2), and the last
    moment at which they were true (A7: trashed and restored within a second, an order has its old
    bytes again, and only the Date of a look-up says that they are the present ones)."""
    c, version = arrival.contribution, arrival.normaliser_version
    if transaction.is_new and arrival.received_at is not None:
        first = transaction.first_seen_at or arrival.received_at
        transaction.first_seen_at = min(first, arrival.received_at)
    place = (c.kind, c.ref, c.raw_hash)
    known = transaction.contributions.get(place)
    if known is not None:
        before, read_by, _ = known
        if version <= read_by and c.as_of <= before.as_of:
            return
        as_of = max(c.as_of, before.as_of)
        c, version = (c, version) if version > read_by else (before, read_by)
        c = replace(c, as_of=as_of)
    transaction.contributions[place] = (c, version, arrival.delivery_id)


def _drop_old_readings(ground: Ground, transaction: Transaction, read_again: Collection[int]) -> None:
    reader = ground.readers.get(transaction.key[0], 0)
    for place, (delivery_id, version) in transaction.sources.items():
        _, now_read_by, _ = transaction.contributions[place]
        if delivery_id in read_again and version < reader and now_read_by == version:
            del transaction.contributions[place]
            transaction.dropped.append(place)


# --- deciding ------------------------------------------------------------------------------------


def fold_contributions(ground: Ground, transaction: Transaction) -> None:
    """The sale that its contributions come to (rules.md A1); its row is not touched."""
    known = [c for c, _, _ in transaction.contributions.values()]
    transaction.fold = fold(known, ground.traits[transaction.key[0]])
    if transaction.sale is not None:
        transaction.amounts = amounts(transaction.sale, void=transaction.fold.void)
    first = transaction.fold.placed_at
    if first is not None and (transaction.placed_at is None or first < transaction.placed_at):
        transaction.placed_at = first


def _attribute(
    session: Session, ground: Ground, transactions: Iterable[Transaction], directory: Directory
) -> None:
    """Find the member each sale is attributed to: whom staff gave it to, else whom its messages name;
    an older message may have named them."""
    asked: list[tuple[Transaction, Mention]] = []
    for transaction in transactions:
        transaction.member_id = transaction.claim_member_id
        if transaction.member_id or transaction.sale is None or transaction.sale.customer is None:
            continue
        sale = transaction.sale
        mention = mention_of(ground, transaction.key[0], transaction.sale.customer, sale.placed_at)
        transaction.member_id = directory.find(mention)
        if transaction.member_id is None and mention.keys:
            asked.append((transaction, mention))
    if asked:
        older = look_up(session, ground.program_id, [m for _, m in asked])
        for transaction, mention in asked:
            transaction.member_id = older.find(mention)


def _fill_lines(session: Session, transactions: Iterable[Transaction]) -> None:
    """What is known of products fills lines that say nothing; the first knowledge stays (A10)."""
    wanted: dict[tuple[int, str], list[tuple[Transaction, str]]] = {}
    for transaction in transactions:
        for line in transaction.sale.lines if transaction.sale else ():
            if line.categories is not None:
                transaction.line_facts.setdefault(line.key, {"categories": list(line.categories)})
            elif line.product_id and line.key not in transaction.line_facts:
                at = (transaction.key[0], line.product_id)
                wanted.setdefault(at, []).append((transaction, line.key))
    if not wanted:
        return
    columns = {"channel_id": "bigint", "external_id": "text"}
    rows = run(
        session,
        f"""SELECT p.channel_id, p.external_id, p.categories FROM products p JOIN {unnest(columns)}
              ON p.channel_id = r.channel_id AND p.external_id = r.external_id""",
        arrays(columns, [{"channel_id": c, "external_id": e} for c, e in sorted(wanted)]),
    )
    for row in rows:
        for transaction, line_key in wanted[row.channel_id, row.external_id]:
            transaction.line_facts.setdefault(line_key, {"categories": list(row.categories)})


def _judge(ground: Ground, transaction: Transaction) -> None:
    if transaction.sale is None or transaction.fold is None:
        return
    situation = ground.situations[transaction.key[0]]
    transaction.verdict = judge(transaction.sale, transaction.fold, transaction.line_facts, situation)
    if transaction.is_own:
        transaction.verdict = own_sales.refused(transaction.verdict)
    _review(ground, transaction, transaction.verdict)


def _review(ground: Ground, transaction: Transaction, verdict: Verdict) -> None:
    """A sale placed longer before it was told of than its channel may backdate waits for a person; one
    that was declined earns nothing (A9). What somebody brought in as a channel's history is as old as they know."""
    channel, situation = ground.channels[transaction.key[0]], ground.situations[transaction.key[0]]
    if transaction.review == "declined":
        nothing = Judgement(0, ({"code": "backdated", "points": "0"},), "backdated")
        transaction.verdict = replace(verdict, judgement=nothing)
    placed, told = transaction.placed_at, transaction.first_seen_at
    if transaction.review or not transaction.points or placed is None or told is None:
        return
    if situation.is_history(placed):
        return
    if channel.backdating_days is not None and placed < told - timedelta(days=channel.backdating_days):
        transaction.review = "needed"


# --- writing -------------------------------------------------------------------------------------

_ROW = {
    "id": "bigint",
    "public_id": "text",
    "channel_id": "bigint",
    "external_id": "text",
    "number": "text",
    "state": "text",
    "test": "boolean",
    "currency": "text",
    "placed_at": "timestamptz",
    "member_id": "bigint",
    "goods_net": "bigint",
    "goods_tax": "bigint",
    "shipping": "bigint",
    "refunded": "bigint",
    "total": "bigint",
    "eligible": "bigint",
    "points": "bigint",
    "tier_points": "bigint",
    "why": "text",
    "explanation": "jsonb",
    "codes": "jsonb",
    "waiting_for": "text",
    "ambiguous": "boolean",
    "line_facts": "jsonb",
    "program_version": "integer",
    "review": "text",
}
_NOT_UPDATED = {"id", "public_id", "channel_id", "external_id"}
_CODES = "ARRAY(SELECT jsonb_array_elements_text(r.codes))"


def _write(session: Session, ground: Ground, transactions: Sequence[Transaction]) -> None:
    new = sorted((t for t in transactions if t.is_new), key=lambda t: t.key)
    old = [t for t in transactions if not t.is_new]
    if new:
        _insert(session, ground, new)
    if old:
        _update(session, old)


def _update(session: Session, transactions: Sequence[Transaction]) -> None:
    sets = ", ".join(
        f"{c} = {_CODES if c == 'codes' else f'r.{c}'}" for c in _ROW if c not in _NOT_UPDATED
    )
    run(
        session,
        f"UPDATE transactions t SET {sets}, updated_at = clock_timestamp() FROM {unnest(_ROW)} WHERE t.id = r.id",
        arrays(_ROW, [_row(t) for t in transactions]),
    )


def _insert(session: Session, ground: Ground, new: Sequence[Transaction]) -> None:
    for transaction in new:
        transaction.public_id = new_id("txn")
    given = {name: kind for name, kind in _ROW.items() if name != "id"}
    values = ", ".join(_CODES if c == "codes" else f"r.{c}" for c in given)
    inserted = run(
        session,
        f"""INSERT INTO transactions (program_id, {", ".join(given)})
            SELECT :program, {values} FROM {unnest(given)} ORDER BY r.channel_id, r.external_id
            ON CONFLICT (channel_id, external_id) DO NOTHING RETURNING id, channel_id, external_id""",
        {**arrays(given, [_row(t) for t in new]), "program": ground.program_id},
    )
    if len(inserted) != len(new):
        raise Collision
    ids = {(row.channel_id, row.external_id): row.id for row in inserted}
    for transaction in new:
        transaction.id = ids[transaction.key]


def _row(transaction: Transaction) -> dict[str, Any]:
    sale, sums, verdict = transaction.sale, transaction.amounts, transaction.verdict
    return {
        "id": transaction.id,
        "public_id": transaction.public_id,
        "channel_id": transaction.key[0],
        "external_id": transaction.key[1],
        "number": sale.number if sale else "",
        "state": transaction.state,
        "test": sale.test if sale else False,
        "currency": sale.currency if sale else None,
        "placed_at": transaction.placed_at,
        "member_id": transaction.member_id,
        "goods_net": sums.goods_net if sums else 0,
        "goods_tax": sums.goods_tax if sums else 0,
        "shipping": sums.shipping if sums else 0,
        "refunded": sums.refunded if sums else 0,
        "total": asked_to_pay(sale) if sale else None,
        "eligible": sums.eligible if sums else 0,
        "points": transaction.points,
        "tier_points": verdict.tier_points if verdict else None,
        "why": verdict.judgement.why if verdict else None,
        "explanation": json_text(verdict.judgement.steps if verdict else ()),
        "codes": json_text(sale.codes if sale else ()),
        "waiting_for": transaction.waiting_for,
        "ambiguous": transaction.fold.ambiguous if transaction.fold else False,
        "line_facts": json_text(transaction.line_facts),
        "program_version": verdict.rules.number if verdict else None,
        "review": transaction.review,
    }


_CONTRIBUTION = {
    "transaction_id": "bigint",
    "delivery_id": "bigint",
    "kind": "text",
    "ref": "text",
    "version": "bigint",
    "as_of": "timestamptz",
    "raw_hash": "text",
    "normaliser_version": "integer",
    "body": "jsonb",
}


def _write_contributions(session: Session, transactions: Sequence[Transaction]) -> None:
    rows = [
        {
            "transaction_id": t.id,
            "delivery_id": delivery_id,
            "kind": c.kind,
            "ref": c.ref,
            "version": c.version,
            "as_of": c.as_of,
            "raw_hash": c.raw_hash,
            "normaliser_version": version,
            "body": _body_json(c.body),
        }
        for t in transactions
        for c, version, delivery_id in t.contributions.values()
        if delivery_id is not None
    ]
    if rows:
        columns = ", ".join(_CONTRIBUTION)
        run(
            session,
            f"""INSERT INTO contributions ({columns})
                SELECT {", ".join(f"r.{c}" for c in _CONTRIBUTION)} FROM {unnest(_CONTRIBUTION)}
                ON CONFLICT (transaction_id, kind, ref, raw_hash) DO UPDATE SET
                    version = excluded.version, as_of = excluded.as_of, body = excluded.body,
                    normaliser_version = excluded.normaliser_version
                WHERE contributions.normaliser_version <= excluded.normaliser_version""",
            arrays(_CONTRIBUTION, rows),
        )


def _delete_dropped(session: Session, transactions: Sequence[Transaction]) -> None:
    columns = {"transaction_id": "bigint", "kind": "text", "ref": "text", "raw_hash": "text"}
    rows = [dict(zip(columns, (t.id, *place), strict=True)) for t in transactions for place in t.dropped]
    if rows:
        run(
            session,
            f"""DELETE FROM contributions c USING {unnest(columns)} WHERE c.transaction_id = r.transaction_id
                  AND c.kind = r.kind AND c.ref = r.ref AND c.raw_hash = r.raw_hash""",
            arrays(columns, rows),
        )


def _body_json(body: Sale | Refund | None) -> str | None:
    if body is None:
        return None
    return json_text(sale_to_json(body) if isinstance(body, Sale) else refund_to_json(body))


def _post(
    session: Session, ground: Ground, transactions: Sequence[Transaction], also_locked: Collection[int]
) -> None:
    """Post those that can be judged; a sale that waits for a look-up keeps what it has. Where the
    rules ask who bought, that is found out, and the sale judged, under the accounts' locks."""
    asking, held = context.asking(transactions), list[Locked]()
    tiers = standing.keeps_tiers(ground.versions)
    targets = [*_targets(transactions), *map(_target, asking)]
    concerned = bringing.concerned(session, ground, transactions)
    looks_around = windows.asked(ground)
    spending = budgets.lock(session, ground, transactions)
    idle = any(rules.idle_days or rules.idle_year for rules in ground.versions)
    also_locked = {*also_locked, *concerned}
    if not targets and not also_locked and not (looks_around or idle or spending):
        return

    def judged(locked: Locked) -> list[Target]:
        held.append(locked)
        if tiers:
            memberships.store(session, ground, transactions)
        if asking or looks_around or spending:
            _judge_in_context(session, ground, transactions, asking, locked, spending)
        return _targets(transactions)

    changes = post_targets(
        session,
        ground.program_id,
        targets,
        also_locked={
            *also_locked,
            *_members(transactions if tiers or looks_around or idle or spending else asking),
        },
        judged=judged if asking or tiers or looks_around or spending else None,
        chain_key=ground.chain_key,
        actor=ground.actor,
        now=ground.now,
    )
    for transaction in transactions:
        transaction.change = changes.get(transaction.id, 0)
    if credit.is_kept(ground.versions):
        credit.post(session, ground, transactions)
    if order_rewards.are_brought(ground.versions):
        order_rewards.note(session, transactions)
    if concerned:
        bringing.settle(session, ground, transactions, concerned)
    if tiers:
        roots = {held[0].accounts[account].member_id for account in held[0].roots.values()}
        standing.refresh(session, ground.program_id, ground.versions, roots, held[0].now)
    _suspect_twins(session, ground, [t for t in transactions if t.is_new and t.change])


def _members(transactions: Iterable[Transaction]) -> set[int]:
    """Whom these sales are attributed to, and were before."""
    found = {m for t in transactions for m in (t.member_id, t.was_member_id)}
    return {member for member in found if member is not None}


def _targets(transactions: Sequence[Transaction]) -> list[Target]:
    """What is to be posted of sales that wait for nothing, and of what turned out to be no sale."""
    ready = [t for t in transactions if t.verdict is not None and t.waiting_for is None]
    gone = [t for t in transactions if t.sale is None and t.dropped]
    return [*map(_target, ready), *map(_no_sale, gone)]


def _judge_in_context(
    session: Session,
    ground: Ground,
    transactions: Sequence[Transaction],
    asking: Sequence[Transaction],
    locked: Locked,
    spending: Budgets | None,
) -> None:
    """Judge for whom was sold to; rows that come out otherwise than without are written again."""
    before = {t.id: (t.verdict, t.review) for t in asking}
    around = None
    if windows.asked(ground):
        around = windows.Windows.read(session, ground, transactions, locked)
    contexts = context.judge_again(session, ground, asking, locked, around) if asking else {}
    if around is not None:
        around.judge(contexts, spending)
    elif spending is not None:
        for transaction in asking:
            buyer = contexts[transaction.id].buyer
            windows.judge_within(ground, transaction, buyer, spending)
    if spending is not None:
        spending.free(transactions)
        spending.store(session)
    for transaction in asking:
        if transaction.verdict is not None:
            _review(ground, transaction, transaction.verdict)
    other = [t for t in asking if (t.verdict, t.review) != before[t.id]]
    if other:
        _update(session, other)
    if contexts:
        context.store(session, ground, asking, contexts, locked)


def _suspect_twins(session: Session, ground: Ground, transactions: Sequence[Transaction]) -> None:
    """The same member, amount and about the same time in another channel, and neither names the
    other as its origin: an alert for people, never a silent merge (A8)."""
    if len(ground.channels) < 2 or not transactions:
        return
    run(
        session,
        """INSERT INTO suspected_twins (program_id, transaction_id, other_id)
           SELECT t.program_id, least(t.id, o.id), greatest(t.id, o.id)
           FROM transactions t JOIN transactions o
             ON o.member_id = t.member_id AND o.channel_id <> t.channel_id
            AND o.placed_at BETWEEN t.placed_at - CAST(:about AS interval) AND t.placed_at + CAST(:about AS interval)
            AND o.currency = t.currency AND o.goods_net + o.goods_tax = t.goods_net + t.goods_tax
            AND o.points > 0
           WHERE t.id = ANY(:ids)
           ON CONFLICT DO NOTHING""",
        {"ids": [t.id for t in transactions], "about": TWIN_WINDOW},
    )


def _no_sale(transaction: Transaction) -> Target:
    """Newer code finds no sale in the messages that were one: it earns nothing, on any account."""
    assert transaction.placed_at is not None
    return Target(
        transaction_id=transaction.id,
        member_id=None,
        points=0,
        placed_at=transaction.placed_at,
        available_at=transaction.placed_at,
        expires_at=None,
        context="no sale",
        winners=(),
    )


def _target(transaction: Transaction) -> Target:
    verdict, state = transaction.verdict, transaction.fold
    assert verdict is not None
    assert state is not None
    return Target(
        transaction_id=transaction.id,
        member_id=transaction.member_id,
        points=verdict.judgement.points,
        placed_at=verdict.earned_at,
        available_at=verdict.available_at,
        expires_at=verdict.expires_at,
        context=f"program version {verdict.rules.number}",
        winners=state.winners,
        explanation=verdict.judgement.steps,
        negative=verdict.rules.negative,
    )
