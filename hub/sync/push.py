"""Outbound deliveries to channels: claim, decide what to send, send with no transaction open, note.

What is sent follows from the state at that moment, so asking twice or late is harmless. A channel
that is down pauses all its pushes instead of burning each one's attempts.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy.orm import Session

from hub.bulk import arrays, run, unnest
from hub.canonical import IdentityKind
from hub.connector import (
    Command,
    Connector,
    CreateCode,
    CustomerKey,
    Inbound,
    Lookup,
    Receipt,
    RevokeCode,
    SetBalance,
)
from hub.db import AWAY
from hub.errors import ChannelDown, Fault, Misconfigured
from hub.http import Dropped
from hub.outbox import channels, circuit, deliveries, masking
from hub.outbox.channels import Channel, Doors
from hub.outbox.deliveries import Claimed, Finish, LeaseLost
from hub.redemption import states
from hub.redemption.costs import ACTOR
from hub.redemption.states import IN_USE, WORKING
from hub.registry import UnknownConnector
from hub.runtime import Runtime
from hub.sync import balances
from hub.sync.balances import Standing
from hub.sync.receive import kept_headers

log = structlog.get_logger()

BATCH = 20
TURN = 5.0
"""How long one channel is served before another has its turn (seconds)."""
FRESH = 1.0
"""For how long balances that were read for all members of a claim are told (seconds)."""
TOGETHER = 0.05
"""Balances are noted together, those that can be told in so many seconds: each at once where a channel is slow. Where a
worker dies in that time, they are told again."""
_MARGIN = 40.0
"""A lease with less left than this is prolonged before the next call (seconds; a call may take 30)."""


@dataclass(frozen=True, slots=True)
class NotNeeded:
    """Nothing to send: it is so already, or not possible yet; `reason` says which."""

    reason: str


Order = Command | Lookup | NotNeeded


def drain(
    runtime: Runtime, *, seconds: float = 30.0, stopping: Callable[[], bool] = lambda: False
) -> int:
    """Push until nothing is due, the time is up or it is told to stop."""
    ends, count = time.monotonic() + seconds, 0
    with closing(Doors(runtime)) as doors:
        while time.monotonic() < ends and not stopping():
            with runtime.sessions.begin() as session:
                lease = timedelta(seconds=runtime.settings.lease_seconds)
                batch = deliveries.claim(session, "outbound", limit=BATCH, lease=lease)
            if not batch:
                break
            until = min(ends, time.monotonic() + TURN)
            push(runtime, batch, until=until, stopping=stopping, doors=doors)
            count += len(batch)
    return count


def push(
    runtime: Runtime,
    batch: Sequence[Claimed],
    *,
    until: float = math.inf,
    stopping: Callable[[], bool] = lambda: False,
    doors: Doors | None = None,
) -> None:
    """Carry out claimed deliveries, channel by channel. What is not begun by `until` (monotonic
    seconds) goes back untouched, so that a slow channel does not keep the others waiting. `doors` keep their
    connections for who calls; without, they end with the call."""
    if doors is None:
        with closing(Doors(runtime)) as own:
            push(runtime, batch, until=until, stopping=stopping, doors=own)
        return
    by_channel: dict[int, list[Claimed]] = defaultdict(list)
    for delivery in batch:
        by_channel[delivery.channel_id].append(delivery)
    with runtime.sessions() as session:
        known = channels.by_ids(session, by_channel)
    run_ = _Run(
        runtime,
        {d.id: d for d in batch},
        time.monotonic(),
        lambda: time.monotonic() > until or stopping(),
        doors,
    )
    for channel_id, its in by_channel.items():
        try:
            run_.channel(known[channel_id], its)
        except AWAY:
            log.warning("database away; the sweeper frees what was claimed", channel=channel_id)


@dataclass
class _Run:
    """One claimed batch on its way out."""

    runtime: Runtime
    open: dict[int, Claimed]
    leased_at: float
    is_over: Callable[[], bool]
    doors: Doors
    well: set[int] = field(default_factory=set)
    """Channels that have answered in this run: a failure ends a channel's turn, so once is enough to say."""
    standings: dict[int, Standing | None] = field(default_factory=dict)
    """Members of whom the channel at hand is yet to be told, as they stood at `read_at`."""
    read_at: float = -math.inf
    said: dict[int, Finish] = field(default_factory=dict)
    """What the channel at hand was told, from `said_at` on, and is not noted yet."""
    said_at: float = 0.0

    def channel(self, channel: Channel, batch: Sequence[Claimed]) -> None:
        """All of one channel; when it is down, or its turn is over, the rest go back untouched."""
        self.standings = {}
        try:
            self._each(channel, batch)
        finally:
            self._note_said()

    def _each(self, channel: Channel, batch: Sequence[Claimed]) -> None:
        for number, delivery in enumerate(batch):
            if number and self.is_over():
                self._hand_back(batch[number:])
                return
            self._prolong()
            try:
                down = self._one(channel, delivery)
                if down is not None:
                    self._pause(channel, delivery, *down)
                    self._hand_back(batch[number + 1 :])
                    return
            except LeaseLost:
                self._reassert(delivery)
            finally:
                if delivery.id not in self.said:
                    self.open.pop(delivery.id, None)
            if time.monotonic() - self.said_at > TOGETHER:
                self._note_said()

    def _one(
        self, channel: Channel, delivery: Claimed
    ) -> tuple[ChannelDown, list[dict[str, Any]]] | None:
        """One attempt, noted with its exchanges; a channel that is down is the answer, not noted."""
        started = time.monotonic()
        connector: Connector | None = None
        try:
            connector = channels.connector_of(self.runtime, channel, self.doors.of(channel))
            order, (answers, receipt) = self._talk(channel, connector, delivery)
            self._note(delivery, order, answers, receipt, connector, started)
        except ChannelDown as down:
            return down, _exchanges(connector)
        except (LeaseLost, *AWAY):
            raise
        except (Fault, UnknownConnector) as fault:
            known = fault if isinstance(fault, Fault) else Misconfigured("no_connector", str(fault))
            self._fail(delivery, known, connector, started)
        except Exception as error:
            # the one place for the hub's own faults on the way out
            log.error("push failed", delivery=delivery.id, exc_info=error)
            self._fail_unexpected(delivery, error, connector, started)
        return None

    def _talk(
        self, channel: Channel, connector: Connector, delivery: Claimed
    ) -> tuple[Order, tuple[list[Inbound], Receipt | None]]:
        """Decide and carry out; the very same once more where a connection that was kept had ended: a command is
        idempotent by its natural key, and the channel may be as well as ever. That is over a new connection."""
        order = self._decide(channel, connector, delivery)
        try:
            return order, _carry_out(connector, order)
        except Dropped:
            self._prolong()
            return order, _carry_out(connector, order)

    def _decide(self, channel: Channel, connector: Connector, delivery: Claimed) -> Order:
        member = _member(delivery)
        if member is not None:
            return _balance(connector, self._standing(channel, member))
        with self.runtime.looks() as session:
            return decide(session, self.runtime, channel, connector, delivery)

    def _standing(self, channel: Channel, member: int) -> Standing | None:
        """How a member stands, read together with all the others of the claim. What changes after that makes the
        push due once more, since it was claimed before."""
        if member not in self.standings or time.monotonic() - self.read_at > FRESH:
            others = [_member(d) for d in self.open.values() if d.channel_id == channel.id]
            members = [member, *{other for other in others if other is not None and other != member}]
            with self.runtime.looks() as session:
                found = balances.read(session, channel.id, members, self.runtime.clock())
            self.standings, self.read_at = {one: found.get(one) for one in members}, time.monotonic()
        return self.standings[member]

    def _note(
        self,
        delivery: Claimed,
        order: Order,
        answers: Sequence[Inbound],
        receipt: Receipt | None,
        connector: Connector,
        started: float,
    ) -> None:
        outcome, reason = ("fetched", None) if isinstance(order, Lookup) else ("pushed", None)
        if isinstance(order, NotNeeded):
            outcome, reason = "no_change", order.reason
        elif receipt is not None and not receipt.changed:
            outcome, reason = "no_change", receipt.note[:200] or "already_so"
        finish = Finish(
            delivery,
            "done",
            outcome,
            reason,
            milliseconds=_since(started),
            exchanges=_exchanges(connector),
        )
        answered = not isinstance(order, NotNeeded)
        if isinstance(order, SetBalance | NotNeeded) and not (
            answered and delivery.channel_id not in self.well
        ):
            self.said_at = self.said_at if self.said else started
            self.said[delivery.id] = finish
            return
        with self.runtime.sessions.begin() as session:
            store_answers(session, delivery, answers)
            if receipt is not None:
                _record_receipt(session, delivery, order, receipt)
            deliveries.finish(session, [finish], worker=self.runtime.name)
            if answered and delivery.channel_id not in self.well:
                circuit.close(session, delivery.channel_id)
        if answered:
            self.well.add(delivery.channel_id)

    def _note_said(self) -> None:
        """Note together what nobody waits for, in one transaction; each in its own where that fails, for a lease that
        was lost or a circle of locks."""
        finishes = list(self.said.values())
        if not finishes:
            return
        try:
            with self.runtime.sessions.begin() as session:
                deliveries.finish(session, finishes, worker=self.runtime.name)
        except (LeaseLost, *AWAY):
            for finish in finishes:
                self._note_alone(finish)
        finally:
            for one in finishes:
                self.open.pop(one.delivery.id, None)
            self.said = {}

    def _note_alone(self, finish: Finish) -> None:
        try:
            with self.runtime.sessions.begin() as session:
                deliveries.finish(session, [finish], worker=self.runtime.name)
        except LeaseLost:
            self._reassert(finish.delivery)

    def _fail(
        self, delivery: Claimed, fault: Fault, connector: Connector | None, started: float
    ) -> None:
        finish = deliveries.failure(
            delivery,
            fault,
            self.runtime.clock(),
            milliseconds=_since(started),
            exchanges=_exchanges(connector),
        )
        with self.runtime.sessions.begin() as session:
            _mark_failed(session, delivery)
            deliveries.finish(session, [finish], worker=self.runtime.name)

    def _fail_unexpected(
        self, delivery: Claimed, error: Exception, connector: Connector | None, started: float
    ) -> None:
        finish = Finish(
            delivery,
            "failed",
            fault="hub",
            code="unexpected",
            detail=f"The hub failed while pushing ({type(error).__name__}); replay it after an update.",
            milliseconds=_since(started),
            exchanges=_exchanges(connector),
        )
        with self.runtime.sessions.begin() as session:
            _mark_failed(session, delivery)
            deliveries.finish(session, [finish], worker=self.runtime.name)

    def _pause(
        self,
        channel: Channel,
        failed: Claimed,
        down: ChannelDown,
        exchanges: Sequence[dict[str, Any]],
    ) -> None:
        """Pause the channel: as long as it asked, else with back-off. Only the delivery that found out
        counts an attempt, and not even that when the channel just asked us to come back later."""
        now = self.runtime.clock()
        asked = down.retry_at is not None
        with self.runtime.sessions.begin() as session:
            until = circuit.trip(session, channel.id, down, now)
            finish = deliveries.failure(failed, down, now, counts=not asked, exchanges=exchanges)
            finish = replace(finish, state="due", due_at=until) if asked else finish
            deliveries.finish(session, [finish], worker=self.runtime.name)

    def _hand_back(self, rest: Sequence[Claimed]) -> None:
        """Claimed and not begun: due again, as if nothing had been."""
        with self.runtime.sessions.begin() as session:
            finishes = [Finish(d, "due", counts=False) for d in rest]
            try:
                deliveries.finish(session, finishes, worker=self.runtime.name)
            except LeaseLost:
                session.rollback()  # others have them, or will have them when the sweeper comes
        for delivery in rest:
            self.open.pop(delivery.id, None)

    def _reassert(self, delivery: Claimed) -> None:
        """Another worker had it while we were still talking to the channel, and ours may have been the
        last word there: push once more what is right by then."""
        log.warning("lease lost", delivery=delivery.id)
        with self.runtime.sessions.begin() as session:
            deliveries.ask_again(session, [delivery.id])

    def _prolong(self) -> None:
        """Keep the leases of what is still to be done, where they are still ours: a batch may take
        longer than one lease, and what ran out meanwhile may be another worker's by now."""
        lease = self.runtime.settings.lease_seconds
        if time.monotonic() - self.leased_at < lease - _MARGIN:
            return
        columns = {"id": "bigint", "token": "bigint"}
        rows = [{"id": d.id, "token": d.token} for _, d in sorted(self.open.items())]
        with self.runtime.sessions.begin() as session:
            run(
                session,
                f"""UPDATE deliveries d SET lease_until = clock_timestamp() + :lease FROM {unnest(columns)}
                    WHERE d.id = r.id AND d.lease_token = r.token AND d.state = 'working'""",
                {**arrays(columns, rows), "lease": timedelta(seconds=lease)},
            )
        self.leased_at = time.monotonic()


