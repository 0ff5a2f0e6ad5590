"""Orders first told of long after they were placed: a person decides (rules.md A9)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import requests

from hub.canonical import CustomerRef, Line, LineKind, Sale, SaleState
from hub.connect import limit_backdating
from hub.desk import place, reviews
from hub.outbox import deliveries
from hub.transactions.codec import sale_to_json
from tests.hubs import Hub, running_hub
from tests.model_shop import CONNECTORS

DOCUMENT = {"earn": {"points": 1, "per": {"VND": "10000"}}}
PHONE = "+84912345678"


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        hub.runtime.settings = replace(hub.runtime.settings, connectors=CONNECTORS)
        yield hub


@pytest.fixture
def shop(hub: Hub) -> str:
    channel = hub.add_channel("model_event", {}, "Shop")
    with hub.runtime.sessions.begin() as session:
        limit_backdating(session, channel, 30, actor="test")
    return hub.webhook(channel)


def tell(hub: Hub, webhook: str, name: str, days_ago: int, version: int = 1) -> None:
    placed = datetime.now(UTC) - timedelta(days=days_ago)
    line = Line("1", LineKind.GOODS, Decimal(1), 100_000, 0, categories=())
    sale = Sale(
        name, name, SaleState.PAID, "VND", (line,), placed, version=version, as_of=placed,
        customer=CustomerRef(phones=(PHONE,)),
    )  # fmt: skip
    headers = {"key": f"{name}-{version}", "topic": "t"}
    message = {"type": "sale", "sale": sale_to_json(sale)}
    assert requests.post(webhook, json=message, headers=headers, timeout=10).status_code == 200
    hub.work()


def decide(hub: Hub, *, approve: bool) -> int:
    (row,) = hub.rows("SELECT public_id FROM transactions WHERE review IS NOT NULL")
    return place.carry_out(
        hub.runtime, hub.program, "test", lambda d: reviews.decide(d, row.public_id, approve=approve)
    )


def test_an_order_within_the_limit_earns_at_once(hub: Hub, shop: str) -> None:
    tell(hub, shop, "a", 29)
    assert (hub.balance(phone=PHONE), hub.states()) == (10, [("done", "posted", None)])


def test_an_older_one_waits_and_earns_when_it_is_approved(hub: Hub, shop: str) -> None:
    tell(hub, shop, "a", 31)
    assert (hub.balance(phone=PHONE), hub.states()) == (0, [("waiting", "waiting", "review")])
    with hub.runtime.sessions() as session:
        assert [row["points"] for row in reviews.waiting(session, hub.program.id)] == [10]
    assert decide(hub, approve=True) == 10
    assert (hub.balance(phone=PHONE), hub.states()[0][:2]) == (10, ("done", "posted"))
    entries = hub.rows("SELECT id FROM entries")
    assert decide(hub, approve=True) == 10
    assert hub.rows("SELECT id FROM entries") == entries
    hub.assert_clean()


def test_a_declined_one_earns_nothing_whatever_comes_later(hub: Hub, shop: str) -> None:
    tell(hub, shop, "a", 31)
    assert decide(hub, approve=False) == 0
    tell(hub, shop, "a", 31, version=2)
    assert hub.balance(phone=PHONE) == 0
    assert [state for state, _, _ in hub.states()] == ["done", "done"]
    assert decide(hub, approve=True) == 10
    assert hub.balance(phone=PHONE) == 10
    hub.assert_clean()


def test_a_sale_that_is_moved_back_beyond_the_limit_keeps_what_it_has_until_decided(
    hub: Hub, shop: str
) -> None:
    tell(hub, shop, "a", 1)
    tell(hub, shop, "a", 400, version=2)
    assert hub.balance(phone=PHONE) == 10
    assert decide(hub, approve=False) == 0
    assert hub.balance(phone=PHONE) == 0
    hub.assert_clean()


def test_a_replay_does_not_ask_again(hub: Hub, shop: str) -> None:
    tell(hub, shop, "a", 31)
    decide(hub, approve=True)
    (row,) = hub.rows("SELECT id FROM deliveries WHERE direction = 'inbound'")
    with hub.runtime.sessions.begin() as session:
        deliveries.replay(session, [row.id])
    hub.work()
    assert hub.balance(phone=PHONE) == 10
    assert hub.states()[0][0] == "done"
    hub.assert_clean()


def test_without_a_limit_orders_of_any_age_earn(hub: Hub) -> None:
    tell(hub, hub.webhook(hub.add_channel("model_event", {}, "Old shop")), "a", 700)
    assert hub.balance(phone=PHONE) == 10
