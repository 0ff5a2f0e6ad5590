"""Any permutation and repetition of a history, over two worker processes, gives what the shop shows.

How it is raced: the messages of one example are stored in random order and in random repetition,
then two processes of their own claim them in batches of three, at the same time.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from hub.connect import add_channel
from hub.ledger.verify import verify
from hub.outbox import deliveries
from hub.outbox.channels import Channel
from hub.program import store
from hub.runtime import Runtime
from hub.settings import Settings
from hub.sync import process, push
from hub.sync.receive import Message as Stored
from hub.sync.receive import insert
from tests import forked
from tests.model_shop import CONNECTORS
from tests.pace import paced
from tests.people import START
from tests.property.histories import STEP, Message, SaleLife

DOCUMENT = {"earn": {"points": 1, "per": {"VND": str(STEP)}}}
SALES = paced(4, 6)


def _work(settings: Settings, orders: Connection) -> None:
    """A worker process: drains each time it is told to."""
    runtime = Runtime.start(settings, "worker")
    while orders.recv() == "drain":
        count = process.drain(runtime, seconds=60) + push.drain(runtime, seconds=60)
        orders.send(count)
    runtime.engine.dispose()


@dataclass
class Bench:
    """A hub with both model shops and two workers."""

    runtime: Runtime
    shop_file: Path
    workers: list[Connection]
    number: int = 0

    def run(self, lives: dict[str, list[SaleLife]], messages: list[tuple[str, Message]]) -> None:
        """Store the messages as they come, let both workers at them until nothing is due."""
        self.number += 1
        shown = {life.external_id: life.shown() for life in lives["model_delivery"]}
        self.shop_file.write_text(json.dumps(shown))
        self.channels = self._channels()
        for start in range(0, len(messages), 4):
            with self.runtime.sessions.begin() as session:
                insert(session, [self._stored(k, m) for k, m in messages[start : start + 4]])
        self.drain()

    def drain(self) -> None:
        """Until nothing is due; what was delayed on purpose is due at once."""
        while True:
            with self.runtime.sessions.begin() as session:
                session.execute(text("UPDATE deliveries SET due_at = now() WHERE state = 'due'"))
            for worker in self.workers:
                worker.send("drain")
            if not sum([worker.recv() for worker in self.workers]):
                return

    def rows(self, statement: str) -> list[Any]:
        with self.runtime.sessions() as session:
            return list(session.execute(text(statement), {"program": self.program}).all())

    def _channels(self) -> dict[str, Channel]:
        with self.runtime.sessions.begin() as session:
            program = store.create(
                session, slug=f"p{self.number}", name="P", currency="VND", time_zone="UTC", region="VN",
                starts_at=START, document=DOCUMENT, actor="test",
            )  # fmt: skip
            self.program = program.id
            return {
                kind: add_channel(
                    session, self.runtime, program_id=program.id, kind=kind, name=kind,
                    settings={"shop_file": str(self.shop_file)}, actor="test",
                )
                for kind in CONNECTORS
            }  # fmt: skip

    def _stored(self, kind: str, message: Message) -> Stored:
        digest = hashlib.sha256(message.body).digest()
        return Stored(
            self.channels[kind], "model", message.key, "{}", message.body, digest, datetime.now(UTC)
        )


@pytest.fixture
def bench(database: str, redis_url: str, tmp_path: Path) -> Iterator[Bench]:
    given = Settings(
        data=tmp_path, database_url=database, redis_url=redis_url, batch_size=3, connectors=CONNECTORS
    )
    runtime = Runtime.start(given)
    _ = runtime.chain_key
    beside = [forked.beside(_work, replace(given, sources={})) for _ in range(2)]
    ends = [end for end, _ in beside]
    yield Bench(runtime, tmp_path / "shop.json", ends)
    for end in ends:
        end.send("end")
    for _, process_ in beside:
        process_.join(timeout=10)
    runtime.engine.dispose()


def histories(seed: int) -> tuple[dict[str, list[SaleLife]], list[tuple[str, Message]]]:
    """Lives of a few sales in both shops, and their messages shuffled and repeated."""
    chance = Random(seed)
    lives: dict[str, list[SaleLife]] = {}
    messages: list[tuple[str, Message]] = []
    for kind, built in (("model_event", "event"), ("model_delivery", "delivery")):
        lives[kind] = [
            SaleLife(chance, f"{kind}-{n}", deletes_refunds=built == "delivery", built=built)
            for n in range(SALES)
        ]
        for life in lives[kind]:
            life.live(chance.randint(0, 8))
            messages += [(kind, m) for m in life.messages for _ in range(chance.choice([1, 1, 1, 2, 3]))]
    chance.shuffle(messages)
    return lives, messages


@pytest.mark.slow
@settings(
    max_examples=paced(8, 40), deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
@given(seed=st.integers(0, 2**32))
def test_any_order_and_repetition_gives_what_the_shops_show(bench: Bench, seed: int) -> None:
    lives, messages = histories(seed)
    bench.run(lives, messages)
    _assert_as_shown(bench, lives)
    entries = bench.rows("SELECT count(*) AS n FROM entries WHERE program_id = :program")[0].n
    with bench.runtime.sessions.begin() as session:
        ids = session.execute(
            text("SELECT id FROM deliveries WHERE program_id = :p AND direction = 'inbound'"),
            {"p": bench.program},
        )
        deliveries.replay(session, [row.id for row in ids])
    bench.drain()
    _assert_as_shown(bench, lives)
    assert bench.rows("SELECT count(*) AS n FROM entries WHERE program_id = :program")[0].n == entries


def _assert_as_shown(bench: Bench, lives: dict[str, list[SaleLife]]) -> None:
    stuck = bench.rows(
        "SELECT state, code, detail FROM deliveries WHERE program_id = :program AND state <> 'done'"
    )
    assert not stuck, stuck
    found = {
        row.external_id: row.points
        for row in bench.rows("SELECT external_id, points FROM transactions WHERE program_id = :program")
    }
    assert found == {life.external_id: life.points() for its in lives.values() for life in its}
    expected: Counter[tuple[str, str]] = Counter()
    for kind, its in lives.items():
        for life in its:
            expected[kind, life.customer] += life.points()
    balances = {
        (row.kind, row.value): row.balance
        for row in bench.rows(
            """SELECT c.kind, i.value, a.balance FROM accounts a JOIN identities i ON i.member_id = a.member_id
               JOIN channels c ON c.id = i.scope WHERE a.program_id = :program"""
        )
    }
    assert {k: v for k, v in balances.items() if v} == {k: v for k, v in expected.items() if v}
    with bench.runtime.sessions() as session:
        report = verify(session, bench.runtime.chain_key, bench.program)
    assert report.clean, report.findings
