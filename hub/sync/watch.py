"""Watching connections: subscriptions that are gone or switched off are put right, and what is wrong is told.

The hub puts right what it made itself: it subscribes only after somebody had it do so (`install`). Where a person
subscribed by hand it only looks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from hub import alerts
from hub.audit import record
from hub.bulk import run
from hub.connector import Connector, Health, Inbound, Installed
from hub.errors import Fault
from hub.outbox import channels, connections
from hub.outbox.channels import Channel
from hub.runtime import Runtime

log = structlog.get_logger()

ACTOR = "hub:watch"
EVERY = timedelta(hours=1)
AFTER_MENDING = timedelta(minutes=5)
"""When what was put right is looked at again: a shop may keep the failures of a webhook in mind that is switched on
again, so that the next one switches it off at once."""
RETRY = timedelta(minutes=15)
"""When a channel that is not well is looked at again."""
ILL, MENDED, DRIFT = "channel_ill", "channel_mended", "channel_drift"
"""Kinds of alerts; the subject is the channel's id."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What a look at a connection showed."""

    health: Health
    did: Installed = field(default_factory=Installed)
    drift: Health | None = None


def can(connector: type[Connector]) -> bool:
    """Whether channels of this kind can be looked at."""
    return bool({"health", "install"} & connector.capabilities())


def install(runtime: Runtime, channel: Channel, *, actor: str) -> Installed:
    """Subscribe to everything the hub needs, now and from now on whenever something of it is gone. Raises a
    `Fault`; no transaction is open while the channel is talked to."""
    did = channels.connector_of(runtime, channel).install()
    now = runtime.clock()
    with runtime.sessions.begin() as session:
        connections.ensure(session, channel.id)
        run(
            session,
            """UPDATE connections SET installed_at = coalesce(installed_at, :now), watch_at = :now
               WHERE channel_id = :id""",
            {"id": channel.id, "now": now},
        )
        detail = {"made": list(did.made), "mended": list(did.mended)}
        record(session, channel.program_id, actor, "channel.installed", channel.public_id, detail)
    return did


def watch(runtime: Runtime, channel: Channel) -> Watched:
    """Look at a connection, put right what the hub had made, and tell what a person should know. Does not
    raise for a fault of the channel: that is what it shows."""
    with runtime.sessions.begin() as session:
        connections.ensure(session, channel.id)
        kept = connections.of_channel(session, channel.id)
        latest = _latest(session, channel)
    connector = channels.connector_of(runtime, channel)
    seen = _look(connector, mends=kept is not None and kept.installed_at is not None, latest=latest)
    was = (kept.watch_ok, kept.watch_code) if kept else (None, None)
    with runtime.sessions.begin() as session:
        _note(session, channel, seen, was, runtime.clock())
    return seen


def _look(connector: Connector, *, mends: bool, latest: Inbound | None) -> Watched:
    able = connector.capabilities()
    did, drift = Installed(), None
    try:
        if latest is not None and "drift" in able:
            drift = connector.drift(latest)
        if mends and "install" in able:
            did = connector.install()
        health = connector.health() if "health" in able else Health(True, "ok", "")
    except Fault as fault:
        health = _ill(fault)
    return Watched(health, did, drift)


def _ill(fault: Fault) -> Health:
    return Health(False, fault.code, fault.detail)


def _latest(session: Session, channel: Channel) -> Inbound | None:
    """The last message that the channel sent by itself; its headers tell what it is by now."""
    rows = run(
        session,
        """SELECT topic, headers, received_at FROM (
               SELECT channel_id, direction, source, topic, headers, received_at FROM deliveries
               WHERE program_id = :program ORDER BY id DESC LIMIT 1000) d
           WHERE channel_id = :id AND direction = 'inbound' AND source = 'webhook' LIMIT 1""",
        {"id": channel.id, "program": channel.program_id},
    )
    return Inbound(rows[0].topic, rows[0].headers, b"", rows[0].received_at) if rows else None


def _note(
    session: Session, channel: Channel, seen: Watched, was: tuple[bool | None, str | None], now: datetime
) -> None:
    """What was seen, and what of it is news: what a person has looked at, and is as it was, is not told again."""
    health, did = seen.health, seen.did
    put_right = [*did.made, *did.mended]
    wait = AFTER_MENDING if put_right else EVERY if health.ok else RETRY
    run(
        session,
        """UPDATE connections SET watched_at = :now, watch_at = :next, watch_ok = :ok, watch_code = :code,
               watch_detail = :detail, mended = mended + :mended,
               mended_at = CASE WHEN :mended > 0 THEN :now ELSE mended_at END WHERE channel_id = :id""",
        {
            "id": channel.id, "now": now, "next": now + wait, "ok": health.ok,
            "code": health.code, "detail": health.detail[:500], "mended": len(put_right),
        },
    )  # fmt: skip
    program, subject = channel.program_id, channel.public_id
    if put_right:
        log.warning("subscriptions put right", channel=subject, topics=put_right)
        detail = {"channel": channel.name, "topics": put_right[:20], "switched_off": len(did.mended)}
        alerts.tell(session, program, MENDED, subject, detail, now)
        record(session, program, ACTOR, "channel.mended", subject, {"topics": put_right[:20]})
    if health.ok:
        alerts.settle_all(session, program, ILL, subject, actor=ACTOR, now=now)
    elif was != (False, health.code):
        log.warning(
            "a connection is not well", channel=subject, code=health.code, why=health.detail[:300]
        )
        alerts.tell(session, program, ILL, subject, _detail(channel, health), now)
    if seen.drift is None:
        alerts.settle_all(session, program, DRIFT, subject, actor=ACTOR, now=now)
    elif alerts.last_told(session, program, DRIFT, subject) != _detail(channel, seen.drift):
        alerts.tell(session, program, DRIFT, subject, _detail(channel, seen.drift), now)


def _detail(channel: Channel, what: Health) -> dict[str, str]:
    return {"channel": channel.name, "kind": channel.kind, "code": what.code, "why": what.detail[:300]}
