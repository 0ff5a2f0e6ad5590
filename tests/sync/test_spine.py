"""From a shop's webhook to points, and from points to a code in the shop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from connectors.generic_pos.sandbox import TillSandbox
from tests.hubs import Hub, Running, running_hub

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "rewards": [{"id": "50k", "name": "50.000 off", "cost": 20, "amount": {"VND": "50000"}}],
}
ANN = {"name": "Ann", "phone": "0912 345 678"}


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        yield hub


@pytest.fixture
def till(hub: Hub) -> Iterator[str]:
    sandbox = TillSandbox()
    with Running(sandbox) as address:
        hub.connect(sandbox, address)
        yield address


def sell(shop: str, price: str = "125000", **more: Any) -> dict[str, Any]:
    wish = {
        "customer": ANN,
        "lines": [{"sku": "TEA", "name": "Tea", "quantity": 1, "price": price}],
        **more,
    }
    answer = requests.post(f"{shop}/_sandbox/sales", json=wish, timeout=10)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def do(shop: str, sale: dict[str, Any], verb: str, **wish: Any) -> dict[str, Any]:
    answer = requests.post(f"{shop}/_sandbox/sales/{sale['external_id']}/{verb}", json=wish, timeout=10)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_sale_at_the_till_gives_points(hub: Hub, till: str) -> None:
    sell(till)
    hub.work()
    assert hub.states() == [("done", "posted", None)]
    assert hub.balance(phone="+84912345678") == 13
    hub.assert_clean()


def test_the_same_webhook_three_times_gives_points_once(hub: Hub, till: str) -> None:
    sell(till)
    requests.post(f"{till}/_sandbox/resend", json={"n": "last", "times": 2}, timeout=10)
    hub.work()
    assert hub.balance(phone="+84912345678") == 13
    assert hub.rows("SELECT duplicates FROM deliveries WHERE direction = 'inbound'")[0].duplicates == 2
    assert len(hub.rows("SELECT 1 FROM entries")) == 1
    hub.assert_clean()


def test_a_refund_that_comes_before_its_sale_waits_for_it(hub: Hub, till: str) -> None:
    requests.post(f"{till}/_sandbox/hold", timeout=10)
    sale = sell(till)
    do(till, sale, "refund", amount="60000")
    outbox = requests.get(f"{till}/_sandbox/outbox", timeout=10).json()
    first, second = (o["n"] for o in outbox)
    requests.post(f"{till}/_sandbox/release", json={"order": [second]}, timeout=10)
    hub.work()
    assert hub.states() == [("waiting", "waiting", "sale")]
    requests.post(f"{till}/_sandbox/resend", json={"n": [first]}, timeout=10)
    hub.work()
    assert [s[:2] for s in hub.states()] == [("done", "posted"), ("done", "posted")]
    assert hub.balance(phone="+84912345678") == 7
    hub.assert_clean()
