"""A worker process: waits for rings and drains deliveries, in both directions."""

from __future__ import annotations

import ctypes
import gc
import threading
from functools import cache
from types import FrameType

import redis
import structlog
from rq import Queue, SimpleWorker

from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.outbox import deliveries
from hub.outbox.deliveries import Direction
from hub.runtime import Runtime
from hub.settings import Settings, load
from hub.sync import process, push
from hub.sync.doorbell import QUEUE, Doorbell, connect

log = structlog.get_logger()

_stopping = threading.Event()

SLICE = 20.0
PUSH_SLICE = 5.0
"""Longest drains of one ring (seconds): then the other direction gets its turn. Pushing waits for
shops, and orders must not wait for that."""


@cache
def _runtime() -> Runtime:
    """This process's runtime, made when the first job comes."""
    collect_seldom()
    return Runtime.start(_settings(), "worker")


def collect_seldom() -> None:
    """Look for reference cycles less often: a batch makes many objects and hardly a cycle, and looking
    through all of them each time was a tenth of the work (measured)."""
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


@cache
def _settings() -> Settings:
    return load()


def drain(direction: Direction) -> None:
    """The job behind a ring: drain until nothing is due; ring again when the slice was too short."""
    try:
        _drain(direction)
    finally:
        gc.collect()  # what a strange message left in cycles may be large
        _give_back()


def _give_back() -> None:
    """Return freed memory to the system, where the C library (glibc) can: after a few large messages it
    would keep what the largest batch needed for good, since it takes them for the usual size."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _drain(direction: Direction) -> None:
    runtime = _runtime()
    bell = Doorbell(runtime.settings.redis_url)
    if direction == "inbound":
        process.drain(runtime, seconds=SLICE, stopping=_stopping.is_set)
        with runtime.sessions() as session:
            if deliveries.is_any_due(session, "outbound"):
                bell.ring("outbound")
    else:
        push.drain(runtime, seconds=PUSH_SLICE, stopping=_stopping.is_set)
    with runtime.sessions() as session:
        more = deliveries.is_any_due(session, direction)
    if more:
        bell.ring(direction)


class _Worker(SimpleWorker):
    """Ends between two batches when it is told to: a drain may go on for long, and what it leaves is
    still due."""

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """The signal handler of a warm shutdown."""
        _stopping.set()
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT. One queue a process: with two, rq pops jobs in a way that loses
    them when the worker is killed at that moment. Raises `Refusal` when Redis does not answer; the
    sweeper does the work until it does."""
    connection = connect(settings.redis_url, timeout=None)
    queue = Queue(QUEUE, connection=connection, serializer="json")
    try:
        worker = _Worker([queue], connection=connection, serializer="json")
        worker.work(logging_level="WARNING", with_scheduler=False)
    except redis.RedisError as error:
        raise Refusal(
            _("Redis does not answer, the sweeper does the work meanwhile: {error}", error=error)
        ) from None
