"""Inbound deliveries to points: claims a batch, understands it, posts it in one transaction.

A batch that fails is halved until the poison delivery stands alone, gets its fault and is parked,
and the rest go through (design, decision 5).
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from hub.bulk import arrays, run, unnest
from hub.canonical import Sale
from hub.connector import Connector
from hub.db import AWAY
from hub.errors import Misconfigured
from hub.ledger.accounts import RootChanged, open_accounts
from hub.members import profile
from hub.members.resolve import Collision, Directory, resolve
from hub.outbox import channels, deliveries
from hub.outbox.channels import Channel
from hub.outbox.deliveries import Claimed, Finish, LeaseLost, Push
from hub.program import store
from hub.redemption import uses
from hub.registry import UnknownConnector
from hub.runtime import Runtime
from hub.sync import forgetting, leaving_shops, privacy
from hub.sync.again import again, is_too_large
from hub.sync.ground import ground_of
from hub.sync.understand import Understood, understand
from hub.transactions.post import (
    Arrival,
    Ground,
    Key,
    Transaction,
    mention_of,
    mentions_in,
    post_arrivals,
    read_by_older_code,
)

log = structlog.get_logger()

BALANCE_DELAY = timedelta(seconds=2)
"""A burst of orders of one member becomes one push of the balance it ends with."""

NEXT_SECOND = timedelta(seconds=1.5)

WAITING_AT_ONCE = 1000
"""So many sales that waited for a product are judged with one answer."""

LOCKED_WAITS = timedelta(seconds=10)
"""When a message whose rows somebody holds is tried again."""


def drain(
    runtime: Runtime, *, seconds: float = 30.0, stopping: Callable[[], bool] = lambda: False
) -> int:
    """Process due deliveries until none is left, the time is up or it is told to stop."""
    ends, count = time.monotonic() + seconds, 0
    while time.monotonic() < ends and not stopping():
        batch = claim(runtime)
        if not batch:
            break
        process(runtime, batch)
        count += len(batch)
    return count


def claim(runtime: Runtime) -> list[Claimed]:
    """Take the next batch under a lease, committed before the work begins."""
    with runtime.sessions.begin() as session:
        return deliveries.claim(
            session,
            "inbound",
            limit=runtime.settings.batch_size,
            lease=timedelta(seconds=runtime.settings.lease_seconds),
        )


def process(runtime: Runtime, batch: Sequence[Claimed]) -> None:
    """Process claimed deliveries. Whatever happens, each ends in a state that says what happened,
    or keeps its lease until the sweeper frees it."""
    by_program: dict[int, list[Claimed]] = defaultdict(list)
    for delivery in batch:
        by_program[delivery.program_id].append(delivery)
    for program_id, its in by_program.items():
        _process_program(runtime, program_id, its)


def _process_program(runtime: Runtime, program_id: int, batch: Sequence[Claimed]) -> None:
    try:
        _try(runtime, program_id, batch)
        return
    except LeaseLost:
        log.warning("lease lost, nothing written", deliveries=len(batch))
        return
    except (*AWAY, RootChanged, Collision) as error:
        # the database is away, a row is locked for long, others are faster: no fault of the messages
        away = isinstance(error, PoolTimeout) or getattr(error, "connection_invalidated", False)
        if away or (len(batch) == 1 and not is_too_large(error)):
            _hand_back(runtime, batch, error)
            return
        if len(batch) == 1:
            _park(runtime, batch[0], error)
            return
    except Exception as error:  # noqa: BLE001 - the one place where the hub's own faults are caught
        if len(batch) == 1:
            _park(runtime, batch[0], error)
            return
    middle = len(batch) // 2
    _process_program(runtime, program_id, batch[:middle])
    _process_program(runtime, program_id, batch[middle:])


def _try(runtime: Runtime, program_id: int, batch: Sequence[Claimed]) -> None:
    """Understand the batch once; then two transactions, each tried again when another batch came
    between. People are committed on their own: a batch that waited for the other to end just to
    learn who its customer is would make all workers take turns."""
    started = time.monotonic()
    with runtime.sessions() as session:
        work = Batch.read(runtime, session, program_id, batch)
    directory = again(runtime, work.meet)
    again(runtime, lambda session: work.post(session, directory, started))


def _hand_back(runtime: Runtime, batch: Sequence[Claimed], error: Exception) -> None:
    """Due again a little later, as if nothing had been; the sweeper does it when the database cannot."""
    log.warning("not processed, due again", deliveries=len(batch), error=str(error)[:100])
    later = runtime.clock() + LOCKED_WAITS
    try:
        with runtime.sessions.begin() as session:
            finishes = [Finish(d, "due", counts=False, due_at=later) for d in batch]
            deliveries.finish(session, finishes, worker=runtime.name)
    except (LeaseLost, *AWAY):
        log.warning("the sweeper frees what was claimed", deliveries=len(batch))


def _park(runtime: Runtime, delivery: Claimed, error: Exception) -> None:
    """A failure of ours: kept aside with its code, never lost, and made due again by a replay."""
    log.error("delivery parked", delivery=delivery.id, error=type(error).__name__, exc_info=error)
    finish = Finish(
        delivery,
        "parked",
        fault="hub",
        code="unexpected",
        detail=f"The hub could not process this message ({type(error).__name__}); it is kept. "
        "Replay it after an update, or report it.",
    )
    try:
        with runtime.sessions.begin() as session:
            deliveries.finish(session, [finish], worker=runtime.name)
    except (LeaseLost, *AWAY):
        log.warning("could not park", delivery=delivery.id)


@dataclass(frozen=True)
class Batch:
    """One program's deliveries, understood, on their way into its ledger: `read`, `meet`, `post`."""

    runtime: Runtime
    program_id: int
    channels: Mapping[int, Channel]
    ground: Ground
    understood: Sequence[Understood]
    earlier: Sequence[Understood]
    """Earlier messages of the same sales, read again by newer code than had read them."""

    @classmethod
    def read(
        cls, runtime: Runtime, session: Session, program_id: int, claimed: Sequence[Claimed]
    ) -> Batch:
        """Understand what was claimed; changes nothing."""
        program = store.by_id(session, program_id)
        known = {c.id: c for c in channels.of_program(session, program.id)}
        missing = {d.channel_id for d in claimed} - known.keys()
        if missing:
            known |= channels.by_ids(session, missing)
        connectors = _connectors(runtime, {d.channel_id: known[d.channel_id] for d in claimed})
        kinds = {i: type(connector) for i, connector in connectors.items()}
        ground = ground_of(runtime, session, program, known, kinds, actor="hub:process")
        understood = [_understood(connectors.get(d.channel_id), known[d.channel_id], d) for d in claimed]
        earlier = _read_again(session, connectors, ground, understood)
        return cls(runtime, program_id, known, ground, understood, earlier)

    @property
    def good(self) -> list[Understood]:
        """Those that say something."""
        return [u for u in self.understood if u.fault is None]

    @property
    def arrivals(self) -> list[Arrival]:
        """What they say of sales, earlier messages first."""
        return [a for u in (*self.earlier, *self.good) for a in u.arrivals]

    def meet(self, session: Session) -> Directory:
        """Find or make the members these deliveries name, with their accounts and what is told of them.
        Members who become known to a channel get their codes there. Idempotent: a batch that fails later meets the same
        people again. Raises `Collision`: do it again."""
        mentions = [
            mention_of(self.ground, u.delivery.channel_id, c.customer, c.as_of)
            for u in self.good
            for c in u.customers
        ]
        mentions += mentions_in(self.ground, self.arrivals)
        directory = resolve(session, self.program_id, mentions)
        open_accounts(session, self.program_id, sorted(directory.new_members))
        profile.follow_earlier(session, self.program_id, directory)
        # before anything is judged: a birthday counts for the sale that came with it
        profile.update(session, self.program_id, good_customers(self.good, self.ground), directory)
        profile.learn_birthdays(session, directory, self._birthdays())
        uses.plan_where_known(session, self.program_id, directory.newly_known(), self.channels.values())
        return directory

    def _birthdays(self) -> list[tuple[profile.Mention, str]]:
        """Those that sales tell of their buyers."""
        sales = [(a.key[0], a.contribution.body) for a in self.arrivals]
        return [
            (mention_of(self.ground, channel, s.customer, s.placed_at), s.customer.birthday)
            for channel, s in sales
            if isinstance(s, Sale) and s.customer is not None and s.customer.birthday
        ]

    def post(self, session: Session, directory: Directory, started: float) -> None:
        """Merge, judge, post, tell the channels, finish. Raises `Collision`, `RootChanged`: do it again."""
        _Posting(self, session, directory).run(started)

    def rehearse(self, session: Session) -> tuple[list[Finish], Mapping[Key, Transaction]]:
        """`meet` and `post` in one transaction, up to the deliveries' own rows: the caller rolls it
        back. Returns how each delivery would end, and the sales."""
        posting = _Posting(self, session, self.meet(session))
        transactions = posting.carry_out()
        return posting.endings(transactions, 0), transactions


