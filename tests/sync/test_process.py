"""A worker's batch: what waits goes on whole, and a limit that a message breaks is its own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import text
from sqlalchemy.orm import Session

from hub.canonical import CustomerRef, Happening, Line, LineKind, Product, Sale, SaleState
from hub.connector import Inbound, Lookup
from hub.sync import process
from hub.sync.process import Batch
from hub.transactions.codec import sale_to_json
from tests.hubs import Hub, running_hub
from tests.model_shop import CONNECTORS, DeliveryShop, ModelShop

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
EARN = {"points": 1, "per": {"VND": "10000"}, "exclude_categories": ["X"]}


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path, document={"earn": EARN}) as hub:
        hub.runtime.settings = replace(hub.runtime.settings, connectors=CONNECTORS)
        yield hub


def sell(hub: Hub, webhook: str, number: int, **line: Any) -> None:
    sold = Line("1", LineKind.GOODS, Decimal(1), 10_000, 0, **line)
    sale = Sale(
        f"s{number}", f"s{number}", SaleState.PAID, "VND", (sold,), NOON, version=1, as_of=NOON,
        customer=CustomerRef(phones=(f"09{12000000 + number}",)),
    )  # fmt: skip
    body = json.dumps({"type": "sale", "sale": sale_to_json(sale)})
    headers = {"key": str(number), "topic": "t"}
    assert requests.post(webhook, data=body, headers=headers, timeout=10).status_code == 200


def waiting(hub: Hub) -> int:
    return len(hub.rows("SELECT 1 FROM transactions WHERE waiting_for = 'lookup'"))


def test_one_answer_releases_every_sale_that_waited_for_it(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More sales wait for one product than are judged at once."""
    known = ModelShop.normalise

    def normalise(shop: ModelShop, inbound: Inbound) -> Sequence[Happening]:
        if inbound.topic == "fetch.product":
            return [Product("P", None, ("Tea",))]
        return known(shop, inbound)

    def fetch(shop: DeliveryShop, _lookup: Lookup) -> list[Inbound]:
        return [Inbound("fetch.product", {}, b'{"type": "product"}', shop.channel.now())]

    monkeypatch.setattr(ModelShop, "normalise", normalise)
    monkeypatch.setattr(DeliveryShop, "fetch", fetch)
    monkeypatch.setattr(process, "WAITING_AT_ONCE", 5)
    webhook = hub.webhook(hub.add_channel("model_delivery", {}, "Shop"))
    with hub.runtime.sessions.begin() as session:
        session.execute(text("UPDATE channels SET status = 'paused'"))
    for number in range(12):
        sell(hub, webhook, number, product_id="P")
    hub.work()
    assert waiting(hub) == 12
    with hub.runtime.sessions.begin() as session:
        session.execute(text("UPDATE channels SET status = 'active'"))
    hub.work(rounds=12)
    assert waiting(hub) == 0
    assert {state for state, _, _ in hub.states()} == {"done"}
    hub.assert_clean()


def test_a_message_that_breaks_a_limit_of_the_database_is_set_aside_and_its_neighbours_go_through(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such an error is an OperationalError like a lock that was not to be had, but no waiting mends it."""
    post = Batch.post

    def limited(batch: Batch, session: Session, *more: Any) -> None:
        if any(u.delivery.key == "3" for u in batch.understood):
            session.execute(text("SELECT array_fill(1, ARRAY[1000000000])"))
        post(batch, session, *more)

    monkeypatch.setattr(Batch, "post", limited)
    webhook = hub.webhook(hub.add_channel("model_event", {}, "Shop"))
    for number in range(6):
        sell(hub, webhook, number, categories=())
    hub.work()
    rows = hub.rows("SELECT key, state, code FROM deliveries WHERE direction = 'inbound' ORDER BY key")
    assert [row.key for row in rows if row.state == "done"] == ["0", "1", "2", "4", "5"]
    assert [(row.key, row.state, row.code) for row in rows if row.state != "done"] == [
        ("3", "parked", "unexpected")
    ]