def decide(
    session: Session, runtime: Runtime, channel: Channel, connector: Connector, delivery: Claimed
) -> Order:
    """What this delivery means now."""
    body = json.loads(delivery.body)
    if "what" in body:
        return Lookup(body["what"], body["external_id"])
    if body["action"] == SetBalance.action:
        found = balances.read(session, channel.id, [body["member"]], runtime.clock())
        return _balance(connector, found.get(body["member"]))
    return code_order(session, channel, connector, body["voucher"])


def _member(delivery: Claimed) -> int | None:
    """Whose balance this delivery tells; None: it is about something else."""
    body = json.loads(delivery.body)
    member: int | None = body["member"] if body.get("action") == SetBalance.action else None
    return member


def store_answers(session: Session, delivery: Claimed, answers: Sequence[Inbound]) -> None:
    """Answers of a look-up re-enter through the inbox, and are replayed like any message."""
    columns = {"topic": "text", "key": "text", "headers": "jsonb", "body": "bytea", "hash": "bytea"}
    rows = [
        {
            "topic": answer.topic,
            "key": f"fetch:{delivery.id}:{delivery.token}:{number}",
            "headers": kept_headers(answer.headers),
            "body": answer.body,
            "hash": hashlib.sha256(answer.body).digest(),
        }
        for number, answer in enumerate(answers)
    ]
    if rows:
        run(
            session,
            f"""INSERT INTO deliveries (program_id, channel_id, direction, topic, key, subject, source, headers,
                                        body, body_hash)
                SELECT :program, :channel, 'inbound', r.topic, r.key, :subject, 'fetch', r.headers, r.body, r.hash
                FROM {unnest(columns)} ON CONFLICT DO NOTHING""",
            {
                **arrays(columns, rows),
                "program": delivery.program_id,
                "channel": delivery.channel_id,
                "subject": delivery.subject,
            },
        )


