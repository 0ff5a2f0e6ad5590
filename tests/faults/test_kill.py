"""kill -9 of every kind of process, again and again, while orders come in and Redis is emptied.

How it is raced: threads send signed orders to a real `hub web` and, like any till, try each again
until it is acknowledged; meanwhile a seeded killer picks a kind of process, waits until it holds a
lease (deliveries being worked on, the sweeper's row) and kills it at that very moment.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random

import pytest
import redis
import requests
from rq import Queue

from hub import migrate
from hub.sync.doorbell import QUEUE, Doorbell, connect
from tests.crew import Crew, a_crew
from tests.forked import pid_of
from tests.pace import paced
from tests.servers import own_servers
from tests.signed import SETTINGS, headers, till_sale
from tests.ups import wait_for

SEED = 20261123
SECONDS = paced(10.0, 60.0)
KILLS = paced(6, 30)
LEAST_OF_EACH = paced(1, 5)
SENDERS = 3
DOCUMENT = {"earn": {"points": 1, "per": {"VND": "10000"}}}
WORKING = "SELECT 1 FROM deliveries WHERE state = 'working' LIMIT 1"
SWEEPING = "SELECT 1 FROM leases WHERE name = 'sweeper' AND until > clock_timestamp()"


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    """A hub on servers of its own, durable like an operator's."""
    with own_servers(durable=True) as servers:
        migrate.upgrade(servers.database_url)
        with a_crew(
            servers.database_url,
            servers.redis_url,
            tmp_path,
            document=DOCUMENT,
            lease_seconds=5,
            sweep_seconds=0.5,
            batch_size=20,
        ) as crew:
            yield crew


@dataclass
class Till:
    """Sends orders until it is told to stop; remembers what was acknowledged."""

    url: str
    stop: threading.Event
    acknowledged: set[str] = field(default_factory=set)
    refused: Counter[object] = field(default_factory=Counter)

    def run(self, name: int) -> None:
        number = 0
        while not self.stop.is_set():
            number += 1
            self._deliver(f"{name}-{number}", f"09{name}{number % 40:07d}")

    def _deliver(self, key: str, phone: str) -> None:
        """One order, tried again until a 2xx came, or the day is over."""
        body = till_sale(key, phone)
        while not self.stop.is_set():
            try:
                answer = requests.post(
                    self.url, data=body, headers=headers("generic_pos", body, key), timeout=5
                )
            except requests.RequestException as error:
                self.refused[type(error).__name__] += 1
                time.sleep(0.05)
                continue
            if answer.ok:
                self.acknowledged.add(key)
                return
            self.refused[answer.status_code] += 1
            time.sleep(0.05)


@dataclass
class Killer:
    """Kills seeded kinds of processes at the moment they hold something, and starts new ones."""

    crew: Crew
    processes: dict[str, list[BaseProcess]]
    killed: Counter[str] = field(default_factory=Counter)
    while_working: int = 0

    def strike(self, kind: str) -> None:
        """Stop one process, look whether it holds something at that very moment, and kill it if so;
        else let it go on and try again. Where there are several workers, all are stopped and killed:
        the row does not say whose lease it is."""
        held = {"worker": WORKING, "sweep": SWEEPING, "web": "SELECT 1"}[kind]
        ends = time.monotonic() + 20
        while not self._caught(kind, held):
            assert time.monotonic() < ends, self.crew.log.read_text()[-3000:]
            time.sleep(0.02)
        for process in self.processes[kind]:
            self.crew.kill(process)
        self.killed[kind] += 1
        self.while_working += kind == "worker"
        count = len(self.processes[kind])
        self.processes[kind] = [self.crew.start(kind) for _ in range(count)]

    def _caught(self, kind: str, held: str) -> bool:
        for process in self.processes[kind]:
            os.killpg(pid_of(process), signal.SIGSTOP)
        if self.crew.hub.rows(held):
            return True
        for process in self.processes[kind]:
            os.killpg(pid_of(process), signal.SIGCONT)
        return False


