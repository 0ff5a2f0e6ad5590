"""Webhooks in: verify, one durable INSERT, answer. Nothing is understood here (5 s are the limit).

Threads that arrive together share one transaction: the first one becomes the leader and commits
for all, so the disk is asked once (group commit took durable ingest from 1,850/s to 3,900/s). Then
the first of those who came meanwhile leads, or a steady stream would keep one waiting for ever.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from psycopg.errors import DeadlockDetected
from sqlalchemy import Connection, Row, event
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from hub.bulk import arrays, run, unnest
from hub.connector import Connector, Inbound, Reply, Verdict
from hub.db import AWAY
from hub.errors import BadSignature, Fault
from hub.ids import is_token
from hub.outbox import channels
from hub.outbox.channels import Channel
from hub.registry import UnknownConnector
from hub.runtime import Runtime
from hub.sync.doorbell import Doorbell

log = structlog.get_logger()

_CACHE_SECONDS = 5.0
_GROUP = 500
_GROUP_BYTES = 16 * 1024 * 1024
_WAIT_SECONDS = 8.0
_AGAIN = 3
"""How often a group is tried that met a worker on its way to the same rows, in another order."""
MAX_HEADERS = 60
MAX_HEADER_LENGTH = 2000
_NOT_KEPT = frozenset(
    {"authorization", "cookie", "proxy-authorization", "x-forwarded-for", "x-real-ip", "forwarded"}
)


class UnknownChannel(LookupError):
    """No channel has this address."""


class CannotStore(Exception):
    """The message is not on disk: the sender must try again."""


@dataclass(slots=True, eq=False)
class Message:
    """One verified message on its way to disk."""

    channel: Channel
    topic: str
    key: str
    headers: str
    body: bytes
    body_hash: bytes
    received_at: datetime
    source: str = "webhook"
    woken: threading.Event = field(default_factory=threading.Event)
    """Set when it was committed or refused, or when its thread is to lead."""
    leads: bool = False
    stored: bool = False
    error: Exception | None = None
    duplicate: bool = False


_ROW = {
    "program_id": "bigint",
    "channel_id": "bigint",
    "topic": "text",
    "key": "text",
    "headers": "jsonb",
    "body": "bytea",
    "body_hash": "bytea",
    "received_at": "timestamptz",
    "source": "text",
}


class Inbox:
    """The way in for one process: thread-safe, durable when `store` returns.

    Who finds nobody leading commits for all that wait, once, and hands the lead to the next one that
    waits: under a steady load nobody leads for long, and everybody is answered after two commits.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._lock = threading.Lock()
        self._pending: list[Message] = []
        self._led = False
        self._connection: Connection | None = None
        """The leader's, kept and in autocommit: one round trip a group. Each one more would have to
        wait for the interpreter, which a dozen other requests want too. It goes with its engine."""
        event.listen(runtime.engine, "engine_disposed", lambda _: self._disconnect())

    def store(self, message: Message) -> None:
        """Return once the message is committed. Raises `CannotStore`; the message may be stored all
        the same when the database was slow, and the sender's next try is then a repetition."""
        with self._lock:
            self._pending.append(message)
            message.leads, self._led = not self._led, True
        if not message.leads and not message.woken.wait(_WAIT_SECONDS):
            self._give_up(message)
        if message.leads:
            self._commit_pending()
        if not message.stored:
            raise CannotStore("the database refused, or did not answer in time") from message.error

    def _give_up(self, message: Message) -> None:
        """It waited too long: take it back, unless it leads now or is on its way to disk."""
        with self._lock:
            if not message.leads and message in self._pending:
                self._pending.remove(message)

    def _commit_pending(self) -> None:
        """Commit what waits, ourselves among it, then hand over."""
        with self._lock:
            group = self._next_group()
        try:
            self._commit(group)
        finally:
            with self._lock:
                self._led = bool(self._pending)
                if self._pending:
                    self._pending[0].leads = True
                    self._pending[0].woken.set()
            for message in group:
                message.woken.set()

    def _next_group(self) -> list[Message]:
        """The first of those who wait, as many as one statement carries well; at least one."""
        size, count = 0, 0
        for message in self._pending[:_GROUP]:
            size += len(message.body)
            if count and size > _GROUP_BYTES:
                break
            count += 1
        group, self._pending = self._pending[:count], self._pending[count:]
        return group

    def _commit(self, group: Sequence[Message]) -> None:
        """Commit a group; when something in it cannot be stored at all, each message by itself, so
        that one cannot fail its neighbours."""
        try:
            self._write(group)
        except AWAY as error:
            self._refuse(group, error)
        except (SQLAlchemyError, ValueError) as error:
            if len(group) == 1:
                self._refuse(group, error)
                return
            for message in group:
                self._commit([message])

    def _write(self, group: Sequence[Message]) -> None:
        """No message counts as stored unless its commit returned."""
        for attempt in range(1, _AGAIN + 1):
            kept = self._connection is not None
            try:
                with Session(self._connected()) as session:
                    insert(session, group)
            except OperationalError as error:
                self._disconnect()
                # a connection that was kept may have died with the database it was made to
                if attempt == _AGAIN or not (kept or isinstance(error.orig, DeadlockDetected)):
                    raise
            except BaseException:
                self._disconnect()
                raise
            else:
                for message in group:
                    message.stored = True
                return

    def _connected(self) -> Connection:
        if self._connection is None:
            engine = self.runtime.engine.execution_options(isolation_level="AUTOCOMMIT")
            self._connection = engine.connect()
        return self._connection

    def _disconnect(self) -> None:
        """After any error the connection may be dead, or in the middle of something."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    @staticmethod
    def _refuse(group: Sequence[Message], error: Exception) -> None:
        log.error("cannot store", messages=len(group), error=type(error).__name__)
        for message in group:
            message.error = error


def insert(session: Session, group: Sequence[Message]) -> None:
    """Insert messages. A repetition of a stored one is counted on it; the same key with another
    body is stored beside it and parked as a conflict: the first stands.

    Each statement is right by itself, so the caller may run them in autocommit: what a crash leaves
    undone was not acknowledged, and the sender's next try does it."""
    by_key: dict[tuple[int, str], list[Message]] = {}
    for message in group:
        by_key.setdefault((message.channel.id, message.key), []).append(message)
    stored = _upsert(session, [by_key[at][0] for at in sorted(by_key)])
    conflicting: list[tuple[Message, int]] = []
    for at in sorted(by_key):
        known, text = stored[at].id, bytes(stored[at].body_hash)
        by_key[at][0].duplicate = not stored[at].is_new
        repeated = [m for m in by_key[at][1:] if m.body_hash == text]
        for message in repeated:
            message.duplicate = True
        if repeated:
            _count(session, known, len(repeated))
        conflicting += [(m, known) for m in by_key[at] if m.body_hash != text]
    for message, known in conflicting:
        _park_conflict(session, message, known)


