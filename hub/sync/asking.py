"""Tending connections beside the rounds of the sweeper: a few threads, each with one channel at a time.

Asking waits for shops. Neither the sweeper nor a worker may wait for them: orders that came are not held up by a
shop that does not answer, nor is one shop by another.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog
from sqlalchemy.exc import SQLAlchemyError

from hub.db import AWAY
from hub.outbox import channels, connections
from hub.outbox.channels import Channel
from hub.registry import UnknownConnector
from hub.runtime import Runtime
from hub.secrets import SecretsError
from hub.sync import reconcile, reread, watch

log = structlog.get_logger()

AT_ONCE = 4
ENSURE_SECONDS = 30.0


class Asker:
    """One process's tending. `once` never waits for a shop."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._busy: dict[int, threading.Thread] = {}
        self._ensured_at: float | None = None

    def once(self) -> None:
        """Begin what is due, as far as there are hands."""
        self._busy = {i: thread for i, thread in self._busy.items() if thread.is_alive()}
        with self.runtime.sessions.begin() as session:
            if self._ensured_at is None:
                connections.look_at_all(session, self.runtime.clock())
            if self._ensured_at is None or time.monotonic() - self._ensured_at > ENSURE_SECONDS:
                connections.ensure(session)
                self._ensured_at = time.monotonic()
            due = connections.due(session, self.runtime.clock())
        for channel_id in due:
            if len(self._busy) >= AT_ONCE:
                return
            if channel_id not in self._busy:
                thread = threading.Thread(
                    target=tend_quietly, args=(self.runtime, channel_id), daemon=True
                )
                self._busy[channel_id] = thread
                thread.start()

    def wait(self, seconds: float = 30.0) -> None:
        """Until what was begun has ended, for tests and for the end of a process."""
        ends = time.monotonic() + seconds
        for thread in self._busy.values():
            thread.join(max(0.0, ends - time.monotonic()))


def tend_quietly(runtime: Runtime, channel_id: int) -> None:
    """`tend` in a thread: what it cannot do now it does at another time."""
    try:
        tend(runtime, channel_id)
    except reconcile.AlreadyAsked:
        return
    except reconcile.Overtaken:
        log.warning("another process asks by now", channel=channel_id)
    except (SQLAlchemyError, *AWAY, UnknownConnector, SecretsError) as error:
        log.warning("not tended now", channel=channel_id, error=type(error).__name__)
        _later(runtime, channel_id)
    except Exception as error:
        # the one place for a failure of ours while asking: other channels are asked all the same
        log.error("tending a connection failed", channel=channel_id, exc_info=error)
        _later(runtime, channel_id)


def tend(runtime: Runtime, channel_id: int) -> None:
    """Do what is due for one channel. Looking comes first: where subscriptions were gone, asking then brings
    what they would have sent."""
    with runtime.sessions() as session:
        channel = channels.by_ids(session, [channel_id])[channel_id]
        kept = connections.of_channel(session, channel_id)
    if kept is None:
        return
    kind = runtime.connector_class(channel.kind)
    now = runtime.clock()
    if kept.watch_at <= now:
        _or_never(runtime, channel, watch.can(kind), "watch_at", lambda: watch.watch(runtime, channel))
    if kept.ask_at <= now:
        _or_never(
            runtime, channel, reconcile.can(kind), "ask_at",
            lambda: reconcile.reconcile(runtime, channel),
        )  # fmt: skip
    if kept.reread_at <= now:
        _or_never(
            runtime,
            channel,
            reread.can(kind),
            "reread_at",
            lambda: reread.reread(runtime, channel),
        )


def _or_never(
    runtime: Runtime,
    channel: Channel,
    able: bool,
    column: str,
    act: Callable[[], object],
) -> None:
    """Do it, or, where channels of this kind cannot, look again in a week (a connector may learn it)."""
    if able:
        act()
        return
    with runtime.sessions.begin() as session:
        connections.put_off(session, channel.id, column)


def _later(runtime: Runtime, channel_id: int) -> None:
    try:
        with runtime.sessions.begin() as session:
            connections.put_off_all(session, channel_id, runtime.clock())
    except SQLAlchemyError:
        log.warning("the database is away; tended later", channel=channel_id)
