"""Asking a channel what it changed: into the same inbox as its messages, from where the last time ended.

A platform may lose a message, send none for hours, or stop for good without a word; what it changed it can still
be asked for. A page is stored and the place in the channel's changes moved on in one transaction, so whoever is
killed in the middle has lost nothing, and the next one goes on there. What is known already is not stored again
(rules.md A7): most of it came by webhook.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice

import structlog
from sqlalchemy.orm import Session

from hub.bulk import run
from hub.canonical import Happening, Sale
from hub.connector import Connector, Inbound, Lease
from hub.errors import ChannelDown, Fault
from hub.outbox import channels, circuit, connections
from hub.outbox.channels import Channel
from hub.outbox.connections import Connection
from hub.runtime import Runtime
from hub.sync import receive
from hub.sync.known import Memory

log = structlog.get_logger()

SOURCE = "poll"
PAGE = 100
LEASE_SECONDS = 180.0
"""Longer than any page takes (a call has 30 s); prolonged with each page."""
OVERLAP = timedelta(minutes=10)
"""How far before the last change each round begins: a change is seen in a list some time after the moment it
bears, where a long transaction of the shop ends late, or its search lags."""
WIDE = timedelta(hours=26)
WIDE_EVERY = timedelta(hours=24)
"""Once a day everything of more than a day is looked through again."""
LATE = timedelta(minutes=5)
"""News that is older than this when it is found was missed: its message would have come."""
RETRY = timedelta(minutes=5)
_LONGEST_RETRY = timedelta(hours=6)


class AlreadyAsked(Exception):
    """Somebody else is asking this channel at this moment."""


class Overtaken(Exception):
    """The lease ran out and another process asks by now; nothing of this page was written."""


@dataclass(frozen=True, slots=True)
class Found:
    """What asking has brought so far."""

    since: datetime
    upto: datetime | None = None
    """The last change that is stored."""
    seen: int = 0
    found: int = 0
    """News: stored as messages of their own."""
    missed: int = 0
    """News that was older than a message takes."""
    fault: Fault | None = None
    """Why it ended early; it goes on from `upto`."""


def can(connector: type[Connector]) -> bool:
    """Whether channels of this kind can be asked for what changed."""
    return "reconcile" in connector.capabilities()


def reconcile(
    runtime: Runtime,
    channel: Channel,
    *,
    since: datetime | None = None,
    progress: Callable[[Found], None] = lambda _: None,
) -> Found:
    """Ask for everything that changed since the last time, or since that moment. `progress` is told after
    each page. Raises `AlreadyAsked`; a fault of the channel is in the answer, and noted on its row."""
    holder = f"{runtime.name}:{secrets.token_hex(4)}"
    name = f"channel:{channel.id}:reconcile"
    lease = channels.take_lease(runtime, name, LEASE_SECONDS, holder)
    if lease is None:
        raise AlreadyAsked
    asking = _Round(runtime, channel, holder, lease, progress)
    try:
        return asking.run(since)
    finally:
        channels.free_lease(runtime, asking.lease)


@dataclass
class _Round:
    """One round of asking one channel, under its lease."""

    runtime: Runtime
    channel: Channel
    holder: str
    lease: Lease
    progress: Callable[[Found], None]

    def run(self, wished: datetime | None) -> Found:
        with self.runtime.sessions.begin() as session:
            connections.ensure(session, self.channel.id)
            kept = connections.of_channel(session, self.channel.id)
        if kept is None:  # it was disconnected meanwhile
            return Found(wished or self.runtime.clock())
        now, connected = self.runtime.clock(), self._connected_at()
        looked_back = kept.looked_back_at or connected
        wide = wished is None and kept.upto is not None and looked_back <= now - WIDE_EVERY
        found = Found(wished or _start(kept, connected, now, wide=wide))
        try:
            for one in self._pages(found):
                found = one
        except Fault as fault:
            found = replace(found, fault=fault)
        self._end(kept, found, wide=wide)
        return found

    def _connected_at(self) -> datetime:
        with self.runtime.sessions() as session:
            sql = "SELECT created_at FROM channels WHERE id = :id"
            at: datetime = run(session, sql, {"id": self.channel.id})[0].created_at
        return at

    def _pages(self, found: Found) -> Iterator[Found]:
        """Page by page, each stored before the next is asked for. A fault in the middle of a page ends it
        there: what had come is stored."""
        connector = channels.connector_of(self.runtime, self.channel)
        broken: list[Fault] = []
        for page in _by_page(_until_fault(connector.reconcile(found.since), broken)):
            connector.channel.http.exchanges.clear()
            found = self._store(connector, page, found)
            self.progress(found)
            yield found
        if broken:
            raise broken[0]

    def _store(self, connector: Connector, page: Sequence[Inbound], found: Found) -> Found:
        told = [_happenings(connector, inbound) for inbound in page]
        kind = type(connector)
        now = self.runtime.clock()
        self._prolong()
        with self.runtime.sessions.begin() as session:
            memory = Memory(session, self.channel, channels.traits(kind), [h for hs in told for h in hs])
            news = [
                (inbound, happenings)
                for inbound, happenings in zip(page, told, strict=True)
                if not memory.has(happenings)
            ]
            messages = [receive.message(self.channel, connector, one, source=SOURCE) for one, _ in news]
            self._tell_apart(session, news, messages)
            receive.insert(session, messages)
            fresh = [inbound for (inbound, _), m in zip(news, messages, strict=True) if not m.duplicate]
            late = sum(1 for inbound in fresh if inbound.changed_at and inbound.changed_at < now - LATE)
            times = [inbound.changed_at for inbound in page if inbound.changed_at]
            found = replace(
                found,
                upto=max([*times, *([found.upto] if found.upto else [])], default=None),
                seen=found.seen + len(page),
                found=found.found + len(fresh),
                missed=found.missed + late,
            )
            if not self._advance(session, found.upto):
                session.rollback()
                raise Overtaken
        return found

    def _tell_apart(
        self,
        session: Session,
        news: Sequence[tuple[Inbound, Sequence[Happening]]],
        messages: Sequence[receive.Message],
    ) -> None:
        """What was processed once and is not the winner any more has become true again (rules.md A7: content
        can return): then it is another message, told apart by when it was read."""
        rows = run(
            session,
            """SELECT key FROM deliveries WHERE channel_id = :channel AND direction = 'inbound'
               AND key = ANY(:keys) AND state = 'done' AND outcome <> 'ignored'""",
            {"channel": self.channel.id, "keys": [message.key for message in messages]},
        )
        done = {row.key for row in rows}
        for (inbound, happenings), message in zip(news, messages, strict=True):
            if message.key in done and any(isinstance(h, Sale) for h in happenings):
                message.key = f"{message.key[:460]}@{inbound.received_at.isoformat()}"

    def _prolong(self) -> None:
        """Keep the lease for the next page. Raises `Overtaken` when another had it meanwhile: its token has
        moved, whoever holds it now."""
        held = channels.take_lease(self.runtime, self.lease.name, LEASE_SECONDS, self.holder)
        before, self.lease = self.lease, held or self.lease
        if held is None or held.token != before.token:
            raise Overtaken

    def _advance(self, session: Session, upto: datetime | None) -> bool:
        """Move the place on, unless a younger lease has written meanwhile."""
        return bool(
            run(
                session,
                """UPDATE connections SET fence = :token, upto = greatest(upto, :upto)
                   WHERE channel_id = :id AND fence <= :token RETURNING 1""",
                {"id": self.channel.id, "token": self.lease.token, "upto": upto},
            )
        )

    def _end(self, kept: Connection, found: Found, *, wide: bool) -> None:
        """Note how it went, and when it is done again."""
        now = self.runtime.clock()
        fault = found.fault
        failures = kept.ask_failures + 1 if fault else 0
        with self.runtime.sessions.begin() as session:
            if isinstance(fault, ChannelDown):
                circuit.trip(session, self.channel.id, fault, now)
            elif fault is None:
                circuit.close(session, self.channel.id)
            run(
                session,
                """UPDATE connections SET
                       ask_at = :next, asked_at = coalesce(:done, asked_at),
                       looked_back_at = coalesce(:looked_back, looked_back_at),
                       seen = seen + :seen, found = found + :found, missed = missed + :missed,
                       last_seen = :seen, last_found = :found, last_missed = :missed,
                       ask_failures = :failures, ask_code = :code, ask_detail = :detail
                   WHERE channel_id = :id AND fence <= :token""",
                {
                    "id": self.channel.id,
                    "token": self.lease.token,
                    "next": self._next(now, fault, failures),
                    "done": None if fault else now,
                    "looked_back": now if wide and fault is None else None,
                    "seen": found.seen,
                    "found": found.found,
                    "missed": found.missed,
                    "failures": failures,
                    "code": fault.code if fault else None,
                    "detail": fault.detail[:500] if fault else None,
                },
            )

    def _next(self, now: datetime, fault: Fault | None, failures: int) -> datetime:
        every = timedelta(minutes=self.runtime.settings.reconcile_minutes)
        if fault is None:
            return now + every
        wait = min(RETRY * int(2 ** min(failures - 1, 8)), max(_LONGEST_RETRY, every))
        asked = fault.retry_at if isinstance(fault, ChannelDown) else None
        return max(now + wait, asked) if asked else now + wait


def _start(kept: Connection, connected: datetime, now: datetime, *, wide: bool) -> datetime:
    """Where a round begins: before the last change that is stored; at first when the channel was connected."""
    if kept.upto is None:
        return connected - OVERLAP
    back = min(kept.upto, now) - OVERLAP
    return min(back, now - WIDE) if wide else back


def _by_page(messages: Iterator[Inbound]) -> Iterator[list[Inbound]]:
    while page := list(islice(messages, PAGE)):
        yield page


def _until_fault(messages: Iterator[Inbound], broken: list[Fault]) -> Iterator[Inbound]:
    try:
        yield from messages
    except Fault as fault:
        broken.append(fault)


def _happenings(connector: Connector, inbound: Inbound) -> Sequence[Happening]:
    """What it says; one that cannot be understood is news, and fails where everybody sees it."""
    try:
        return connector.normalise(inbound)
    except Fault:
        return ()
