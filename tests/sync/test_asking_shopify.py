"""A Shopify shop that is asked what it did not tell: listed lightly, and only what is news is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from connectors.shopify import sandbox_admin
from connectors.shopify.connector import ShopifyConnector
from connectors.shopify.sandbox import ShopifySandbox
from hub.bulk import run
from hub.outbox import connections
from hub.outbox.channels import Channel
from hub.sync import backfill, backfills, reconcile, reread, watch
from hub.sync.asking import Asker
from hub.sync.reconcile import Found
from hub.transactions import story
from tests.hubs import Hub, Running, running_hub

DOCUMENT = {"earn": {"points": 1, "per": {"USD": "1"}}}
TEA: dict[str, Any] = {"sku": "TEA", "name": "Tea", "quantity": 1, "price": "50.00"}


@dataclass
class Shop:
    """A shop, connected, to which the hub has not subscribed."""

    hub: Hub
    sandbox: ShopifySandbox
    channel: Channel
    url: str

    def steer(self, path: str, **wish: Any) -> Any:
        answer = requests.post(f"{self.url}/_sandbox/{path}", json=wish, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def buy(self, **wish: Any) -> str:
        wish = {"customer": {"name": "Ann", "phone": "+84912345678"}, "lines": [TEA], **wish}
        return str(self.steer("sales", **wish)["external_id"])

    def ask(self) -> Found:
        found = reconcile.reconcile(self.hub.runtime, self.channel)
        self.hub.work()
        return found

    def points(self) -> int:
        self.hub.work()
        self.hub.assert_clean()
        return self.hub.balance(phone="+84912345678")

    def asked_for(self) -> int:
        """Orders that were fetched whole."""
        return len(
            self.hub.rows(
                "SELECT 1 FROM deliveries WHERE topic = 'fetch.sale' AND direction = 'inbound'"
            )
        )


@pytest.fixture
def shop(database: str, redis_url: str, tmp_path: Path) -> Iterator[Shop]:
    sandbox = ShopifySandbox()
    with (
        running_hub(database, redis_url, tmp_path, document=DOCUMENT, currency="USD") as hub,
        Running(sandbox) as url,
    ):
        hub.runtime.settings = replace(hub.runtime.settings, public_url=hub.url)
        channel = hub.add_channel("shopify", sandbox.settings(), "Shop")
        yield Shop(hub, sandbox, channel, url)


def test_what_no_message_told_of_is_listed_fetched_and_earns(shop: Shop) -> None:
    order = shop.buy()
    shop.steer(f"sales/{order}/refund", amount="20.00")
    assert (shop.ask().found, shop.asked_for()) == (1, 1)
    assert shop.points() == 30
    rows = shop.hub.rows("SELECT topic, state, outcome FROM deliveries WHERE source = 'poll'")
    assert [tuple(row) for row in rows] == [("poll.sale", "done", "posted")]
    again = shop.ask()
    assert (again.seen, again.found, shop.asked_for()) == (1, 0, 1)


def test_what_webhooks_have_told_is_neither_stored_nor_fetched_again(shop: Shop) -> None:
    watch.install(shop.hub.runtime, shop.channel, actor="test")
    order = shop.buy()
    shop.steer(f"sales/{order}/fulfil")
    assert shop.points() == 50
    fetched = shop.asked_for()
    assert shop.ask().found == 0
    assert shop.asked_for() == fetched


def test_an_order_that_the_search_does_not_find_yet_is_found_the_next_time(shop: Shop) -> None:
    shop.buy()
    shop.steer("faults", fault="order_search_lag", seconds=60)
    assert shop.ask().seen == 0
    assert shop.ask().found == 1
    assert shop.points() == 50


def test_asked_and_told_are_one_history(shop: Shop) -> None:
    order = shop.buy()
    shop.ask()
    watch.install(shop.hub.runtime, shop.channel, actor="test")
    shop.steer(f"sales/{order}/refund", amount="20.00")
    assert shop.points() == 30
    (row,) = shop.hub.rows("SELECT public_id FROM transactions")
    with shop.hub.runtime.sessions() as session:
        order_row = story.find(session, shop.hub.program.id, row.public_id)
        assert order_row is not None
        told = story.tell(
            shop.hub.runtime, session, shop.hub.program, order_row, lambda _kind: ShopifyConnector.words
        )
    said = [step.sentence for step in told.steps if step.kind == "received"]
    assert any("by asking the shop" in sentence for sentence in said)
    assert any("by webhook" in sentence for sentence in said)


def test_a_deletion_that_nobody_was_told_of_is_found_by_reading_again(shop: Shop) -> None:
    gone, kept = shop.buy(), shop.buy()
    shop.ask()
    assert shop.points() == 100
    shop.steer(f"sales/{gone}/delete")
    assert shop.ask().found == 0
    assert reread.reread(shop.hub.runtime, shop.channel) == 1
    assert shop.points() == 50
    fetched = shop.asked_for()
    assert reread.reread(shop.hub.runtime, shop.channel) == 0
    assert (shop.points(), shop.asked_for()) == (50, fetched)
    assert kept in {row.external_id for row in shop.hub.rows("SELECT external_id FROM transactions")}


def test_a_shop_that_shows_none_of_several_orders_has_deleted_none_for_sure(shop: Shop) -> None:
    shop.buy()
    shop.buy()
    shop.ask()
    assert shop.points() == 100
    with shop.sandbox.lock:
        shop.sandbox.shop.orders.clear()
    reread.reread(shop.hub.runtime, shop.channel)
    assert shop.points() == 100


def test_a_hub_that_begins_looks_at_once_and_says_what_was_taken_from_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert watch.watch(shop.hub.runtime, shop.channel).health.ok
    with shop.hub.runtime.sessions.begin() as session:
        run(session, "UPDATE connections SET watched_at = now() - interval '10 minutes'")
    without = tuple(scope for scope in sandbox_admin.SCOPES if scope != "read_products")
    monkeypatch.setattr(sandbox_admin, "SCOPES", without)
    asker = Asker(shop.hub.runtime)
    asker.once()
    asker.wait()
    (row,) = shop.hub.rows("SELECT watch_ok, watch_code, watch_detail FROM connections")
    assert (row.watch_ok, row.watch_code) == (False, "missing_scopes")
    assert "read_products" in row.watch_detail
    with shop.hub.runtime.sessions.begin() as session:
        before = shop.hub.runtime.clock()
        connections.look_at_all(session, before)
        assert shop.channel.id not in connections.due(session, before), "not again within the minute"


def test_a_version_that_has_drifted_is_told_once(shop: Shop) -> None:
    watch.install(shop.hub.runtime, shop.channel, actor="test")
    shop.steer("faults", fault="other_version", times=None, version="2026-07")
    shop.buy()
    for _ in range(2):
        seen = watch.watch(shop.hub.runtime, shop.channel)
    assert seen.health.ok
    assert seen.drift is not None
    (alert,) = shop.hub.rows("SELECT kind, detail FROM alerts WHERE settled_at IS NULL")
    assert (alert.kind, alert.detail["code"]) == ("channel_drift", "version_drift")
    shop.steer("faults", fault="other_version", times=1, version="2026-10")
    shop.sandbox._faults.clear()
    shop.buy()
    watch.watch(shop.hub.runtime, shop.channel)
    assert shop.hub.rows("SELECT 1 FROM alerts WHERE settled_at IS NULL") == []


def test_what_the_shop_sold_before_is_brought_in_whole(
    database: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the scope read_all_orders Shopify says nothing of orders older than 60 days: people are told."""
    without = tuple(scope for scope in sandbox_admin.SCOPES if scope != "read_all_orders")
    monkeypatch.setattr(sandbox_admin, "SCOPES", without)
    ahead = [timedelta(days=-30)]
    sandbox = ShopifySandbox(clock=lambda: datetime.now(UTC) + ahead[0])
    with (
        running_hub(database, redis_url, tmp_path, document=DOCUMENT, currency="USD") as hub,
        Running(sandbox) as url,
    ):
        channel = hub.add_channel("shopify", sandbox.settings(), "Shop")
        shop = Shop(hub, sandbox, channel, url)
        order = shop.buy()
        shop.buy()
        shop.steer(f"sales/{order}/refund", amount="20.00")
        ahead[0] = timedelta(0)
        since = datetime.now(UTC) - timedelta(days=365)
        with hub.runtime.sessions.begin() as session:
            begun = backfills.start(session, channel, since=since, counts="points", actor="test")
        backfill.advance(hub.runtime, begun.id)
        with hub.runtime.sessions.begin() as session:
            tried = backfills.by_id(session, begun.id)
            assert (tried.state, tried.stored, tried.forecast["given"]) == ("tried", 3, 80)
            assert tried.notes == ["last_60_days"]
            backfills.bring(session, tried, actor="test")
        backfill.advance(hub.runtime, begun.id)
        assert shop.points() == 80
        assert [
            row.topic
            for row in hub.rows(
                "SELECT DISTINCT topic FROM deliveries WHERE direction = 'inbound' ORDER BY 1"
            )
        ] == [
            "fetch.customer",
            "fetch.sale",
        ]
        shop.steer("faults", fault="bulk_refused", times=1)
        with hub.runtime.sessions.begin() as session:
            anew = backfills.start(session, channel, since=since, counts="points", actor="test")
        backfill.advance(hub.runtime, anew.id)
        with hub.runtime.sessions() as session:
            notes = backfills.by_id(session, anew.id).notes
        assert notes == ["last_60_days", "no_list_of_customers"], "one does not replace the other"
        assert hub.rows("SELECT 1 FROM deliveries WHERE state <> 'done' AND direction = 'inbound'") == []