def _carry_out(connector: Connector, order: Order) -> tuple[list[Inbound], Receipt | None]:
    if isinstance(order, NotNeeded):
        return [], None
    if isinstance(order, Lookup):
        return connector.fetch(order), None
    return [], connector.push(order)


def _balance(connector: Connector, found: Standing | None) -> Order:
    if found is None:
        return NotNeeded("no_account")
    if not _is_known(connector, SetBalance.action, found.customer):
        return NotNeeded("not_a_customer_of_this_channel")
    return SetBalance(found.customer, found.points, found.available, found.pending, found.as_of)


def code_order(session: Session, channel: Channel, connector: Connector, voucher_id: str) -> Order:
    """The code's desired state in this channel, from the voucher's: live here or nowhere else."""
    voucher = run(
        session,
        """SELECT v.*, r.reward_terms, vc.state AS here, vc.external_id
           FROM vouchers v JOIN redemptions r ON r.id = v.redemption_id
           LEFT JOIN voucher_channels vc ON vc.voucher_id = v.id AND vc.channel_id = :channel
           WHERE v.public_id = :voucher AND v.program_id = :program""",
        {"voucher": voucher_id, "channel": channel.id, "program": channel.program_id},
    )[0]
    if voucher.state in WORKING:
        return _create(session, channel, connector, voucher)
    if voucher.state in IN_USE and _used_here(session, voucher.id, channel.id):
        return NotNeeded("used_here")
    if voucher.here in {None, "revoked"}:
        return NotNeeded("not_here")
    return RevokeCode(voucher.code, voucher.public_id, voucher.external_id)


