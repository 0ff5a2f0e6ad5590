"""What a message lacks: look-ups, copies of sales made elsewhere, twins, guests, late rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from connectors.woocommerce.sandbox import WooCommerceSandbox
from hub.canonical import CustomerRef, Line, LineKind, Origin, Sale, SaleState
from hub.transactions.codec import sale_to_json
from tests.hubs import Hub, Running, running_hub
from tests.model_shop import CONNECTORS

DOCUMENT = {"earn": {"points": 1, "per": {"VND": "10000"}, "exclude_categories": ["Trousers"]}}
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        hub.runtime.settings = replace(hub.runtime.settings, connectors=CONNECTORS)
        yield hub


def sale(external_id: str, amount: int = 100_000, **change: Any) -> Sale:
    fields: dict[str, Any] = {
        "number": external_id,
        "state": SaleState.PAID,
        "currency": "VND",
        "lines": (Line("1", LineKind.GOODS, Decimal(1), amount, 0, categories=()),),
        "placed_at": NOON,
        "version": 1,
        "as_of": NOON,
        "customer": CustomerRef(phones=("0912345678",)),
    }
    return Sale(external_id, **(fields | change))


def tell(hub: Hub, webhook: str, told: Sale, key: str) -> None:
    body = json.dumps({"type": "sale", "sale": sale_to_json(told)})
    answer = requests.post(webhook, data=body, headers={"key": key, "topic": "sale"}, timeout=10)
    assert answer.status_code == 200


@pytest.fixture
def shop(hub: Hub) -> str:
    return hub.webhook(hub.add_channel("model_event", {}, "Shop"))


def test_a_sale_waits_for_the_categories_its_rules_need_and_is_judged_then(hub: Hub) -> None:
    sandbox = WooCommerceSandbox()
    with Running(sandbox) as address:
        hub.connect(sandbox, address)
        lines = [
            {"sku": "SHIRT", "name": "Shirt", "quantity": 1, "price": "300000", "category": "Shirts"},
            {"sku": "JEANS", "name": "Jeans", "quantity": 1, "price": "500000", "category": "Trousers"},
        ]
        wish = {"customer": {"name": "Ann", "phone": "0912345678"}, "currency": "VND", "lines": lines,
                "state": "fulfilled"}  # fmt: skip
        assert requests.post(f"{address}/_sandbox/sales", json=wish, timeout=10).ok
        hub.work(1)
        waiting = hub.rows("SELECT waiting_for FROM transactions")
        assert [row.waiting_for for row in waiting] == ["lookup"]
        assert hub.balance(phone="+84912345678") == 0
        hub.work()
    assert hub.balance(phone="+84912345678") == 30
    assert {s[0] for s in hub.states()} == {"done"}
    hub.assert_clean()


def test_a_copy_of_a_sale_made_in_a_connected_channel_earns_nothing(hub: Hub, shop: str) -> None:
    hub.add_channel("model_delivery", {}, "Other shop")
    copy = sale("7", origin=Origin("model_delivery", "web-7"))
    tell(hub, shop, copy, "a")
    hub.work()
    assert hub.states() == [("done", "ignored", "copy_of_another_channel")]
    assert hub.rows("SELECT 1 FROM entries") == []


def test_two_equal_sales_in_two_channels_are_suspected_and_never_merged(hub: Hub, shop: str) -> None:
    other = hub.webhook(hub.add_channel("model_delivery", {}, "Other shop"))
    tell(hub, shop, sale("1"), "a")
    tell(hub, other, sale("x"), "b")
    hub.work()
    assert hub.balance(phone="+84912345678") == 20
    assert len(hub.rows("SELECT 1 FROM suspected_twins")) == 1


def test_a_guest_sale_is_stored_and_computed_and_given_to_whoever_is_named_later(
    hub: Hub, shop: str
) -> None:
    tell(hub, shop, sale("1", customer=None), "a")
    hub.work()
    assert hub.states() == [("done", "no_change", "guest")]
    assert hub.rows("SELECT points, member_id FROM transactions")[0] == (10, None)
    tell(hub, shop, sale("1", version=2), "b")
    hub.work()
    assert hub.balance(phone="+84912345678") == 10
    hub.assert_clean()


def test_absence_never_takes_a_sale_from_its_member(hub: Hub, shop: str) -> None:
    """A3: a later message that names nobody does not wipe the attribution."""
    tell(hub, shop, sale("1"), "a")
    tell(hub, shop, sale("1", version=2, customer=None), "b")
    hub.work()
    assert hub.balance(phone="+84912345678") == 10


def test_a_sale_before_the_programme_began_is_ignored(hub: Hub, shop: str) -> None:
    tell(hub, shop, sale("1", placed_at=datetime(2019, 12, 31, tzinfo=UTC)), "a")
    hub.work()
    assert hub.states() == [("done", "ignored", "before_program_start")]


def test_conflicting_keys_of_one_message_become_a_suggestion_and_the_stronger_wins(
    hub: Hub, shop: str
) -> None:
    tell(hub, shop, sale("1", customer=CustomerRef(phones=("0912345678",))), "a")
    tell(hub, shop, sale("2", customer=CustomerRef(emails=("ann@example.com",))), "b")
    both = CustomerRef(phones=("0912345678",), emails=("ann@example.com",))
    tell(hub, shop, sale("3", customer=both), "c")
    hub.work()
    assert hub.balance(phone="+84912345678") == 20
    assert hub.balance(email="ann@example.com") == 10
    assert [row.reason for row in hub.rows("SELECT reason FROM merge_suggestions")] == [
        "email_of_another"
    ]


def test_products_that_many_sales_lack_are_asked_for_together_and_only_once(hub: Hub) -> None:
    """WooCommerce answers fifty at once; what is known by then is not asked for again."""
    sandbox = WooCommerceSandbox()
    with Running(sandbox) as address:
        hub.connect(sandbox, address)

        def buy(*skus: int) -> None:
            lines = [
                {"sku": f"S{n}", "name": "S", "quantity": 1, "price": "10000", "category": "Shirts"}
                for n in skus
            ]
            wish = {
                "customer": {"name": "Ann", "phone": "0912345678"}, "currency": "VND", "lines": lines,
                "state": "fulfilled",
            }  # fmt: skip
            assert requests.post(f"{address}/_sandbox/sales", json=wish, timeout=10).ok

        buy(*range(40))
        buy(*range(30, 70))
        hub.work()
        asked = "SELECT 1 FROM deliveries WHERE topic = 'fetch.product' AND direction = 'outbound'"
        assert len(hub.rows(asked)) == 2
        assert len(hub.rows("SELECT 1 FROM products")) == 70
        buy(*range(0, 70, 7))
        hub.work()
        assert len(hub.rows(asked)) == 2
    assert hub.balance(phone="+84912345678") == 90
    hub.assert_clean()
