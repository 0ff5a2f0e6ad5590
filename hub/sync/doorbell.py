"""Redis as a doorbell: a ring says "something may be due" and carries no data.

A fixed job id would stall (rq keeps the id of a finished job for its result's lifetime, and for a
year after a failure), so the id holds the second: one ring a second and queue is enough, a drain
goes on until nothing is due. When Redis is gone the sweeper drains (design, decision 1).
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from functools import cached_property

import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue
from rq.exceptions import DuplicateJobError

from hub.outbox.deliveries import Direction

log = structlog.get_logger()

QUEUE = "hub"
TIMEOUT = 0.1
_PAUSE = 0.05
"""Least time between two rings of one process for one direction (seconds)."""


def connect(url: str, timeout: float | None = TIMEOUT) -> redis.Redis:
    """A client that gives up quickly: nobody waits for a doorbell."""
    return redis.Redis.from_url(
        url, socket_timeout=timeout, socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 0)
    )


@dataclass
class Doorbell:
    """One process's button. Thread-safe."""

    url: str
    missed: int = 0
    """Rings that Redis did not take; the sweeper makes up for them."""
    _last: dict[Direction, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _asked: set[Direction] = field(default_factory=set)
    _wake: threading.Event = field(default_factory=threading.Event)
    _ringer: threading.Thread | None = None

    @cached_property
    def _queue(self) -> Queue:
        return Queue(QUEUE, connection=connect(self.url), serializer="json")

    def ring_soon(self, direction: Direction) -> None:
        """Ask for a drain from a thread of the bell's own: whoever answers a webhook does not wait
        for Redis, and a burst of messages is one ring."""
        with self._lock:
            self._asked.add(direction)
            if self._ringer is None:
                self._ringer = threading.Thread(target=self._ring_when_asked, daemon=True)
                self._ringer.start()
        self._wake.set()

    def _ring_when_asked(self) -> None:
        while self._wake.wait():
            self._wake.clear()
            with self._lock:
                asked, self._asked = self._asked, set()
            for direction in asked:
                self.ring(direction)
            time.sleep(_PAUSE)

    def ring(self, direction: Direction) -> bool:
        """Ask for a drain. Never raises and never waits longer than the time-out; False when Redis
        did not answer."""
        with self._lock:
            now = time.monotonic()
            if now - self._last.get(direction, 0.0) < _PAUSE:
                return True
            self._last[direction] = now
        try:
            self._queue.enqueue(
                "hub.worker.drain",
                direction,
                job_id=f"drain-{direction}-{int(time.time())}",
                unique=True,
                result_ttl=0,
                failure_ttl=60,
                job_timeout=-1,
            )
        except DuplicateJobError:
            return True
        except redis.RedisError:
            self.missed += 1
            return False
        return True