def _read_again(
    session: Session,
    connectors: Mapping[int, Connector],
    ground: Ground,
    understood: Sequence[Understood],
) -> list[Understood]:
    """Earlier messages of these sales that only older code has read, as this code reads them. One that
    it cannot read keeps its old reading."""
    keys = {key for u in understood for key in u.keys} | set(_keys_known(understood))
    here = {u.delivery.id for u in understood}
    ids = [i for i in read_by_older_code(session, ground.readers, keys) if i not in here]
    found = []
    for delivery in deliveries.read(session, ids) if ids else ():
        again = understand(connectors[delivery.channel_id], delivery)
        again.arrivals = [a for a in again.arrivals if a.key in keys]
        if again.fault is None and not again.is_forgotten:
            found.append(again)
    return found


def _connectors(runtime: Runtime, by_id: Mapping[int, Channel]) -> dict[int, Connector]:
    """Of the channels whose messages these are; one that is not installed any more is left out."""
    found = {}
    for channel_id, channel in by_id.items():
        with suppress(UnknownConnector):
            found[channel_id] = channels.connector_of(runtime, channel)
    return found


def _understood(connector: Connector | None, channel: Channel, delivery: Claimed) -> Understood:
    if connector is None:
        lacking = Misconfigured("no_connector", f"there is no connector {channel.kind!r:.50}")
        return Understood(delivery, lacking)
    return understand(connector, delivery)


