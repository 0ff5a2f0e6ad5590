"""A hub in a box for tests: one program, real HTTP in front, work done when the test says so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from sqlalchemy import text
from werkzeug.serving import WSGIRequestHandler, make_server

from connectors.sandbox_kit import Running, Sandbox
from hub.connect import add_channel
from hub.ledger.verify import verify
from hub.outbox.channels import Channel
from hub.program import store
from hub.program.store import Program
from hub.runtime import Runtime
from hub.settings import Settings
from hub.sync import process, push
from tests.apps import an_app

START = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass
class Hub:
    """A running hub with one program."""

    runtime: Runtime
    program: Program
    address: Callable[[], str]
    """Where it answers; a `Front` begins to serve when it is asked."""

    @property
    def url(self) -> str:
        return self.address()

    def connect(self, sandbox: Sandbox, address: str, name: str = "") -> Channel:
        """Connect a running sandbox as a channel, both ways."""
        settings = sandbox.settings()
        channel = self.add_channel(sandbox.kind, settings, name or sandbox.kind)
        requests.post(
            f"{address}/_sandbox/connect", json={"webhook_url": self.webhook(channel)}, timeout=10
        )
        return channel

    def add_channel(self, kind: str, settings: Mapping[str, Any], name: str) -> Channel:
        with self.runtime.sessions.begin() as session:
            return add_channel(
                session,
                self.runtime,
                program_id=self.program.id,
                kind=kind,
                name=name,
                settings=settings,
                actor="test",
            )

    def webhook(self, channel: Channel) -> str:
        return f"{self.url}/webhooks/{channel.token}"

    def work(self, rounds: int = 6) -> None:
        """Process and push until nothing is due; what was delayed on purpose (balances, so that a
        burst becomes one push) is due at once, what is retried after a fault is not."""
        for _ in range(rounds):
            with self.runtime.sessions.begin() as session:
                session.execute(
                    text(
                        """UPDATE deliveries SET due_at = now() WHERE id IN (SELECT id FROM deliveries
                           WHERE state = 'due' AND code IS NULL FOR UPDATE SKIP LOCKED)"""
                    )
                )
            if process.drain(self.runtime) + push.drain(self.runtime) == 0:
                return

    def rows(self, statement: str, **parameters: Any) -> list[Any]:
        with self.runtime.sessions() as session:
            return list(session.execute(text(statement), parameters).all())

    def balance(self, **identity: str) -> int:
        """The balance of the member with that identity (kind=value)."""
        ((kind, value),) = identity.items()
        rows = self.rows(
            """SELECT a.balance FROM identities i JOIN members m ON m.id = i.member_id
               JOIN accounts a ON a.member_id = coalesce(m.alias_of, m.id)
               WHERE i.program_id = :program AND i.kind = :kind AND i.value = :value""",
            program=self.program.id, kind=kind, value=value,
        )  # fmt: skip
        return rows[0].balance if rows else 0

    def states(self, direction: str = "inbound") -> list[tuple[str, str | None, str | None]]:
        rows = self.rows(
            "SELECT state, outcome, coalesce(code, reason) AS why FROM deliveries WHERE direction = :d ORDER BY id",
            d=direction,
        )
        return [tuple(row) for row in rows]

    def assert_clean(self) -> None:
        with self.runtime.sessions() as session:
            report = verify(session, self.runtime.chain_key)
        assert report.clean, report.findings


@contextmanager
def running_hub(
    database_url: str,
    redis_url: str,
    data: Path,
    *,
    document: Mapping[str, Any] | None = None,
    currency: str = "VND",
    slug: str = "corner",
    time_zone: str = "Asia/Ho_Chi_Minh",
) -> Iterator[Hub]:
    """A hub on that database, served over HTTP from a thread as soon as somebody asks for its address."""
    settings = Settings(
        data=data,
        database_url=database_url,
        redis_url=redis_url,
        allow_private_hosts=("127.0.0.1", "localhost"),
    )
    runtime = Runtime.start(settings, "web")  # its pool has room for requests and work at once
    with runtime.sessions.begin() as session:
        program = store.create(
            session,
            slug=slug,
            name=slug.title(),
            currency=currency,
            time_zone=time_zone,
            region="VN",
            starts_at=START,
            document=document,
            actor="test",
        )
    try:
        with Front(runtime) as front:
            yield Hub(runtime, program, front.url)
    finally:
        runtime.engine.dispose()


@dataclass
class Answering:
    """How many requests a server is busy with: who asked has an answer before the connection to the database is
    given back."""

    busy: int = 0
    ended: bool = False
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @contextmanager
    def one(self) -> Iterator[bool]:
        """Answer a request; whether there still are answers."""
        with self._changed:
            answers = not self.ended
            self.busy += answers
        try:
            yield answers
        finally:
            with self._changed:
                self.busy -= answers
                self._changed.notify_all()

    def end(self) -> None:
        """Answer nothing from now on, and wait for what is being answered. A browser keeps its connections
        longer than the server listens; what it asks then would open connections to the database that
        nobody closes."""
        with self._changed:
            self.ended = True
            assert self._changed.wait_for(lambda: self.busy == 0, timeout=15), (
                "a request is not answered"
            )


@contextmanager
def served(app: Callable[..., Any]) -> Iterator[str]:
    """Serve an application from threads, at the address that is yielded."""
    answering = Answering()

    class Handler(WSGIRequestHandler):
        # not around the application: its iterator is not closed when a browser leaves in the middle
        def run_wsgi(self) -> None:
            with answering.one() as answers:
                if answers:
                    super().run_wsgi()
                else:
                    self.send_error(503)

    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
        answering.end()


@dataclass
class Front:
    """The web in a thread, from when its address is asked for; most tests never ask."""

    runtime: Runtime
    _served: str = ""
    _end: ExitStack = field(default_factory=ExitStack)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Front:
        return self

    def __exit__(self, *_failure: object) -> None:
        self._end.close()

    def url(self) -> str:
        with self._lock:
            self._served = self._served or self._end.enter_context(served(an_app(self.runtime)))
        return self._served


__all__ = ["Hub", "Running", "running_hub"]
