"""Redemptions at 200 a second through the real web server, while workers post orders: how long a till waits.

An open loop: each request has its moment, and its time counts from that moment on, so that a slow answer
does not slow down the asking (no coordinated omission).
"""

from __future__ import annotations

import http.client
import json
import multiprocessing
import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.queues import Queue

from hub.bulk import run
from hub.ledger import commands
from hub.ledger.commands import Command
from hub.ledger.verify import verify
from hub.outbox.channels import Channel
from hub.program import store
from hub.runtime import Runtime
from hub.settings import Settings
from hub.web import keys
from tests.bench import ingest, posting
from tests.people import add

RATE = 200
CONNECTIONS = 32
MEMBERS = 500
ORDERS_PER_SECOND = 100
"""What the workers post meanwhile."""
WARM_UP = 2.0
"""Seconds that do not count: code is loaded, connections and accounts are opened."""


@dataclass(frozen=True)
class Measured:
    """Milliseconds from the moment a request was due until its answer, and redemptions a second."""

    p50: float
    p99: float
    per_s: float


def measure(settings: Settings, runtime: Runtime, channel: Channel, seconds: int) -> Measured:
    """Fails when an answer is no 201, a redemption is missing, or the ledger does not verify."""
    key = _prepare(runtime, channel)
    server = ingest.start(settings)
    workers = [_worker(settings) for _ in range(2)]
    try:
        told: Queue[tuple[list[float], float]] = multiprocessing.Queue()
        till = multiprocessing.Process(target=_till, args=(settings.port, key, seconds, told))
        till.start()
        orders = 0
        for second in range(seconds):
            posting.store(runtime, channel, ORDERS_PER_SECOND, seed=1000 + second)
            orders += ORDERS_PER_SECOND
            time.sleep(1)
        waits, elapsed = told.get(timeout=120)
        till.join()
    finally:
        for process in (server, *workers):
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=30)
    with runtime.sessions() as session:
        made = run(session, "SELECT count(*) AS n FROM redemptions")[0].n
        report = verify(session, runtime.chain_key)
    assert made == RATE * seconds, f"{made} redemptions for {RATE * seconds} requests"
    assert report.clean, report.findings
    cuts = statistics.quantiles(waits, n=100)
    return Measured(cuts[49], cuts[98], len(waits) / elapsed)


def _prepare(runtime: Runtime, channel: Channel) -> str:
    """Members with points, and a till's key."""
    with runtime.sessions.begin() as session:
        for number in range(MEMBERS):
            name = f"mem_bench{number}"
            member = add(session, "members", public_id=name, program_id=channel.program_id, name=name)
            gift = Command(channel.program_id, member, name, "bench", runtime.chain_key)
            commands.adjust(session, gift, 1_000_000)
        program = store.by_id(session, channel.program_id)
        return keys.create(session, program, name="bench", scopes=["redeem"], actor="bench")[1]


def _worker(settings: Settings) -> subprocess.Popen[bytes]:
    environment = os.environ | ingest.environment(settings)
    return subprocess.Popen(
        [sys.executable, "-m", "hub", "worker"], env=environment, start_new_session=True
    )


def _till(port: int, key: str, seconds: int, told: Queue[tuple[list[float], float]]) -> None:
    """Ask `RATE` times a second over keep-alive connections, each in a thread of its own."""
    started = time.monotonic() + 0.5
    found: list[Sequence[float]] = [()] * CONNECTIONS
    count = RATE * seconds

    def ask(place: int) -> None:
        found[place] = _ask(port, key, started, range(place, count, CONNECTIONS))

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.monotonic() - started - WARM_UP
    told.put(([wait for waits in found for wait in waits], elapsed))


def _ask(port: int, key: str, started: float, numbers: range) -> list[float]:
    """Milliseconds of each request after the warm-up, from the moment it was due."""
    connection, chance = (
        http.client.HTTPConnection("127.0.0.1", port, timeout=60),
        random.Random(numbers[0]),
    )
    waits = []
    for number in numbers:
        due = started + number / RATE
        time.sleep(max(0.0, due - time.monotonic()))
        wish = {"member": f"mem_bench{chance.randrange(MEMBERS)}", "points": 10, "bill": 500_000}
        connection.request(
            "POST", "/api/v1/redemptions", json.dumps(wish),
            {"Authorization": f"Bearer {key}", "Content-Type": "application/json",
             "Idempotency-Key": f"bench-{number}"},
        )  # fmt: skip
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 201, body
        if due - started >= WARM_UP:
            waits.append((time.monotonic() - due) * 1000)
    return waits
