"""A worker process: waits for rings and drains deliveries, in both directions."""

from __future__ import annotations

from functools import cache

import structlog
from rq import Queue, SimpleWorker

from hub.outbox import deliveries
from hub.outbox.deliveries import Direction
from hub.runtime import Runtime
from hub.settings import Settings, load
from hub.sync import process, push
from hub.sync.doorbell import QUEUE, Doorbell, connect

log = structlog.get_logger()

SLICE = 20.0
"""Longest drain of one ring (seconds): then the other direction gets its turn."""


@cache
def _runtime() -> Runtime:
    """This process's runtime, made when the first job comes."""
    return Runtime.start(_settings(), "worker")


@cache
def _settings() -> Settings:
    return load()


def drain(direction: Direction) -> None:
    """The job behind a ring: drain until nothing is due; ring again when the slice was too short."""
    runtime = _runtime()
    bell = Doorbell(runtime.settings.redis_url)
    if direction == "inbound":
        process.drain(runtime, seconds=SLICE)
        with runtime.sessions() as session:
            if deliveries.is_any_due(session, "outbound"):
                bell.ring("outbound")
    else:
        push.drain(runtime, seconds=SLICE)
    with runtime.sessions() as session:
        more = deliveries.is_any_due(session, direction)
    if more:
        bell.ring(direction)


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT. One queue a process: with two, rq pops jobs in a way that loses
    them when the worker is killed at that moment."""
    connection = connect(settings.redis_url, timeout=None)
    queue = Queue(QUEUE, connection=connection, serializer="json")
    worker = SimpleWorker([queue], connection=connection, serializer="json")
    worker.work(logging_level="WARNING", with_scheduler=False)