@dataclass
class _Posting:
    """A batch in the database transaction that posts it."""

    batch: Batch
    session: Session
    directory: Directory

    def run(self, started: float) -> None:
        transactions = self.carry_out()
        finishes = self.endings(transactions, int((time.monotonic() - started) * 1000))
        deliveries.finish(self.session, finishes, worker=self.batch.runtime.name)
        self._release_waiting(self.batch.understood, transactions)

    def carry_out(self) -> Mapping[Key, Transaction]:
        """Everything but the deliveries' own rows."""
        good, ground = self.batch.good, self.batch.ground
        also = self._learn_products(good)
        transactions = post_arrivals(
            self.session,
            ground,
            self.batch.arrivals,
            self.directory,
            also=[*also, *_keys_known(self.batch.understood)],
            read_again={u.delivery.id for u in [*self.batch.earlier, *good] if not u.is_forgotten},
            before_posting=self._lock_vouchers,
        )
        profile.follow(self.session, ground.program_id, _merged(good), _gone(good))
        self._heed(good)
        touched = self.vouchers.settle(ground.situations, self.batch.channels.values())
        self._tell(transactions.values(), touched)
        self._look_up(good, transactions)
        return transactions

    def _heed(self, understood: Iterable[Understood]) -> None:
        """Requests to be told or forgotten, and shops that threw the app out."""
        now = self.batch.runtime.clock()
        for u in understood:
            its = self.batch.channels[u.delivery.channel_id]
            if u.privacy is not None:
                privacy.answer(self.session, its, u.privacy, now)
                forgetting.scrub_own(self.session, u.delivery.id)
            for gone in u.gone:
                if gone.what == "shop" and not gone.final:
                    leaving_shops.stop(self.session, its, gone.as_of or u.delivery.received_at, now)

    def _lock_vouchers(self, transactions: Mapping[Key, Transaction]) -> set[int]:
        """Vouchers are locked after transactions and before accounts, those of their owners among
        them (rules.md C4)."""
        ground = self.batch.ground
        self.vouchers = uses.lock(
            self.session,
            ground.program_id,
            ground.chain_key,
            list(transactions.values()),
            now=ground.now,
        )
        return self.vouchers.owners

    # --- look-ups ---

    def _learn_products(self, understood: Iterable[Understood]) -> list[Key]:
        """Store what was learnt of products; the sales that waited for it are judged again."""
        rows = {(u.delivery.channel_id, p.external_id): p for u in understood for p in u.products}
        if not rows:
            return []
        columns = {"channel_id": "bigint", "external_id": "text", "sku": "text", "categories": "text"}
        values = [
            {"channel_id": c, "external_id": e, "sku": p.sku, "categories": "\x1f".join(p.categories)}
            for (c, e), p in sorted(rows.items())
        ]
        run(
            self.session,
            f"""INSERT INTO products (channel_id, external_id, sku, categories)
                SELECT r.channel_id, r.external_id, r.sku, coalesce(string_to_array(r.categories, chr(31)), '{{}}')
                FROM {unnest(columns)}
                ON CONFLICT (channel_id, external_id) DO UPDATE
                SET sku = excluded.sku, categories = excluded.categories, known_since = clock_timestamp()""",
            arrays(columns, values),
        )
        waiting = run(
            self.session,
            """SELECT channel_id, external_id FROM transactions
               WHERE channel_id = ANY(:channels) AND waiting_for = 'lookup' ORDER BY id LIMIT :most""",
            {"channels": sorted({c for c, _ in rows}), "most": WAITING_AT_ONCE},
        )
        if len(waiting) == WAITING_AT_ONCE:  # more may wait: the same answer again takes the next ones
            again = [self._fetch(c, "product", e, delay=NEXT_SECOND) for c, e in sorted(rows)]
            deliveries.enqueue(self.session, [push for push in again if push is not None])
        return [(row.channel_id, row.external_id) for row in waiting]

    def _look_up(
        self, understood: Iterable[Understood], transactions: Mapping[Key, Transaction]
    ) -> None:
        """Ask channels for what messages only hint at, and for what the rules need and lack."""
        asked = [
            self._fetch(u.delivery.channel_id, t.what, t.external_id) for u in understood for t in u.thin
        ]
        lacking: dict[int, dict[str, None]] = defaultdict(dict)
        for (channel_id, external_id), transaction in transactions.items():
            if transaction.fold is not None and transaction.fold.ambiguous:
                # two states of one second: an answer of that same second would settle nothing
                asked.append(self._fetch(channel_id, "sale", external_id, delay=NEXT_SECOND))
            if transaction.sale is None and self._came_without_sale(transaction):
                asked.append(self._fetch(channel_id, "sale", external_id))
            if transaction.verdict is not None:
                lacking[channel_id].update(dict.fromkeys(transaction.verdict.lacks))
        asked += [
            push for channel_id, products in lacking.items() for push in self._ask(channel_id, products)
        ]
        deliveries.enqueue(self.session, [p for p in asked if p is not None])

    def _ask(self, channel_id: int, products: Iterable[str]) -> Iterator[Push | None]:
        """Look-ups of products, as many in one as the channel answers together."""
        wanted = sorted(products)
        size = self.batch.runtime.connector_class(self.batch.channels[channel_id].kind).products_at_once
        for start in range(0, len(wanted), size):
            yield self._fetch(channel_id, "product", ",".join(wanted[start : start + size]))

    @staticmethod
    def _came_without_sale(transaction: Transaction) -> bool:
        return any(c.kind == "refund" for c, _, _ in transaction.contributions.values())

    def _fetch(
        self, channel_id: int, what: str, external_id: str, *, delay: timedelta = timedelta(0)
    ) -> Push | None:
        connector = self.batch.runtime.connector_class(self.batch.channels[channel_id].kind)
        if "fetch" not in connector.capabilities():
            return None
        return Push(
            self.batch.program_id,
            channel_id,
            topic=f"fetch.{what}",
            key=f"fetch:{what}:{external_id}",
            subject=f"{what}:{external_id}",
            body={"what": what, "external_id": external_id},
            delay=delay,
        )

    # --- outwards ---

    def _tell(self, transactions: Iterable[Transaction], touched: set[int]) -> None:
        """Balances that changed go out, coalesced: one row a member and channel."""
        sold = list(transactions)
        members = {t.member_id for t in sold if t.change and t.member_id is not None} | touched
        members |= {member for t in sold for member in t.touched}
        deliveries.enqueue(
            self.session,
            balance_pushes(
                self.batch.runtime, self.batch.program_id, self.batch.channels.values(), members
            ),
        )

    # --- ends ---

    def endings(self, transactions: Mapping[Key, Transaction], milliseconds: int) -> list[Finish]:
        """How each delivery ends."""
        understood = self.batch.understood
        now = self.batch.runtime.clock()
        share = milliseconds // max(1, len(understood))
        finishes = []
        for u in understood:
            if u.fault is not None:
                failed = deliveries.failure(
                    u.delivery, u.fault, now, milliseconds=share, number=u.number
                )
                finishes.append(failed)
            else:
                finishes.append(_ending(u, transactions, share))
        return finishes

    def _release_waiting(
        self, understood: Iterable[Understood], transactions: Mapping[Key, Transaction]
    ) -> None:
        """What waited for a sale or an answer is done once that came: its contribution was stored
        when it arrived, so the fold has it already."""
        came = {
            (channel, f"sale:{external_id}", False): "posted" if t.change else "no_change"
            for (channel, external_id), t in transactions.items()
            if t.sale is not None and t.waiting_for is None
        }
        came |= {
            (u.delivery.channel_id, u.delivery.subject, True): "posted"
            for u in understood
            if u.delivery.source == "fetch" and u.fault is None
        }
        deliveries.release(self.session, came)