@pytest.mark.slow
def test_nothing_that_was_acknowledged_is_lost_or_posted_twice(crew: Crew) -> None:
    channel = crew.hub.add_channel("generic_pos", SETTINGS["generic_pos"], "Till")
    processes = {"web": [crew.serve()], "sweep": [crew.start("sweep")]}
    processes["worker"] = [crew.start("worker") for _ in range(2)]
    till = Till(crew.hub.webhook(channel), threading.Event())
    senders = [threading.Thread(target=till.run, args=(n,)) for n in range(SENDERS)]
    for sender in senders:
        sender.start()
    killer, chance = Killer(crew, processes), Random(SEED)
    _rampage(killer, chance, crew.hub.runtime.settings.redis_url)
    till.stop.set()
    for sender in senders:
        sender.join()
    wait_for(lambda: not _unfinished(crew), seconds=60, said=lambda: str(_unfinished(crew)))
    taken_over = crew.hub.rows(
        "SELECT count(*) AS n FROM deliveries WHERE direction = 'inbound' AND attempts > 1"
    )[0].n
    print(
        f"\nseed {SEED}: {sum(killer.killed.values())} kills {dict(killer.killed)}, {killer.while_working} while"
        f" deliveries were being worked on, {taken_over} leases taken over,"
        f" {len(till.acknowledged)} orders acknowledged, refusals {dict(till.refused)}"
    )
    assert sum(killer.killed.values()) >= KILLS
    assert min(killer.killed.values()) >= LEAST_OF_EACH
    assert taken_over > 0
    _assert_posted_once(crew, till.acknowledged)


def _rampage(killer: Killer, chance: Random, redis_url: str) -> None:
    """Strikes spread over the whole time; each kind in turn, in a seeded order, Redis emptied between."""
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends or sum(killer.killed.values()) < KILLS:
        kinds = ["worker", "sweep", "web"]
        chance.shuffle(kinds)
        for kind in kinds:
            time.sleep(chance.uniform(0.2, 1.2))
            killer.strike(kind)
        with redis.Redis.from_url(redis_url) as client:
            client.flushall()


def _unfinished(crew: Crew) -> list[object]:
    return crew.hub.rows(
        "SELECT state, count(*) FROM deliveries WHERE direction = 'inbound' AND state <> 'done' GROUP BY 1"
    )


def _assert_posted_once(crew: Crew, acknowledged: set[str]) -> None:
    stored = {row.key for row in crew.hub.rows("SELECT key FROM deliveries WHERE direction = 'inbound'")}
    assert acknowledged <= stored
    entries = crew.hub.rows(
        """SELECT t.external_id, count(*) AS n, sum(e.amount) AS points
           FROM transactions t LEFT JOIN entries e ON e.transaction_id = t.id GROUP BY 1"""
    )
    assert {row.external_id for row in entries} == {f"sale-{key}" for key in stored}
    assert {(row.n, int(row.points)) for row in entries} == {(1, 5)}
    crew.hub.assert_clean()


def test_a_ring_after_a_worker_was_killed_in_a_drain_is_taken_within_a_second(crew: Crew) -> None:
    """rq remembers jobs whose worker was killed: none of these may hold up the next ring. Rings of one
    second share an id, so the next second's is the first that counts."""
    channel = crew.hub.add_channel("generic_pos", SETTINGS["generic_pos"], "Till")
    crew.serve()
    worker = crew.start("worker")
    till = Till(crew.hub.webhook(channel), threading.Event())
    till._deliver("first", "0912345678")
    wait_for(_done(crew, 1), seconds=30, said=crew.log.read_text)
    senders = [threading.Thread(target=till.run, args=(n,)) for n in range(SENDERS)]
    for sender in senders:
        sender.start()
    wait_for(lambda: crew.hub.rows(WORKING), seconds=20, said=crew.log.read_text)
    crew.kill(worker)
    till.stop.set()
    for sender in senders:
        sender.join()
    queue = Queue(QUEUE, connection=connect(crew.hub.runtime.settings.redis_url), serializer="json")
    queue.empty()  # type: ignore[no-untyped-call]
    wait_for(lambda: _rings(crew, queue), seconds=2)
    assert queue.count == 1


def _rings(crew: Crew, queue: Queue) -> bool:
    Doorbell(crew.hub.runtime.settings.redis_url).ring("inbound")
    return queue.count > 0


def _done(crew: Crew, count: int) -> Callable[[], bool]:
    statement = "SELECT count(*) AS n FROM deliveries WHERE direction = 'inbound' AND state = 'done'"
    return lambda: crew.hub.rows(statement)[0].n >= count
