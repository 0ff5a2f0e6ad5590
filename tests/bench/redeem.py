"""Redemptions at the till through the real web server, while workers post orders and tell a till of codes.

A request is a quote, a hold, a commit or a void: 200 a second are 67 redemptions a second from the question to
the code. An open loop: each request has its moment, and its time counts from that moment on, so that a slow
answer does not slow down the asking (no coordinated omission). Everything runs on one machine: who asks, the
web processes, two workers, the sweeper, the till that takes callbacks, and PostgreSQL, durable.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.queues import Queue

from hub.bulk import run
from hub.connect import add_channel
from hub.ledger import commands
from hub.ledger.commands import Command
from hub.ledger.verify import verify
from hub.outbox.channels import Channel
from hub.program import store
from hub.runtime import Runtime
from hub.settings import Settings
from hub.web import keys
from tests.bench import ingest, load, posting
from tests.bench.tills import MEMBERS, Measured, Tills, take_callbacks
from tests.people import add

RATE = 200
"""Requests a second."""
WITHIN = 50.0
"""Milliseconds in which 99 of 100 are to be answered."""
LADDER = (50, 100, 150, 200, 250, 300, 350, 400, 500, 600)
"""The paces that are tried, from `RATE` up or down, for the highest that is answered in time."""
ORDERS_PER_SECOND = 100
"""What the workers post meanwhile."""
WARM_UP = 4.0
"""Seconds that do not count: code is loaded, connections and accounts are opened."""


def measure(settings: Settings, runtime: Runtime, channel: Channel, seconds: int) -> dict[str, float]:
    """The percentiles at `RATE` and the highest pace that is answered in time. Fails when an answer is an
    error, a redemption or an order is missing, or the ledger does not verify."""
    key = _prepare(runtime, channel)
    with _callbacks() as port:
        _connect_till(runtime, channel, port)
        with _processes(settings):
            asked = {RATE: _at(settings, runtime, channel, key, RATE, seconds)}
            most = _highest(lambda rate: _at(settings, runtime, channel, key, rate, seconds), asked)
            _wait_until_posted(runtime)
    _check(runtime, sum(one.started for one in asked.values()))
    found = asked[RATE]
    return {
        "p50_ms": round(found.percentile(50), 1),
        "p99_ms": round(found.percentile(99), 1),
        "per_s": round(found.per_s),
        "most_per_s": most,
    }


def _highest(ask: Callable[[int], Measured], asked: dict[int, Measured]) -> int:
    """The highest pace of the ladder that is answered in time; 0: none is."""

    def fits(rate: int) -> bool:
        if rate not in asked:
            asked[rate] = ask(rate)
        return asked[rate].percentile(99) <= WITHIN

    if not fits(RATE):
        return next((rate for rate in reversed(LADDER) if rate < RATE and fits(rate)), 0)
    best = RATE
    for rate in LADDER:
        if rate > RATE:
            if not fits(rate):
                break
            best = rate
    return best


def _at(
    settings: Settings, runtime: Runtime, channel: Channel, key: str, rate: int, seconds: int
) -> Measured:
    """Ask at one pace, from a process of its own, while orders come in."""
    told: Queue[Measured] = multiprocessing.Queue()
    asking = multiprocessing.Process(
        target=_ask, args=(settings.port, key, rate, seconds + WARM_UP, told)
    )
    asking.start()
    ended = threading.Event()
    selling = threading.Thread(target=_sell, args=(runtime, channel, rate, ended))
    selling.start()
    try:
        return told.get(timeout=seconds + 120)
    finally:
        ended.set()
        selling.join()
        asking.join()


def _ask(port: int, key: str, rate: int, seconds: float, told: Queue[Measured]) -> None:
    told.put(Tills(port, key, rate, seconds, WARM_UP, f"bench{rate}").measure())


def _sell(runtime: Runtime, channel: Channel, rate: int, ended: threading.Event) -> None:
    """Orders, a tenth of a second's worth at a time; the sweeper rings for them."""
    part = 0
    while not ended.wait(0.1):
        part += 1
        posting.store(runtime, channel, ORDERS_PER_SECOND // 10, seed=1_000_000 + rate * 10_000 + part)


def _prepare(runtime: Runtime, channel: Channel) -> str:
    """Members with points, and a till's key; nothing that is left of what was measured before."""
    with runtime.sessions.begin() as session:
        run(session, "DELETE FROM deliveries WHERE direction = 'outbound'")
        for number in range(MEMBERS):
            name = f"mem_bench{number}"
            member = add(session, "members", public_id=name, program_id=channel.program_id, name=name)
            gift = Command(channel.program_id, member, name, "bench", runtime.chain_key)
            commands.adjust(session, gift, 1_000_000)
        program = store.by_id(session, channel.program_id)
        return keys.create(session, program, name="bench", scopes=["redeem"], actor="bench")[1]


def _connect_till(runtime: Runtime, channel: Channel, port: int) -> None:
    """A second channel, which is told of every code and balance, beside the one whose orders come in; what
    that one would be told goes nowhere."""
    with runtime.sessions.begin() as session:
        run(session, "UPDATE channels SET status = 'paused' WHERE id = :id", {"id": channel.id})
        add_channel(
            session,
            runtime,
            program_id=channel.program_id,
            kind="generic_pos",
            name="Told",
            settings={"webhook_secret": load.SECRET, "callback_url": f"http://127.0.0.1:{port}/"},
            actor="bench",
            allow_private=True,
        )


@contextmanager
def _callbacks() -> Iterator[int]:
    """A till that takes callbacks; its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as door:
        till = multiprocessing.Process(target=take_callbacks, args=(door,), daemon=True)
        till.start()
        try:
            yield door.getsockname()[1]
        finally:
            till.terminate()
            till.join()


@contextmanager
def _processes(settings: Settings) -> Iterator[None]:
    """What `hub up` runs, without its PostgreSQL and Valkey."""
    started = [ingest.start(settings), *(_hub(settings, name) for name in ("worker", "worker", "sweep"))]
    try:
        yield
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGTERM)
        for process in started:
            process.wait(timeout=30)


def _hub(settings: Settings, name: str) -> subprocess.Popen[bytes]:
    environment = os.environ | ingest.environment(settings)
    return subprocess.Popen([sys.executable, "-m", "hub", name], env=environment, start_new_session=True)


def _wait_until_posted(runtime: Runtime) -> None:
    """The workers had as much to do as was said only if they have done it."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        with runtime.sessions() as session:
            sql = "SELECT count(*) AS n FROM deliveries WHERE direction = 'inbound' AND state <> 'done'"
            if not run(session, sql)[0].n:
                return
        time.sleep(0.5)
    raise AssertionError("the workers did not post the orders that came in meanwhile")


def _check(runtime: Runtime, started: int) -> None:
    with runtime.sessions() as session:
        made = {
            row.state: row.n
            for row in run(session, "SELECT state, count(*) AS n FROM redemptions GROUP BY 1")
        }
        report = verify(session, runtime.chain_key)
        codes = run(session, "SELECT count(*) AS n FROM vouchers")[0].n
    assert sum(made.values()) == started, f"{made} for {started} that were held"
    assert made.get("held", 0) == 0, made
    assert codes == made.get("committed", 0), (codes, made)
    assert report.clean, report.findings