def _keys_known(understood: Iterable[Understood]) -> list[Key]:
    """The sales that replayed messages were about when they were understood before."""
    return [
        (u.delivery.channel_id, u.delivery.subject.removeprefix("sale:"))
        for u in understood
        if u.fault is None and u.delivery.subject.startswith("sale:") and u.delivery.source != "fetch"
    ]


def _merged(understood: Iterable[Understood]) -> list[tuple[int, str, str]]:
    return [
        (u.delivery.channel_id, m.gone_external_id, m.kept_external_id)
        for u in understood
        for m in u.merged
    ]


def _gone(understood: Iterable[Understood]) -> list[tuple[int, str]]:
    return [
        (u.delivery.channel_id, d.external_id)
        for u in understood
        for d in u.gone
        if d.what == "customer"
    ]


def good_customers(
    understood: Iterable[Understood], ground: Ground
) -> list[tuple[profile.Mention, profile.Customer]]:
    """Customer messages with the mention that finds their member."""
    return [
        (mention_of(ground, u.delivery.channel_id, c.customer, c.as_of), c)
        for u in understood
        for c in u.customers
    ]


def balance_pushes(
    runtime: Runtime, program_id: int, all_channels: Iterable[Channel], members: Iterable[int]
) -> list[Push]:
    """A push of each member's balance to each channel that shows balances."""
    wanted = sorted(set(members))
    return [
        Push(
            program_id,
            channel.id,
            topic="set_balance",
            key=f"balance:{member}",
            subject=f"member:{member}",
            priority=deliveries.LATER,
            body={"action": "set_balance", "member": member},
            delay=BALANCE_DELAY,
        )
        for channel in all_channels
        if channel.status != "disconnected" and _pushes(runtime, channel)
        for member in wanted
    ]


