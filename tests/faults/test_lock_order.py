"""Batches, redemptions, corrections and merges that want the same rows at once: one order of locks
(rules.md C4), so nobody ever waits for somebody who waits for them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from threading import Barrier, Event

import pytest
from psycopg.errors import LockNotAvailable, QueryCanceled
from sqlalchemy.exc import OperationalError

from hub.canonical import CustomerRef, Line, LineKind, Sale, SaleState
from hub.ledger import commands
from hub.ledger.accounts import RootChanged
from hub.ledger.commands import Command, NotEnoughPoints
from hub.ledger.merging import Merge, NotMergeable, Shortfall, merge, unmerge
from hub.outbox.channels import Channel
from hub.program import store
from hub.redemption.redeem import Order, redeem
from hub.sync import process
from hub.sync.receive import Message, insert
from hub.transactions.codec import sale_to_json
from tests.hubs import Hub, running_hub
from tests.model_shop import CONNECTORS
from tests.pace import paced

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "rewards": [{"id": "r", "name": "R", "cost": 5, "amount": {"VND": "50000"}}],
}
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
MEMBERS = 12
SALES = 40


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        hub.runtime.settings = replace(
            hub.runtime.settings, connectors=CONNECTORS, batch_size=15, lease_seconds=60
        )
        yield hub


def message(shop: Channel, key: str, number: int, member: int, codes: tuple[str, ...]) -> Message:
    """A state of sale `number`; who bought it moves from message to message, and so do its points."""
    line = Line("1", LineKind.GOODS, Decimal(1), 100_000, 0, categories=())
    version = int(key.partition("-")[0])
    told = Sale(
        f"s{number}", f"s{number}", SaleState.PAID, "VND", (line,), NOON, version=version, as_of=NOON,
        customer=CustomerRef(phones=(f"09{member:08d}",)), codes=codes,
    )  # fmt: skip
    body = json.dumps({"type": "sale", "sale": sale_to_json(told)}).encode()
    return Message(shop, "t", key, "{}", body, hashlib.sha256(body).digest(), datetime.now(UTC))


def members(hub: Hub) -> list[int]:
    return [row.id for row in hub.rows("SELECT id FROM members ORDER BY id")]


def vouchers(hub: Hub, shop: Channel) -> list[str]:
    """A code of each member, whose further uses cost its owner points."""
    codes = []
    for member in members(hub):
        with hub.runtime.sessions.begin() as session:
            key = hub.runtime.chain_key
            start = Command(hub.program.id, member, f"start:{member}", "test", key)
            commands.adjust(session, start, 1000)
            order = Order(hub.program.id, member, "r", "test", key)
            rules = store.versions(session, hub.program)[-1]
            codes.append(redeem(session, order, rules, [shop]).code)
    return codes


def deadlocks(hub: Hub) -> int:
    rows = hub.rows("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    return int(rows[0].deadlocks)


def correct(hub: Hub, people: list[int], own: Random) -> None:
    """Give or take a few points by hand."""
    with hub.runtime.sessions.begin() as session:
        key = f"fix:{own.random()}"
        order = Command(hub.program.id, own.choice(people), key, "test", hub.runtime.chain_key)
        commands.adjust(session, order, own.choice((3, -2)), may_owe=True)


def join(hub: Hub, people: list[int], own: Random) -> None:
    """Merge two members and take them apart."""
    gone, kept = own.sample(people, 2)
    order = Merge(hub.program.id, gone, kept, "test", hub.runtime.chain_key)
    for step in (merge, unmerge):
        with (
            suppress(NotMergeable, Shortfall, RootChanged, NotEnoughPoints),
            hub.runtime.sessions.begin() as session,
        ):
            step(session, order)


@contextmanager
def in_its_turn() -> Iterator[None]:
    """Staff who do not get a turn within a request's few seconds are told to come again, which a machine with
    other things to do brings about. It is no circle: those PostgreSQL finds within a second, and counts."""
    try:
        yield
    except OperationalError as error:
        if not isinstance(error.orig, QueryCanceled | LockNotAvailable):
            raise


def race(hub: Hub, people: list[int]) -> None:
    """Three workers and both meddlers from one barrier, until the workers find nothing more."""
    together, over = Barrier(5), Event()

    def work() -> None:
        together.wait(10)
        process.drain(hub.runtime, seconds=120)

    def meddle(step: Callable[[Hub, list[int], Random], None]) -> None:
        own = Random(11)
        together.wait(10)
        while not over.is_set():
            with in_its_turn():
                step(hub, people, own)

    with ThreadPoolExecutor(5) as pool:
        workers = [pool.submit(work) for _ in range(3)]
        others = [pool.submit(meddle, step) for step in (correct, join)]
        try:
            for worker in workers:
                worker.result(timeout=200)
        finally:
            over.set()
        for other in others:
            other.result(timeout=60)


@pytest.mark.slow
def test_nobody_waits_in_a_circle(hub: Hub) -> None:
    """Raced: three workers with small batches over the same sales and members, one thread that
    corrects points, one that merges members and takes them apart, all from one barrier."""
    shop = hub.add_channel("model_event", {}, "Shop")
    with hub.runtime.sessions.begin() as session:
        insert(session, [message(shop, f"1-{n}", n, n % MEMBERS, ()) for n in range(SALES)])
    process.drain(hub.runtime)
    codes, chance = vouchers(hub, shop), Random(7)
    with hub.runtime.sessions.begin() as session:
        for version in range(2, paced(8, 40)):
            for number in chance.sample(range(SALES), SALES):
                used = tuple(chance.sample(codes, chance.randrange(3)))
                member = chance.randrange(MEMBERS)
                insert(session, [message(shop, f"{version}-{number}", number, member, used)])
    before = deadlocks(hub)
    race(hub, members(hub))
    hub.work()  # those who lost too often were handed back, to be tried a little later
    assert deadlocks(hub) == before
    failed = hub.rows(
        "SELECT id, state, code, detail FROM deliveries WHERE state <> 'done' AND direction = 'inbound'"
    )
    assert failed == []
    hub.assert_clean()
