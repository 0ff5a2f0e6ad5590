"""Stored orders to points: two real worker processes, everything on."""

from __future__ import annotations

import hashlib
import multiprocessing
import time
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier

from hub.bulk import run
from hub.ledger.verify import verify
from hub.outbox.channels import Channel
from hub.runtime import Runtime
from hub.settings import Settings
from hub.sync import process
from hub.sync.receive import Message, insert
from hub.worker import collect_seldom
from tests.bench import load

WORKERS = 2
WARM_UP = 2000
"""Orders posted first, so that members exist and code is warm."""


def measure(settings: Settings, runtime: Runtime, channel: Channel, orders: int) -> float:
    """Orders posted a second; fails when one is missing or the ledger does not verify."""
    store(runtime, channel, WARM_UP, seed=1)
    _post(settings)
    store(runtime, channel, orders, seed=2)
    elapsed = _post(settings)
    with runtime.sessions() as session:
        done = run(session, "SELECT count(*) AS n FROM entries")[0].n
        report = verify(session, runtime.chain_key)
    assert done == orders + WARM_UP, f"{done} entries for {orders + WARM_UP} orders"
    assert report.clean, report.findings
    return orders / elapsed


def store(runtime: Runtime, channel: Channel, count: int, *, seed: int) -> None:
    """Put orders into the inbox."""
    messages = [
        Message(
            channel,
            "hub.sale/1",
            f"{seed}-{n}",
            '{"content-type": "application/json"}',
            body,
            hashlib.sha256(body).digest(),
            datetime.now(UTC),
        )
        for n, body in enumerate(load.bodies(count, seed=seed))
    ]
    for start in range(0, count, 500):
        with runtime.sessions.begin() as session:
            insert(session, messages[start : start + 500])


def _post(settings: Settings) -> float:
    """Seconds that the workers need for all that is due."""
    ready = multiprocessing.Barrier(WORKERS + 1)
    workers = [multiprocessing.Process(target=_work, args=(settings, ready)) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    ready.wait(timeout=60)
    started = time.monotonic()
    for worker in workers:
        worker.join()
    return time.monotonic() - started


def _work(settings: Settings, ready: Barrier) -> None:
    collect_seldom()
    runtime = Runtime.start(settings, "worker")
    _ = runtime.chain_key
    ready.wait(timeout=60)
    process.drain(runtime, seconds=600)