def _upsert(session: Session, messages: Sequence[Message]) -> dict[tuple[int, str], Row[Any]]:
    """Insert each, or count it on the row that has its key: (channel, key) -> that row."""
    rows = [
        {
            "program_id": m.channel.program_id,
            "channel_id": m.channel.id,
            "topic": m.topic,
            "key": m.key,
            "headers": m.headers,
            "body": m.body,
            "body_hash": m.body_hash,
            "received_at": m.received_at,
            "source": m.source,
        }
        for m in messages
    ]
    found = run(
        session,
        f"""INSERT INTO deliveries ({", ".join(_ROW)}, direction)
            SELECT {", ".join(f"r.{c}" for c in _ROW)}, 'inbound' FROM {unnest(_ROW)}
            ON CONFLICT (channel_id, direction, key) DO UPDATE SET
                duplicates = deliveries.duplicates + (deliveries.body_hash = excluded.body_hash)::int,
                last_duplicate_at = clock_timestamp()
            RETURNING id, channel_id, key, body_hash, (xmax = 0) AS is_new""",
        arrays(_ROW, rows),
    )
    return {(row.channel_id, row.key): row for row in found}


def _count(session: Session, delivery_id: int, times: int) -> None:
    run(
        session,
        """UPDATE deliveries SET duplicates = duplicates + :times, last_duplicate_at = clock_timestamp()
           WHERE id = :id""",
        {"times": times, "id": delivery_id},
    )


def _park_conflict(session: Session, message: Message, known: int) -> None:
    run(
        session,
        """INSERT INTO deliveries (program_id, channel_id, direction, topic, key, headers, body, body_hash,
                                   received_at, source, state, fault, code, detail, conflicts_with)
           VALUES (:program, :channel, 'inbound', :topic, :key, CAST(:headers AS jsonb), :body, :hash, :at,
                   :source, 'parked', 'channel', 'conflict',
                   'The channel sent another text under the key of a message we have; the first one stands.',
                   :known)
           ON CONFLICT (channel_id, direction, key) DO UPDATE
           SET duplicates = deliveries.duplicates + 1, last_duplicate_at = clock_timestamp()""",
        {
            "program": message.channel.program_id,
            "channel": message.channel.id,
            "topic": message.topic,
            "key": f"{message.key}#conflict:{message.body_hash.hex()}",
            "headers": message.headers,
            "body": message.body,
            "hash": message.body_hash,
            "at": message.received_at,
            "source": message.source,
            "known": known,
        },
    )