def _pushes(runtime: Runtime, channel: Channel) -> bool:
    try:
        return "push" in runtime.connector_class(channel.kind).capabilities()
    except UnknownConnector:
        return False


def _ending(
    understood: Understood, transactions: Mapping[Key, Transaction], milliseconds: int
) -> Finish:
    """The state and outcome of a delivery that was understood."""
    delivery = understood.delivery
    mine = [transactions[key] for key in understood.keys]
    subject = f"sale:{mine[0].key[1]}" if mine else ""
    if not mine and understood.thin:
        thin = understood.thin[0]
        return Finish(
            delivery, "waiting", "waiting", "fetch", understood.number,
            f"{thin.what}:{thin.external_id}", milliseconds=milliseconds,
        )  # fmt: skip
    waiting = next((t.waiting_for for t in mine if t.waiting_for), None)
    if waiting:
        return Finish(
            delivery,
            "waiting",
            "waiting",
            waiting,
            understood.number,
            subject,
            milliseconds=milliseconds,
        )
    outcome, reason = _outcome(understood, mine)
    number = understood.number or next((t.sale.number for t in mine if t.sale), "")
    return Finish(delivery, "done", outcome, reason, number, subject, milliseconds=milliseconds)


def _outcome(understood: Understood, mine: Sequence[Transaction]) -> tuple[str, str | None]:
    if not mine:
        if understood.ignored:
            return "ignored", understood.ignored[0].reason
        return "no_change" if not understood.customers else "posted", None
    verdicts = [t.verdict for t in mine if t.verdict]
    ignored = next((v.ignored for v in verdicts if v.ignored), None)
    if ignored:
        return "ignored", ignored
    if any(t.change or t.credit_change for t in mine):
        return "posted", None
    if all(_superseded(understood, t) for t in mine):
        return "superseded", None
    why = next((v.judgement.why for v in verdicts if v.judgement.why), None)
    nobody = any(t.points and t.member_id is None for t in mine)
    return "no_change", "guest" if nobody else why


def _superseded(understood: Understood, transaction: Transaction) -> bool:
    """A snapshot that a newer one had overtaken when it came."""
    snapshots = {
        a.contribution.raw_hash
        for a in understood.arrivals
        if a.key == transaction.key and isinstance(a.contribution.body, Sale)
    }
    winners = set(transaction.fold.winners) if transaction.fold else set()
    return bool(snapshots) and not snapshots & winners
