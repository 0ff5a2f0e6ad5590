"""What replaying deliveries would change, found by doing it: the very path of the first time, in
small transactions that are always rolled back. Nothing is sent to anybody.

A rehearsal holds the locks of one small batch for as long as that takes, waits for nobody's lock
for long, and touches no inbound delivery's row: senders and workers go on. What does not fit into
its time is not rehearsed, and whoever words the result says "about".
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from itertools import groupby
from typing import Any, Literal

import structlog
from sqlalchemy import Row
from sqlalchemy.orm import Session

from hub.bulk import run
from hub.connector import CreateCode, Lookup, RevokeCode, SetBalance
from hub.db import AWAY
from hub.errors import Fault
from hub.ledger.accounts import RootChanged
from hub.members.resolve import Collision
from hub.outbox import channels
from hub.outbox.channels import Channel
from hub.outbox.deliveries import Claimed, Finish
from hub.registry import UnknownConnector
from hub.runtime import Runtime
from hub.sync import push
from hub.sync.again import rolled_back
from hub.sync.process import Batch
from hub.sync.push import NotNeeded, Order
from hub.sync.understand import Understood
from hub.transactions.post import Key, Transaction

log = structlog.get_logger()

MOST = 1000
"""So many are rehearsed at most; of more, so many that are spread evenly over all."""
SECONDS = 3.0
"""How long a rehearsal may take."""
_BATCH = 50
_BATCH_BYTES = 8 * 1024 * 1024
_MOST_BYTES = 32 * 1024 * 1024
"""Messages of one sale that are larger than this together are not rehearsed."""
_TRIES = 3

Kind = Literal["changes", "passes", "right", "waits", "fails", "left_alone", "unsure"]
"""`changes`: points move, or something is sent. `passes`: what is stuck now goes through without
points. `right`: nothing changes. `left_alone`: it is due by itself, or being worked on. `unsure`: it
was not rehearsed."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Points that would move on one member's account."""

    member: str
    """`mem_...`; of a member who does not exist yet a phone, an e-mail, a card: each batch makes
    them anew, under another id."""
    points: int
    transaction: int | None
    is_new: bool


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would become of one delivery."""

    kind: Kind
    points: int = 0
    member: str | None = None
    """`mem_...` whose points move; None when it is a member who does not exist yet."""
    moves: tuple[tuple[str | None, int], ...] = ()
    """Where several members' points move: each with theirs; `points` is then their sum."""
    what: str | None = None
    """For outbound ones what is sent: create_code, revoke_code, set_balance, fetch."""
    about: str | None = None
    """The code, the balance, what is looked up."""
    outcome: str | None = None
    reason: str | None = None
    fault: str | None = None
    code: str | None = None
    detail: str | None = None
    until: str | None = None
    """When its channel is tried again (ISO 8601); outbound ones wait for that."""

    def as_json(self) -> dict[str, Any]:
        """Only what is said."""
        return {name: value for name, value in asdict(self).items() if value not in (None, 0, "", ())}


@dataclass(slots=True)
class Rehearsal:
    """What came out, a forecast a delivery."""

    forecasts: dict[int, Forecast] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)

    def moves(self) -> dict[str, int]:
        """Member -> points that would come or go, taken together."""
        moved: dict[str, int] = defaultdict(int)
        for effect in self.effects:
            moved[effect.member] += effect.points
        return {member: points for member, points in moved.items() if points}

    def summary(self) -> dict[str, Any]:
        """Counts and sums, for one sentence. `of`: how many the numbers speak of."""
        kinds = Counter(f.kind for f in self.forecasts.values())
        moves = self.moves()
        gains = {m: n for m, n in moves.items() if n > 0}
        losses = {m: n for m, n in moves.items() if n < 0}
        sent = Counter(f.what for f in self.forecasts.values() if f.kind == "changes" and f.what)
        return {
            "total": len(self.forecasts),
            "of": len(self.forecasts) - kinds["unsure"],
            **{kind: kinds[kind] for kind in ("changes", "passes", "right", "waits", "fails")},
            "left_alone": kinds["left_alone"],
            "given": sum(gains.values()),
            "given_to": len(gains),
            "taken": -sum(losses.values()),
            "taken_from": len(losses),
            "new_members": len({e.member for e in self.effects if e.is_new}),
            "sent": dict(sorted(sent.items())),
            "reasons": self._reasons(),
        }

    def _reasons(self) -> list[dict[str, Any]]:
        """Why, for those that would fail, wait or pass: most frequent first."""
        why: Counter[tuple[str, str, str | None, str | None]] = Counter()
        details: dict[tuple[str, str | None], str | None] = {}
        for f in self.forecasts.values():
            code = f.code or f.reason or f.outcome
            if f.kind in ("fails", "waits", "passes") and code:
                why[f.kind, code, f.fault, f.until] += 1
                details.setdefault((f.kind, code), f.detail)
        return [
            {"kind": k, "code": c, "fault": fault, "until": until, "count": n, "detail": details[k, c]}
            for (k, c, fault, until), n in why.most_common(20)
        ]


