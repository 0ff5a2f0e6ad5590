"""Reading recent orders again that hold points: what some platforms change leaves no trace among their changes.

A refund that was deleted may move no time and send nothing; an order deleted for good is a 404, and nothing else
(rules.md A6). So orders of the last month that earned are read again in turn, each about once a day, a hundred in a
call; what is as it was is dropped, and what does not come is fetched alone, so that a 404 proves it gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TypeGuard

from hub.bulk import run
from hub.canonical import Deleted, Happening, Sale, Thin
from hub.connector import Connector, Inbound
from hub.errors import ChannelDown, Fault
from hub.outbox import channels, circuit, connections, deliveries
from hub.outbox.channels import Channel
from hub.outbox.deliveries import Push
from hub.runtime import Runtime
from hub.sync import receive
from hub.sync.known import Memory
from hub.sync.reconcile import SOURCE

AT_ONCE = 100
RECENT = timedelta(days=30)
ROUND = timedelta(hours=24)
"""How often every such order is read again."""
BETWEEN = timedelta(seconds=30)
"""Between two hundreds of one round."""
RETRY = timedelta(minutes=15)


def can(connector: type[Connector]) -> bool:
    """Whether channels of this kind change orders without a trace and can be read again."""
    return "reread" in connector.capabilities()


def reread(runtime: Runtime, channel: Channel) -> int:
    """Read the next hundred orders of this round again; returns how many had changed or are gone."""
    with runtime.sessions.begin() as session:
        connections.ensure(session, channel.id)
        kept = connections.of_channel(session, channel.id)
        after = kept.reread_after if kept else 0
        rows = run(
            session,
            """SELECT id, external_id FROM transactions
               WHERE channel_id = :channel AND program_id = :program AND id > :after AND points > 0
                 AND coalesce(placed_at, created_at) > :recent
               ORDER BY id LIMIT :limit""",
            {
                "channel": channel.id, "program": channel.program_id, "after": after,
                "recent": runtime.clock() - RECENT, "limit": AT_ONCE,
            },
        )  # fmt: skip
    last = rows[-1].id if len(rows) == AT_ONCE else 0
    changed, wait = 0, ROUND if last == 0 else BETWEEN
    if rows:
        try:
            changed = _read(runtime, channel, [row.external_id for row in rows])
        except Fault as fault:
            last, wait = after, RETRY
            _note_fault(runtime, channel, fault)
    with runtime.sessions.begin() as session:
        run(
            session,
            "UPDATE connections SET reread_at = :next, reread_after = :after WHERE channel_id = :id",
            {"id": channel.id, "next": runtime.clock() + wait, "after": last},
        )
    return changed


def _read(runtime: Runtime, channel: Channel, ids: Sequence[str]) -> int:
    connector = channels.connector_of(runtime, channel)
    came = list(connector.reread(ids))
    told = [connector.normalise(inbound) for inbound in came]
    there = {h.external_id for hs in told for h in hs if _is_of_a_sale(h)}
    kind = type(connector)
    with runtime.sessions.begin() as session:
        memory = Memory(session, channel, channels.traits(kind), [h for hs in told for h in hs])
        news = [inbound for inbound, hs in zip(came, told, strict=True) if not memory.has(hs)]
        receive.insert(session, [_message(channel, connector, inbound) for inbound in news])
        missing = [i for i in ids if i not in there]
        deliveries.enqueue(session, [_fetch(channel, i) for i in missing])
    return len(news) + len(missing)


def _is_of_a_sale(said: Happening) -> TypeGuard[Sale | Thin | Deleted]:
    """Whole, as a hint at what it is now, or gone as the channel itself says."""
    return isinstance(said, Sale) or (isinstance(said, Thin | Deleted) and said.what == "sale")


def _message(channel: Channel, connector: Connector, inbound: Inbound) -> receive.Message:
    """What was read again and differs is news at this moment, whatever came before it."""
    made = receive.message(channel, connector, inbound, source=SOURCE)
    made.key = f"{made.key[:460]}@{inbound.received_at.isoformat()}"
    return made


def _fetch(channel: Channel, external_id: str) -> Push:
    return Push(
        channel.program_id, channel.id, topic="fetch.sale", key=f"fetch:sale:{external_id}",
        subject=f"sale:{external_id}", priority=deliveries.LATER,
        body={"what": "sale", "external_id": external_id},
    )  # fmt: skip


def _note_fault(runtime: Runtime, channel: Channel, fault: Fault) -> None:
    if isinstance(fault, ChannelDown):
        with runtime.sessions.begin() as session:
            circuit.trip(session, channel.id, fault, runtime.clock())
