"""kill -9 of `hub up` itself, again and again, at a moment when a worker below it holds a lease."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import text

from hub import embedded
from hub.connect import add_channel
from hub.ledger.verify import verify
from hub.program import store
from hub.runtime import Runtime
from hub.settings import Settings
from tests.faults.test_kill import DOCUMENT, WORKING, Till
from tests.hubs import START
from tests.pace import paced
from tests.signed import SETTINGS
from tests.ups import Up, a_home, a_hub, free_port, wait_for

KILLS = paced(1, 5)
SENDERS = 3


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small batches under short leases, so that there is always one to be caught with."""
    for name, value in (("LEASE_SECONDS", "5"), ("SWEEP_SECONDS", "0.5"), ("BATCH_SIZE", "20")):
        monkeypatch.setenv(f"HUB_{name}", value)


@pytest.mark.slow
def test_a_killed_supervisor_loses_nothing_and_the_next_one_takes_over() -> None:
    with a_home() as home:
        port, kills, senders = free_port(), 0, []
        with a_hub(home, port) as first:
            runtime, url = _ground(home, port)
            till = Till(url, threading.Event())
            senders = [threading.Thread(target=till.run, args=(n,)) for n in range(SENDERS)]
            for sender in senders:
                sender.start()
            _strike(first, runtime)
            kills += 1
        while kills < KILLS:
            with a_hub(home, port) as up:
                _strike(up, runtime)
                kills += 1
        with a_hub(home, port):
            time.sleep(2)
            till.stop.set()
            for sender in senders:
                sender.join()
            wait_for(lambda: not _rows(runtime, _UNFINISHED), seconds=60)
            lost = _rows(runtime, "SELECT coalesce(sum(lost), 0) AS n FROM deliveries")[0].n
            print(
                f"{kills} supervisors killed, {lost} leases taken over, {len(till.acknowledged)} orders"
            )
            assert lost > 0
            _assert_posted_once(runtime, till.acknowledged)
        runtime.engine.dispose()


def _strike(up: Up, runtime: Runtime) -> None:
    """Freeze the workers when they hold a lease, then kill the supervisor; empty Redis behind it."""
    ends = time.monotonic() + 30
    while True:
        workers = up.children("worker")
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        if workers and _rows(runtime, WORKING):
            break
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        assert time.monotonic() < ends, up.log()[-3000:]
        time.sleep(0.02)
    up.process.kill()
    up.process.communicate()
    wait_for(lambda: up.children() == [], seconds=5)
    with redis.Redis.from_url(runtime.settings.redis_url) as client:
        client.flushall()


def _ground(home: Path, port: int) -> tuple[Runtime, str]:
    servers = embedded.start(home / "data")  # adopts those of the running hub
    given = Settings(data=home / "data", database_url=servers.database_url, redis_url=servers.redis_url)
    runtime = Runtime.start(replace(given, sources={}))
    with runtime.sessions.begin() as session:
        program = store.create(
            session, slug="corner", name="Corner", currency="VND", time_zone="UTC", region="VN",
            starts_at=START, document=DOCUMENT, actor="test",
        )  # fmt: skip
        channel = add_channel(
            session, runtime, program_id=program.id, kind="generic_pos", name="Till",
            settings=SETTINGS["generic_pos"], actor="test",
        )  # fmt: skip
    return runtime, f"http://127.0.0.1:{port}/webhooks/{channel.token}"


_UNFINISHED = "SELECT 1 FROM deliveries WHERE direction = 'inbound' AND state <> 'done' LIMIT 1"


def _rows(runtime: Runtime, statement: str) -> list[Any]:
    with runtime.sessions() as session:
        return list(session.execute(text(statement)).all())


def _assert_posted_once(runtime: Runtime, acknowledged: set[str]) -> None:
    stored = {
        row.key for row in _rows(runtime, "SELECT key FROM deliveries WHERE direction = 'inbound'")
    }
    assert acknowledged <= stored
    counts = _rows(
        runtime,
        """SELECT t.external_id, count(e.id) AS n FROM transactions t
           LEFT JOIN entries e ON e.transaction_id = t.id GROUP BY 1""",
    )
    assert {row.external_id for row in counts} == {f"sale-{key}" for key in stored}
    assert {row.n for row in counts} == {1}
    with runtime.sessions() as session:
        report = verify(session, runtime.chain_key)
    assert report.clean, report.findings
