"""Bringing in what a shop sold before it was connected: tried first, then as tried; killed, raced, stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from connectors.woocommerce.sandbox import WooCommerceSandbox
from hub.bulk import run
from hub.outbox import deliveries
from hub.outbox.channels import Channel
from hub.sync import backfill, backfills, reconcile, trying
from hub.sync.backfills import Backfill, NotPossible
from hub.sync.forgetting import forget
from hub.sync.trying import Figures
from tests.clocks import AheadClock
from tests.hubs import Hub, Running, running_hub

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "1000"}},
    "tiers": {
        "currency": "VND",
        "levels": [
            {"id": "member", "name": "Member", "from": 0},
            {"id": "gold", "name": "Gold", "from": "100000"},
        ],
    },
}
ANN = {"name": "Ann Nguyen", "email": "Ann@example.com", "phone": "0912 345 678"}
BOB = {"name": "Bob Tran", "email": "bob@example.com", "phone": "0987 654 321"}


@dataclass
class Shop:
    """A store that sold before it was connected."""

    hub: Hub
    sandbox: WooCommerceSandbox
    channel: Channel
    url: str
    clock: AheadClock

    def sold(self, days: int, price: int = 50_000, who: Any = ANN) -> str:
        """An order of so many days ago."""
        self.clock.ahead = -timedelta(days=days)
        line = {"sku": "TEA", "name": "Tea", "quantity": 1, "price": str(price)}
        wish = {"customer": who, "lines": [line], "currency": "VND"}
        answer = requests.post(f"{self.url}/_sandbox/sales", json=wish, timeout=10)
        self.clock.ahead = timedelta(0)
        answer.raise_for_status()
        return str(answer.json()["external_id"])

    def refund(self, order: str, amount: int) -> None:
        path = f"{self.url}/_sandbox/sales/{order}/refund"
        requests.post(path, json={"amount": str(amount)}, timeout=10).raise_for_status()

    def begin(self, days: int = 400, counts: backfills.Counts = "points") -> Backfill:
        with self.hub.runtime.sessions.begin() as session:
            since = datetime.now(UTC) - timedelta(days=days)
            return backfills.start(session, self.channel, since=since, counts=counts, actor="test")

    def advance(self) -> Backfill:
        with self.hub.runtime.sessions() as session:
            found = backfills.latest(session, self.channel)
        assert found is not None
        backfill.advance(self.hub.runtime, found.id)
        return self.now()

    def now(self) -> Backfill:
        with self.hub.runtime.sessions() as session:
            found = backfills.latest(session, self.channel)
        assert found is not None
        return found

    def do(self, deed: Any) -> None:
        with self.hub.runtime.sessions.begin() as session:
            deed(session, self.now(), actor="test")

    def brought(self, days: int = 400, counts: backfills.Counts = "points") -> Figures:
        """Fetched, tried and brought in; what trying had said."""
        self.begin(days, counts)
        assert self.advance().state == "tried"
        self.do(backfills.bring)
        done = self.advance()
        assert done.state == "done"
        self.hub.work()
        self.hub.assert_clean()
        return Figures.from_json(done.forecast)

    def points(self, who: Any = ANN) -> int:
        self.hub.assert_clean()
        return self.hub.balance(email=who["email"].lower())

    def gold(self) -> int:
        rows = self.hub.rows("SELECT count(*) AS n FROM tier_standings WHERE tier = 'gold'")
        return int(rows[0].n)

    def kept(self) -> list[tuple[Any, ...]]:
        """Everything that a second run could change."""
        found: list[tuple[Any, ...]] = []
        for statement in (
            "SELECT id, amount, balance_after FROM entries ORDER BY id",
            "SELECT external_id, points, tier_points, why, member_id FROM transactions ORDER BY external_id",
            "SELECT count(*) FROM members",
            "SELECT member_id, tier, count FROM tier_standings ORDER BY 1",
        ):
            found += [tuple(row) for row in self.hub.rows(statement)]
        return found


@pytest.fixture
def shop(database: str, redis_url: str, tmp_path: Path) -> Iterator[Shop]:
    clock = AheadClock()
    sandbox = WooCommerceSandbox(now=clock)
    with (
        running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub,
        Running(sandbox) as url,
    ):
        hub.runtime.settings = replace(hub.runtime.settings, public_url=hub.url)
        channel = hub.add_channel("woocommerce", sandbox.settings(), "Shop")
        with (
            hub.runtime.sessions.begin() as session
        ):  # a shop tells whole seconds: nothing sold now is history
            run(session, "UPDATE channels SET created_at = created_at - interval '1 minute'")
        yield Shop(hub, sandbox, channel, url, clock)


def test_what_is_fetched_waits_and_trying_posts_nothing(shop: Shop) -> None:
    for days in (40, 30, 20):
        shop.sold(days)
    shop.sold(25, who=BOB)
    shop.begin()
    tried = shop.advance()
    assert (tried.state, tried.stored, tried.total, tried.expected) == ("tried", 4, 4, 4)
    figures = Figures.from_json(tried.forecast)
    assert (figures.sales, figures.given, figures.members_new, figures.members_found) == (4, 200, 2, 0)
    assert shop.hub.states() == [("waiting", "waiting", "history")] * 4
    shop.hub.work()
    assert shop.hub.rows("SELECT 1 FROM entries UNION ALL SELECT 1 FROM members") == []
    assert shop.advance() == tried  # it waits for somebody


def test_what_happens_is_what_trying_said_and_a_second_run_is_clean(shop: Shop) -> None:
    order = shop.sold(40)
    shop.sold(30, 70_000)
    shop.sold(25, who=BOB)
    shop.refund(order, 20_000)
    figures = shop.brought()
    assert shop.points() == 30 + 70
    assert shop.points(BOB) == 50
    assert figures.given == 150
    assert figures.liability is None
    assert figures.members_new == len(shop.hub.rows("SELECT 1 FROM members")) == 2
    before = shop.kept()
    again = shop.brought()
    assert shop.now().stored == 0
    assert (again.given, again.taken, again.members_new, again.members_found) == (0, 0, 0, 2)
    assert shop.kept() == before


def test_history_for_tiers_only_gives_nothing_and_refunds_of_it_take_nothing(shop: Shop) -> None:
    shop.sandbox.connect(shop.hub.webhook(shop.channel))
    order = shop.sold(30, 80_000)
    shop.sold(20, 30_000)
    with shop.hub.runtime.sessions.begin() as session:  # as if no message of them had come
        run(session, "DELETE FROM deliveries")
    figures = shop.brought(counts="tiers")
    assert (figures.given, figures.for_tiers, figures.tiers_only) == (0, 110, 2)
    assert (shop.points(), shop.gold()) == (0, 1)
    shop.refund(order, 80_000)
    shop.hub.work()
    assert (shop.points(), shop.gold()) == (0, 0)
    shop.sold(0, 10_000)
    shop.hub.work()
    assert shop.points() == 10
    why = {row.why for row in shop.hub.rows("SELECT why FROM transactions WHERE points = 0")}
    assert "history_for_tiers_only" in why


def test_sales_before_the_programme_began_count_from_the_day_that_was_named(shop: Shop) -> None:
    with shop.hub.runtime.sessions.begin() as session:
        run(session, "UPDATE programs SET starts_at = now() - interval '10 days'")
    shop.sold(300)
    shop.sold(100)
    shop.sold(5)
    figures = shop.brought(days=200)
    assert (figures.sales, figures.before_start, figures.given) == (2, 1, 100)
    assert shop.points() == 100


def test_orders_that_came_by_themselves_follow_what_is_said_of_their_time(shop: Shop) -> None:
    shop.sold(30, 80_000)
    reconcile.reconcile(shop.hub.runtime, shop.channel, since=datetime.now(UTC) - timedelta(days=90))
    shop.hub.work()
    assert shop.points() == 80
    figures = shop.brought(counts="tiers")
    assert (figures.given, figures.taken, shop.now().stored) == (0, 80, 0)
    assert (shop.points(), shop.gold()) == (0, 0)


def test_what_history_counts_for_can_be_said_anew(shop: Shop) -> None:
    """Also of what an earlier backfill brought, and of what is older than the later one asks for."""
    shop.sold(60)
    shop.sold(30)
    assert shop.brought().given == 100
    figures = shop.brought(days=45, counts="tiers")
    assert (figures.given, figures.taken, figures.tiers_only) == (0, 100, 2)
    assert (shop.points(), shop.gold()) == (0, 1)
    before = shop.kept()
    assert shop.brought(days=45, counts="tiers").taken == 0
    assert shop.kept() == before
    assert shop.brought(days=45).given == 100
    assert shop.points() == 100


def test_a_customers_orders_are_tried_together_however_small_the_batches(
    database: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cap cuts the third order of a member: trying knows of the first two. And what all of it is worth."""
    monkeypatch.setattr(trying, "BATCH", 1)
    monkeypatch.setattr(backfill, "BATCH", 2)
    small = {"id": "small", "name": "Small", "cost": 20, "amount": {"VND": "5000"}}
    document = {"earn": {"per": {"VND": "1000"}}, "points": {"most_per_member": 120}, "rewards": [small]}
    clock = AheadClock()
    sandbox = WooCommerceSandbox(now=clock)
    with running_hub(database, redis_url, tmp_path, document=document) as hub, Running(sandbox) as url:
        shop = Shop(hub, sandbox, hub.add_channel("woocommerce", sandbox.settings(), "Shop"), url, clock)
        for days in (16, 12, 8):
            shop.sold(days)
            shop.sold(days, 30_000, who=BOB)
        figures = shop.brought()
        assert (shop.points(), shop.points(BOB)) == (120, 90)
        assert (figures.given, figures.liability) == (210, 210 * 5000 // 20)
        assert figures.sales == 6


def test_a_live_message_of_the_same_order_goes_its_way_and_nothing_counts_twice(shop: Shop) -> None:
    order = shop.sold(30)
    shop.sold(20)
    shop.begin()
    assert shop.advance().state == "tried"
    shop.sandbox.connect(shop.hub.webhook(shop.channel))
    shop.refund(order, 20_000)
    shop.hub.work()
    assert shop.points() == 30  # live, and not held up by what waits
    shop.do(backfills.bring)
    assert shop.advance().state == "done"
    shop.hub.work()
    assert shop.points() == 30 + 50


def test_bringing_in_raced_with_live_refunds_of_the_same_orders(shop: Shop) -> None:
    """One thread brings in, one refunds in the shop, one works on the webhooks; all at once."""
    orders = [shop.sold(60 - n) for n in range(12)]
    shop.begin()
    assert shop.advance().state == "tried"
    shop.sandbox.connect(shop.hub.webhook(shop.channel))
    shop.do(backfills.bring)
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            shop.hub.work(1)

    worker = threading.Thread(target=work)
    bringing = threading.Thread(target=shop.advance)
    worker.start()
    bringing.start()
    for order in orders[::2]:
        shop.refund(order, 20_000)
    bringing.join(60)
    over.set()
    worker.join(60)
    shop.advance()
    shop.hub.work()
    assert shop.now().state == "done"
    assert shop.points() == 6 * 30 + 6 * 50


CHILD = """
import os, signal, sys
from connectors.woocommerce import changes, history
from hub.runtime import Runtime
from hub.settings import load
from hub.sync import backfill
changes.PER_PAGE = history.PER_PAGE = backfill.BATCH = 2
steps = iter(range(int(sys.argv[2])))
def counted(name, holder):
    known = getattr(holder, name)
    def one(*given, **named):
        done = known(*given, **named)
        if next(steps, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return done
    setattr(holder, name, one)
counted(sys.argv[3], backfill if sys.argv[3] == "_insert" else backfill.process)
backfill.advance(Runtime.start(load(), "cli"), int(sys.argv[1]))
"""


def killed(
    shop: Shop, database: str, redis_url: str, tmp_path: Path, *, after: int, within: str
) -> None:
    """Advance in another process that dies by SIGKILL in the middle of its step."""
    given = {
        "DATABASE_URL": database, "REDIS_URL": redis_url, "HUB_DATA": str(tmp_path),
        "HUB_ALLOW_PRIVATE_HOSTS": "127.0.0.1", "PUBLIC_URL": shop.hub.url,
    }  # fmt: skip
    words = [sys.executable, "-c", CHILD, str(shop.now().id), str(after), within]
    ended = subprocess.run(words, env={**os.environ, **given}, timeout=120, check=False)
    assert ended.returncode == -signal.SIGKILL
    with shop.hub.runtime.sessions.begin() as session:  # time passes
        run(session, "UPDATE leases SET until = '-infinity'")
        run(session, "UPDATE deliveries SET lease_until = '-infinity' WHERE state = 'working'")
        deliveries.free_stuck(session)


def test_killed_while_fetching_it_goes_on_with_the_page(
    shop: Shop, database: str, redis_url: str, tmp_path: Path
) -> None:
    for days in range(9):
        shop.sold(20 + days)
    shop.begin()
    killed(shop, database, redis_url, tmp_path, after=2, within="_insert")
    half = shop.now()
    assert half.state == "fetching"
    assert 0 < half.stored < 9
    tried = shop.advance()
    assert (tried.state, tried.stored, len(shop.hub.states())) == ("tried", 9, 9)
    shop.do(backfills.bring)
    shop.advance()
    shop.hub.work()
    assert shop.points() == 450


def test_killed_while_bringing_in_nothing_is_lost_and_nothing_doubled(
    shop: Shop, database: str, redis_url: str, tmp_path: Path
) -> None:
    for days in range(9):
        shop.sold(20 + days)
    shop.begin()
    assert shop.advance().state == "tried"
    shop.do(backfills.bring)
    killed(shop, database, redis_url, tmp_path, after=2, within="process")
    assert shop.now().state == "bringing"
    assert 0 < shop.now().place < 9
    shop.hub.work()  # what the killed one had at hand
    assert shop.advance().state == "done"
    assert shop.points() == 450
    assert {state for state, _, _ in shop.hub.states()} == {"done"}


def test_stopped_what_was_only_fetched_is_erased(shop: Shop) -> None:
    shop.sold(30)
    shop.begin()
    shop.advance()
    shop.do(backfills.stop)
    shop.advance()
    assert shop.hub.states() == [("done", "ignored", "history_left_out")]
    rows = shop.hub.rows("SELECT body FROM deliveries WHERE direction = 'inbound'")
    assert all(b"example.com" not in bytes(row.body) for row in rows)
    with shop.hub.runtime.sessions() as session:
        assert backfills.due(session, datetime.now(UTC)) == []
    assert shop.brought().given == 50  # and may be begun again


def test_who_is_forgotten_while_history_waits_does_not_come_back_with_it(shop: Shop) -> None:
    """Ann bought under another address then: her telephone tells."""
    shop.sold(30, who={**ANN, "email": "ann.before@example.com"})
    shop.sold(30, who=BOB)
    shop.sold(10)
    shop.brought(days=20)
    (ann,) = shop.hub.rows("SELECT id FROM members WHERE alias_of IS NULL")
    shop.begin()
    assert shop.advance().state == "tried"
    with shop.hub.runtime.sessions.begin() as session:
        forget(session, shop.hub.program.id, ann.id, actor="test", now=datetime.now(UTC))
    shop.do(backfills.bring)
    shop.advance()
    shop.hub.work()
    assert shop.points(BOB) == 50
    known = [row.value for row in shop.hub.rows("SELECT value FROM identities")]
    assert "bob@example.com" in known
    assert [value for value in known if "ann" in value or "912345678" in value] == []
    bodies = [
        bytes(row.body)
        for row in shop.hub.rows("SELECT body FROM deliveries WHERE direction = 'inbound'")
    ]
    assert [body for body in bodies if b"ann" in body.lower()] == []


def test_paused_it_rests_and_goes_on_where_it_was(shop: Shop) -> None:
    shop.sold(30)
    shop.begin()
    shop.do(backfills.pause)
    assert shop.advance().state == "fetching"
    with pytest.raises(NotPossible):
        shop.do(backfills.pause)
    shop.do(backfills.go_on)
    assert shop.advance().state == "tried"
    with pytest.raises(NotPossible):
        shop.begin()


def test_a_shop_that_does_not_answer_is_asked_again_later_and_says_why(shop: Shop) -> None:
    shop.sold(30)
    shop.begin()
    requests.post(f"{shop.url}/_sandbox/faults", json={"fault": "server_error", "times": 1}, timeout=10)
    failed = shop.advance()
    assert (failed.state, failed.failures) == ("fetching", 1)
    assert failed.code is not None
    assert failed.next_at > datetime.now(UTC)
    shop.do(backfills.go_on)
    again = shop.advance()
    assert (again.state, again.code, again.failures) == ("tried", None, 0)


def test_the_sweepers_threads_carry_it_to_where_somebody_decides(shop: Shop) -> None:
    shop.sold(30)
    shop.begin()
    going = backfill.Backfiller(shop.hub.runtime)
    going.once()
    going.wait()
    assert shop.now().state == "tried"