def _used_here(session: Session, voucher_id: int, channel_id: int) -> bool:
    return bool(
        run(
            session,
            """SELECT 1 FROM voucher_uses u JOIN transactions t ON t.id = u.transaction_id
               WHERE u.voucher_id = :voucher AND u.present AND t.channel_id = :channel LIMIT 1""",
            {"voucher": voucher_id, "channel": channel_id},
        )
    )


def _create(session: Session, channel: Channel, connector: Connector, voucher: Any) -> Order:
    terms = voucher.reward_terms
    wanted = set(terms.get("channels") or ())
    nothing = _nothing_for_shops(terms)
    if nothing is not None:
        return nothing
    if wanted and not wanted & {channel.kind, channel.public_id}:
        return NotNeeded("not_for_this_channel")
    if not _has_amounts(terms, channel.currency):
        return NotNeeded("no_amount_in_this_currency")
    customer = balances.customers(session, channel.id, [voucher.member_id])[voucher.member_id]
    if not _is_known(connector, CreateCode.action, customer):
        return NotNeeded("not_a_customer_of_this_channel")
    order = _code_of(channel, voucher, terms, customer)
    if not order.features <= connector.code_features:
        return NotNeeded("terms_unknown_to_this_channel")
    return order


def _nothing_for_shops(terms: Mapping[str, Any]) -> NotNeeded | None:
    """A reward that no checkout takes off."""
    if terms.get("perk"):
        return NotNeeded("handed_over_by_staff")
    return NotNeeded("collected_at_the_hub") if terms.get("gift_card") else None