class Reception:
    """What answers webhooks: looks the channel up, verifies, stores, rings."""

    def __init__(self, runtime: Runtime, doorbell: Doorbell) -> None:
        self.runtime = runtime
        self.inbox = Inbox(runtime)
        self.doorbell = doorbell
        self._known: dict[str, tuple[float, Channel, Connector]] = {}

    def receive(self, token: str, headers: Mapping[str, str], body: bytes, url: str) -> Reply:
        """The answer to one webhook; header names are lower case.

        200 also for repetitions, unknown topics and conflicts: a platform must not be punished for
        what it cannot mend. 401 for a bad signature (kept in quarantine). Raises `UnknownChannel`
        and `CannotStore`.
        """
        channel, connector = self._channel(token)
        inbound = Inbound(connector.topic(headers, body), headers, body, self.runtime.clock(), url)
        try:
            try:
                verdict = connector.verify(inbound)
            except BadSignature:
                # its secret may have changed since it was looked up, and not every shop sends again
                self._known.pop(token, None)
                channel, connector = self._channel(token)
                verdict = connector.verify(inbound)
        except BadSignature as bad:
            return self._refuse(channel, inbound, bad)
        except Fault as fault:
            return Reply(503, fault.detail.encode(), {"retry-after": "60"})
        if verdict is Verdict.PING:
            self._count_ping(channel)
            return connector.reply(inbound, verdict) or Reply(200)
        self.inbox.store(message(channel, connector, inbound))
        self.doorbell.ring_soon("inbound")
        return connector.reply(inbound, verdict) or Reply(200)

    def _channel(self, token: str) -> tuple[Channel, Connector]:
        """The channel of an address, remembered for a few seconds: one query less a message."""
        if not is_token(token):
            raise UnknownChannel(token)
        known = self._known.get(token)
        now = time.monotonic()
        if known is not None and now - known[0] < _CACHE_SECONDS:
            return known[1], known[2]
        try:
            with self.runtime.sessions() as session:
                channel = channels.by_token(session, token)
        except SQLAlchemyError as error:
            raise CannotStore("the database did not answer") from error
        if channel is None or channel.status == "disconnected":
            self._known.pop(token, None)
            raise UnknownChannel(token)
        try:
            connector = channels.connector_of(self.runtime, channel)
        except UnknownConnector as error:
            raise CannotStore(str(error)) from error
        if len(self._known) > 10_000:
            self._known.clear()
        self._known[token] = (now, channel, connector)
        return channel, connector

    def _count_ping(self, channel: Channel) -> None:
        try:
            with self.runtime.sessions.begin() as session:
                run(session, "UPDATE channels SET pings = pings + 1 WHERE id = :id", {"id": channel.id})
        except SQLAlchemyError:
            log.warning("ping not counted", channel=channel.public_id)

    def _refuse(self, channel: Channel, inbound: Inbound, bad: BadSignature) -> Reply:
        try:
            with self.runtime.sessions.begin() as session:
                quarantine(session, self.runtime, channel, inbound, bad)
        except SQLAlchemyError:
            log.warning("quarantine not written", channel=channel.public_id)
        return Reply(401, b"bad signature")


def quarantine(
    session: Session, runtime: Runtime, channel: Channel, inbound: Inbound, bad: BadSignature
) -> None:
    """Keep what did not verify, bounded in rows, bytes and days: after a mistyped secret is put
    right, staff verify it again. It is never processed."""
    settings = runtime.settings
    if len(inbound.body) > settings.quarantine_bytes:
        return
    run(session, "SELECT pg_advisory_xact_lock(1, CAST(:id AS integer))", {"id": channel.id % 2**31})
    run(
        session,
        """INSERT INTO quarantine (program_id, channel_id, received_at, code, detail, headers, body)
           VALUES (:program, :channel, :at, :code, :detail, CAST(:headers AS jsonb), :body)""",
        {
            "program": channel.program_id,
            "channel": channel.id,
            "at": inbound.received_at,
            "code": bad.code,
            "detail": bad.detail,
            "headers": kept_headers(inbound.headers),
            "body": inbound.body,
        },
    )
    run(
        session,
        """DELETE FROM quarantine WHERE id IN (
               SELECT id FROM (SELECT id, received_at, row_number() OVER w AS n, sum(length(body)) OVER w AS bytes
                               FROM quarantine WHERE channel_id = :channel WINDOW w AS (ORDER BY id DESC)) q
               WHERE n > :rows OR bytes > :bytes OR received_at < clock_timestamp() - CAST(:age AS interval))""",
        {
            "channel": channel.id,
            "rows": settings.quarantine_rows,
            "bytes": settings.quarantine_bytes,
            "age": timedelta(days=settings.quarantine_days),
        },
    )


def kept_headers(headers: Mapping[str, str]) -> str:
    """The headers to store, as JSON: no credentials and addresses of the sender, bounded, and no
    character that PostgreSQL refuses."""
    kept = {}
    for name, value in list(headers.items())[:MAX_HEADERS]:
        if name not in _NOT_KEPT:
            plain = value[:MAX_HEADER_LENGTH].encode("utf-8", "replace").decode()
            kept[name[:100]] = plain.replace("\x00", "")
    return json.dumps(kept)


def message(
    channel: Channel, connector: Connector, inbound: Inbound, *, source: str = "webhook"
) -> Message:
    """A verified message as it is stored."""
    return Message(
        channel,
        inbound.topic[:200].replace("\x00", ""),
        connector.delivery_key(inbound)[:500].replace("\x00", ""),
        kept_headers(inbound.headers),
        inbound.body,
        hashlib.sha256(inbound.body).digest(),
        inbound.received_at,
        source,
    )