def rehearse(
    runtime: Runtime, program_id: int, ids: Sequence[int], *, most: int = MOST, seconds: float = SECONDS
) -> Rehearsal:
    """Rehearse a replay of these deliveries of a program; nothing is changed."""
    ends = time.monotonic() + seconds
    chosen = _spread(sorted(set(ids)), most)
    rehearsal = Rehearsal({i: Forecast("unsure") for i in sorted(set(ids))})
    with runtime.sessions() as session:
        rows = _heads(session, program_id, chosen)
    for row in rows:
        if row.busy:
            rehearsal.forecasts[row.id] = Forecast("left_alone")
    _outbound(
        runtime,
        program_id,
        [r for r in rows if r.direction == "outbound" and not r.busy],
        rehearsal,
        ends,
    )
    inbound = [r for r in rows if r.direction == "inbound" and not r.busy]
    states = {r.id: r.state for r in inbound}
    for batch in _batches(runtime, program_id, inbound, ends):
        if time.monotonic() > ends:
            break
        _inbound(runtime, program_id, batch, states, rehearsal)
    return rehearsal


def _spread(ids: Sequence[int], most: int) -> list[int]:
    if len(ids) <= most:
        return list(ids)
    return [ids[n * len(ids) // most] for n in range(most)]


_HEADS = """
SELECT id, direction, channel_id, state, length(body) AS bytes,
       state = 'working' OR (state = 'due' AND (due_at <= clock_timestamp() OR code IS NULL)) AS busy
FROM deliveries WHERE program_id = :program AND id = ANY(:ids) ORDER BY id
"""
_ROWS = """
SELECT id, program_id, channel_id, topic, key, subject, source, headers, body, body_hash, received_at,
       1 AS attempts, generation, 0 AS token, priority
FROM deliveries WHERE program_id = :program AND id = ANY(:ids) ORDER BY id
"""


def _heads(session: Session, program_id: int, ids: Sequence[int]) -> Sequence[Row[Any]]:
    return run(session, _HEADS, {"program": program_id, "ids": list(ids)})


def _load(session: Session, program_id: int, ids: Sequence[int]) -> list[Claimed]:
    rows = run(session, _ROWS, {"program": program_id, "ids": list(ids)})
    return [Claimed(**row._mapping) for row in rows]


# --- inbound -------------------------------------------------------------------------------------


def _batches(
    runtime: Runtime, program_id: int, rows: Sequence[Row[Any]], ends: float
) -> Iterator[list[int]]:
    """The deliveries in small batches; all about one sale stand in one, or its points would be
    counted once for each."""
    sized = {row.id: row.bytes for row in rows}
    about = _sales(runtime, program_id, rows, ends)
    ordered = sorted(sized, key=lambda i: (about.get(i, ""), i))
    batch: list[int] = []
    for sale, its in groupby(ordered, key=lambda i: about.get(i, "")):
        together = list(its)
        units = [together] if sale else [[i] for i in together]
        for unit in units:
            size = sum(sized[i] for i in [*batch, *unit])
            if sum(sized[i] for i in unit) > _MOST_BYTES:
                continue
            if batch and (len(batch) + len(unit) > _BATCH or size > _BATCH_BYTES):
                yield batch
                batch = []
            batch = [*batch, *unit]
    if batch:
        yield batch


def _sales(runtime: Runtime, program_id: int, rows: Sequence[Row[Any]], ends: float) -> dict[int, str]:
    """Which sale each is about, as its connector understands it now."""
    found: dict[int, str] = {}
    for ids in _parts({row.id: row.bytes for row in rows}):
        if time.monotonic() > ends:
            break
        with runtime.sessions() as session:
            part = _load(session, program_id, ids)
            for understood in _understood(runtime, session, program_id, part):
                for channel_id, external_id in understood.keys[:1]:
                    found[understood.delivery.id] = f"{channel_id}:{external_id}"
    return found


def _parts(sized: Mapping[int, int]) -> Iterator[list[int]]:
    """Ids, a few at a time, and no more than fit into memory: one body has up to 10 MB."""
    part: list[int] = []
    for delivery_id, size in sized.items():
        if part and (len(part) == _BATCH or sum(sized[i] for i in part) + size > _BATCH_BYTES):
            yield part
            part = []
        part.append(delivery_id)
    if part:
        yield part


def _understood(
    runtime: Runtime, session: Session, program_id: int, part: Sequence[Claimed]
) -> Sequence[Understood]:
    try:
        return Batch.read(runtime, session, program_id, part).understood
    except Exception as error:
        # one that cannot even be read is found out when it is carried out
        log.warning("a delivery to be rehearsed could not be read", exc_info=error)
        return []


def _inbound(
    runtime: Runtime,
    program_id: int,
    ids: Sequence[int],
    states: Mapping[int, str],
    rehearsal: Rehearsal,
) -> None:
    """One batch; what raises is halved until it stands alone, as when it is processed."""
    try:
        finishes, effects = rolled_back(
            runtime,
            lambda session: _carry_out(runtime, session, program_id, ids),
            times=_TRIES,
            seconds=3,
        )
    except (Collision, RootChanged, *AWAY):
        return  # somebody else works on the same: not rehearsed
    except Exception as error:
        # processing parks what raises; the rehearsal says so
        if len(ids) > 1:
            middle = len(ids) // 2
            _inbound(runtime, program_id, ids[:middle], states, rehearsal)
            _inbound(runtime, program_id, ids[middle:], states, rehearsal)
            return
        log.warning("a rehearsed delivery raised", delivery=ids[0], exc_info=error)
        rehearsal.forecasts[ids[0]] = Forecast(
            "fails", fault="hub", code="unexpected", detail=type(error).__name__
        )
        return
    rehearsal.effects += effects
    for finish, its in finishes:
        mine = [e for e in effects if e.transaction in its]
        rehearsal.forecasts[finish.delivery.id] = _forecast(finish, states, mine)


def _carry_out(
    runtime: Runtime, session: Session, program_id: int, ids: Sequence[int]
) -> tuple[list[tuple[Finish, set[int]]], list[Effect]]:
    last = run(
        session,
        """SELECT (SELECT coalesce(max(id), 0) FROM entries) AS last,
                  (SELECT coalesce(max(id), 0) FROM members) AS last_member""",
    )[0]
    batch = Batch.read(runtime, session, program_id, _load(session, program_id, ids))
    finishes, transactions = batch.rehearse(session)
    about = {u.delivery.id: _ids(u.keys, transactions) for u in batch.understood}
    effects = _effects(session, program_id, dict(last._mapping))
    return [(f, about[f.delivery.id]) for f in finishes], _with_uses(effects, transactions)


def _with_uses(effects: Sequence[Effect], transactions: Mapping[Key, Transaction]) -> list[Effect]:
    """What a code's further use costs is an entry of its voucher, not of a sale: it is told with the
    sale of the batch that carries a code."""
    coded = next((t.id for t in transactions.values() if t.sale is not None and t.sale.codes), None)
    return [replace(e, transaction=coded) if e.transaction is None else e for e in effects]


def _ids(keys: Sequence[Key], transactions: Mapping[Key, Transaction]) -> set[int]:
    return {transactions[key].id for key in keys if key in transactions}


def _effects(session: Session, program_id: int, last: Mapping[str, Any]) -> list[Effect]:
    """The entries this transaction wrote, by the member whose balance each moves: a sale that goes from
    one to another takes from the first in the second's name. Expiry that was due anyhow is none of its
    doing."""
    rows = run(session, _EFFECTS, {**last, "program": program_id, "expiry": "hub:expiry"})
    return [Effect(**row._mapping) for row in rows]


_EFFECTS = """
SELECT CASE WHEN m.is_new THEN coalesce((SELECT min(concat_ws(':', i.kind, i.scope, i.value)) FROM identities i
                                         WHERE i.member_id = m.id), m.public_id)
            ELSE m.public_id END AS member, e.amount AS points, e.transaction_id AS transaction, m.is_new
FROM entries e JOIN (SELECT id, public_id, xmin = CAST(pg_current_xact_id() AS xid) AND id > :last_member AS is_new
                     FROM members) m
  ON m.id = (SELECT a.member_id FROM accounts a WHERE a.id = e.account_id)
WHERE e.id > :last AND e.program_id = :program AND e.actor <> :expiry
  AND e.xmin = CAST(pg_current_xact_id() AS xid)
"""


def _forecast(finish: Finish, states: Mapping[int, str], effects: Sequence[Effect]) -> Forecast:
    now = states[finish.delivery.id]
    if finish.code:
        return Forecast("fails", fault=finish.fault, code=finish.code, detail=finish.detail)
    if finish.state == "waiting":
        kind: Kind = "right" if now == "waiting" else "waits"
        return Forecast(kind, outcome="waiting", reason=finish.reason)
    if effects:
        return _moving(finish, effects)
    return Forecast(_unchanged(now), outcome=finish.outcome, reason=finish.reason)


def _moving(finish: Finish, effects: Sequence[Effect]) -> Forecast:
    moved: dict[str | None, int] = defaultdict(int)
    for effect in effects:
        moved[None if effect.is_new else effect.member] += effect.points
    several = {m: n for m, n in moved.items() if n} if len(moved) > 1 else {}
    return Forecast(
        "changes",
        sum(moved.values()),
        next(iter(moved)) if len(moved) == 1 else None,
        tuple(several.items()),
        outcome=finish.outcome,
        reason=finish.reason,
    )


def _unchanged(state: str) -> Kind:
    return "right" if state == "done" else "passes"


# --- outbound ------------------------------------------------------------------------------------


def _outbound(
    runtime: Runtime, program_id: int, rows: Sequence[Row[Any]], rehearsal: Rehearsal, ends: float
) -> None:
    """What would be sent, from the state of now; nothing is."""
    states = {r.id: r.state for r in rows}
    for start in range(0, len(rows), _BATCH):
        part = rows[start : start + _BATCH]
        if time.monotonic() > ends:
            return
        with runtime.sessions() as session:
            known = channels.by_ids(session, {r.channel_id for r in part})
            closed = _closed(session, sorted(known), runtime.clock())
            for delivery in _load(session, program_id, [r.id for r in part]):
                channel = known[delivery.channel_id]
                forecast = decided(session, runtime, channel, delivery)
                if forecast.kind == "right":
                    forecast = replace(forecast, kind=_unchanged(states[delivery.id]))
                if forecast.kind == "changes" and channel.id in closed:
                    forecast = closed[channel.id]
                rehearsal.forecasts[delivery.id] = forecast


def _closed(session: Session, ids: Sequence[int], now: datetime) -> dict[int, Forecast]:
    """Channels that nothing is pushed to now, and until when."""
    found = {}
    for row in run(
        session,
        "SELECT id, status, down_until, down_code FROM channels WHERE id = ANY(:ids)",
        {"ids": list(ids)},
    ):
        if row.status != "active":
            found[row.id] = Forecast("waits", reason=f"channel_{row.status}")
        elif row.down_until is not None and row.down_until > now:
            found[row.id] = Forecast("waits", reason="channel_down", until=row.down_until.isoformat())
    return found


def sent_now(session: Session, runtime: Runtime, channel: Channel, delivery_id: int) -> Forecast:
    """What one outbound delivery would send, if it were sent now. Nothing is."""
    (delivery,) = _load(session, channel.program_id, [delivery_id])
    return decided(session, runtime, channel, delivery)


def decided(session: Session, runtime: Runtime, channel: Channel, delivery: Claimed) -> Forecast:
    """The push that follows from the state of now."""
    try:
        connector = channels.connector_of(runtime, channel)
        order = push.decide(session, runtime, channel, connector, delivery)
    except Fault as fault:
        return Forecast("fails", fault=fault.fault, code=fault.code, detail=fault.detail)
    except UnknownConnector as error:
        return Forecast("fails", fault="merchant", code="no_connector", detail=str(error))
    except Exception as error:  # noqa: BLE001 - a push that raises fails; the rehearsal says so
        return Forecast("fails", fault="hub", code="unexpected", detail=type(error).__name__)
    if isinstance(order, CreateCode) and _is_there(session, channel, order):
        return Forecast("right", outcome="no_change", reason="already_so")
    return _ordered(order)


def _is_there(session: Session, channel: Channel, order: CreateCode) -> bool:
    """Whether the channel has taken this code before: making it again changes nothing there."""
    found = run(
        session,
        """SELECT 1 FROM voucher_channels vc JOIN vouchers v ON v.id = vc.voucher_id
           WHERE v.public_id = :voucher AND vc.channel_id = :channel AND vc.state = 'live'""",
        {"voucher": order.voucher_id, "channel": channel.id},
    )
    return bool(found)


def _ordered(order: Order) -> Forecast:
    match order:
        case NotNeeded():
            return Forecast("right", outcome="no_change", reason=order.reason)
        case Lookup():
            return Forecast("changes", what="fetch", about=f"{order.what} {order.external_id}")
        case CreateCode() | RevokeCode():
            return Forecast("changes", what=order.action, about=order.code)
        case SetBalance():
            return Forecast("changes", what=order.action, about=str(order.points))
