"""A WooCommerce store connected to a hub, over real HTTP: what the store does becomes points."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from connectors.woocommerce.sandbox import WooCommerceSandbox
from tests.connectors.recorded import TESTS, headers_of
from tests.hubs import Hub, Running, running_hub

DOCUMENT = {"earn": {"points": 1, "per": {"VND": "1000", "USD": "1"}}}
ANN = {"name": "Ann Nguyen", "email": "Ann@example.com", "phone": "0912 345 678"}
TEA = {"sku": "TEA", "name": "Tea", "quantity": 3, "price": "50000"}


class Ticking:
    """A store's clock: what happens, happens in seconds of its own, and is delivered seconds later,
    as WordPress' cron does."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.ahead)


class Shop:
    """A store that is connected to a hub."""

    def __init__(self, hub: Hub, url: str, clock: Ticking) -> None:
        self.hub = hub
        self.url = url
        self.clock = clock

    def steer(self, path: str, **wish: Any) -> Any:
        answer = requests.post(f"{self.url}/_sandbox/{path}", json=wish, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def buy(self, **wish: Any) -> str:
        return str(self.steer("sales", **{"customer": ANN, "lines": [TEA], **wish})["external_id"])

    def act(self, order: str, *verbs: str, **wish: Any) -> Any:
        for verb in verbs:
            self.clock.ahead += 2
            told = self.steer(f"sales/{order}/{verb}", **wish)
            self.clock.ahead += 2
            self.hub.work()
        return told

    def points(self) -> int:
        self.clock.ahead += 2
        self.hub.work()
        self.hub.assert_clean()
        return self.hub.balance(phone="+84912345678")

    def unfinished(self) -> list[Any]:
        """What is not done; balances go out when they have settled, and are left out."""
        return self.hub.rows(
            """SELECT direction, topic, state, code FROM deliveries
               WHERE state NOT IN ('done', 'settled') AND topic <> 'set_balance' ORDER BY id"""
        )


@pytest.fixture
def shop(database: str, redis_url: str, tmp_path: Path) -> Iterator[Shop]:
    clock = Ticking()
    sandbox = WooCommerceSandbox(now=clock)
    with (
        running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub,
        Running(sandbox) as url,
    ):
        hub.connect(sandbox, url)
        yield Shop(hub, url, clock)


def test_an_order_gives_points_once_although_it_is_sent_twice(shop: Shop) -> None:
    shop.buy()
    assert shop.points() == 150
    assert len(shop.hub.rows("SELECT 1 FROM entries")) == 1
    assert shop.unfinished() == []


def test_pings_are_not_stored(shop: Shop) -> None:
    assert shop.hub.rows("SELECT 1 FROM deliveries") == []


def test_cash_on_delivery_earns_when_it_is_completed(shop: Shop) -> None:
    order = shop.buy(state="pending", fields={"created_via": "store-api"})
    assert shop.points() == 0
    shop.act(order, "fulfil")
    assert shop.points() == 150


def test_an_unfinished_checkout_earns_nothing(shop: Shop) -> None:
    shop.buy(state="draft")
    assert shop.points() == 0
    assert shop.unfinished() == []


@pytest.mark.parametrize(
    ("verbs", "points"),
    [
        (["trash"], 0),
        (["trash", "restore"], 150),
        (["trash", "restore", "trash"], 0),
        (["trash", "restore", "trash", "restore"], 150),
        (["cancel"], 0),
        (["cancel", "pay"], 150),
    ],
)
def test_an_order_ends_as_the_store_left_it(shop: Shop, verbs: list[str], points: int) -> None:
    order = shop.buy()
    assert shop.points() == 150
    shop.act(order, *verbs)
    assert shop.points() == points
    assert shop.unfinished() == []


def test_a_part_that_comes_back_costs_exactly_its_points(shop: Shop) -> None:
    order = shop.buy(shipping="30000")
    shop.hub.work()
    shop.act(order, "refund", lines=[{"sku": "TEA", "quantity": 1}])
    assert shop.points() == 100
    shop.act(order, "refund", amount="20000")
    assert shop.points() == 80
    shop.act(order, "refund")
    assert shop.points() == 0
    assert shop.unfinished() == []


def test_a_refund_that_was_deleted_again_is_noticed_when_the_order_is_read(shop: Shop) -> None:
    order = shop.buy()
    refund = shop.act(order, "refund", lines=[{"sku": "TEA", "quantity": 1}])["refund"]
    assert shop.points() == 100
    shop.act(order, "delete_refund", refund=refund)
    assert shop.points() == 100  # the store says nothing
    shop.act(order, "trash", "restore")
    assert shop.points() == 150


def test_an_order_deleted_for_good_is_gone_when_it_is_asked_for(shop: Shop) -> None:
    order = shop.buy()
    assert shop.points() == 150
    shop.steer("hold")
    shop.steer(f"sales/{order}/trash")
    shop.steer(f"sales/{order}/delete")
    shop.steer("release")
    assert shop.points() == 0


def test_a_store_that_does_not_answer_is_asked_again(shop: Shop) -> None:
    order = shop.buy()
    assert shop.points() == 150
    shop.steer("faults", fault="server_error")
    shop.act(order, "trash")
    waiting, asking = shop.unfinished()
    assert tuple(waiting) == ("inbound", "order.deleted", "waiting", None)
    assert tuple(asking) == ("outbound", "fetch.sale", "due", "http_500")


def test_the_hubs_own_balance_does_not_come_back_as_news(shop: Shop) -> None:
    shop.buy(customer={**ANN, "external_id": "7"})
    assert shop.points() == 150
    shown = requests.get(f"{shop.url}/_sandbox/balances", timeout=5).json()
    assert shown["7"] == 150
    shop.hub.work()
    writes = shop.hub.rows("SELECT 1 FROM deliveries WHERE topic = 'set_balance' AND outcome = 'pushed'")
    assert len(writes) == 1
    assert shop.unfinished() == []


def test_two_recorded_refunds_with_one_body_are_both_stored(shop: Shop) -> None:
    channel = shop.hub.add_channel(
        "woocommerce",
        {
            "store_url": "https://other.example.com",
            "consumer_key": "ck_x",
            "consumer_secret": "cs_x",
            "webhook_secret": "hub-secret-1",
        },
        "recorded",
    )
    folder = TESTS / "payloads" / "woocommerce"
    for name in ("034-action.woocommerce_order_refunded", "037-action.woocommerce_order_refunded"):
        body = (folder / f"{name}.body").read_bytes()
        headers = headers_of(folder / f"{name}.headers")
        kept = {n: v for n, v in headers.items() if n.startswith(("x-wc", "content-type", "user-agent"))}
        for _ in range(2):
            answer = requests.post(shop.hub.webhook(channel), data=body, headers=kept, timeout=5)
            assert answer.status_code == 200
    rows = shop.hub.rows("SELECT duplicates FROM deliveries WHERE channel_id = :c", c=channel.id)
    assert [row.duplicates for row in rows] == [1, 1]