def _has_amounts(terms: Mapping[str, Any], currency: str) -> bool:
    """Whether everything that the reward says in money is said in this currency."""
    if terms["percent"] is None and not terms.get("free_shipping") and currency not in terms["amounts"]:
        return False
    return all(currency in terms[name] for name in ("most", "minimum") if terms.get(name))


def _code_of(
    channel: Channel, voucher: Any, terms: Mapping[str, Any], customer: CustomerKey
) -> CreateCode:
    amount = terms["amounts"].get(channel.currency)
    least, most = (terms.get(name, {}).get(channel.currency) for name in ("minimum", "most"))
    in_money = any(value is not None for value in (amount, least, most))
    return CreateCode(
        code=voucher.code,
        voucher_id=voucher.public_id,
        title=terms["name"],
        customer=customer,
        starts_at=voucher.starts_at,
        expires_at=voucher.expires_at,
        amount=amount,
        currency=channel.currency if in_money else None,
        percent=terms["percent"],
        minimum_total=least,
        skus=tuple(terms.get("skus", ())),
        pieces=terms.get("pieces"),
        most=most,
        free_shipping=terms.get("free_shipping", False),
    )


def _is_known(connector: Connector, action: str, customer: CustomerKey) -> bool:
    needed = connector.needs.get(action)
    present = {
        None: True,
        IdentityKind.CUSTOMER: customer.external_id,
        IdentityKind.EMAIL: customer.email,
        IdentityKind.PHONE: customer.phone,
    }
    return bool(present.get(needed))


def _record_receipt(session: Session, delivery: Claimed, order: Order, receipt: Receipt) -> None:
    if isinstance(order, CreateCode | RevokeCode):
        state = "live" if isinstance(order, CreateCode) else "revoked"
        rows = run(
            session,
            """INSERT INTO voucher_channels AS vc (voucher_id, channel_id, state, external_id)
               SELECT id, :channel, :state, :external FROM vouchers WHERE public_id = :voucher
               ON CONFLICT (voucher_id, channel_id) DO UPDATE SET state = excluded.state,
                   external_id = coalesce(excluded.external_id, vc.external_id),
                   updated_at = clock_timestamp()
               RETURNING voucher_id, (SELECT v.state FROM vouchers v WHERE v.id = voucher_id) AS before""",
            {
                "channel": delivery.channel_id,
                "state": state,
                "external": receipt.external_id,
                "voucher": order.voucher_id,
            },
        )
        for row in rows:
            if (
                state == "live" and row.before == "planned"
            ):  # the first channel makes it one that can be used
                states.move(session, row.voucher_id, "made", ACTOR)


def _mark_failed(session: Session, delivery: Claimed) -> None:
    """A code that a channel refused is shown as failed there; it stays live elsewhere."""
    if delivery.subject.startswith("voucher:"):
        run(
            session,
            """UPDATE voucher_channels SET state = 'failed', updated_at = clock_timestamp()
               WHERE channel_id = :channel AND state = 'planned'
                 AND voucher_id = (SELECT id FROM vouchers WHERE public_id = :voucher)""",
            {"channel": delivery.channel_id, "voucher": delivery.subject.removeprefix("voucher:")},
        )


def _exchanges(connector: Connector | None) -> list[dict[str, Any]]:
    """What was asked and answered, as it is stored: without secrets, and without what names or reaches a person."""
    if connector is None or not connector.channel.http.exchanges:
        return []
    secrets = _secrets(connector)
    return [
        {
            "method": e.method,
            "url": masking.kept(e.url, secrets),
            "request": masking.kept(e.request, secrets),
            "status": e.status,
            "response": masking.kept(e.response, secrets),
            "milliseconds": e.milliseconds,
        }
        for e in connector.channel.http.exchanges
    ]


def _secrets(connector: Connector) -> list[str]:
    known, settings = connector.settings_schema().fields, connector.channel.settings
    return [
        value
        for name, value in settings.items()
        if name in known and known[name].metadata.get("secret") and isinstance(value, str)
    ]


def _since(started: float) -> int:
    return int((time.monotonic() - started) * 1000)
