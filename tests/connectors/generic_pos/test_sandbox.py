"""The stand-in for a till: what it sends is what the hub asks tills to send."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import requests

import connectors.generic_pos
from connectors.generic_pos.connector import GenericPosConnector
from connectors.generic_pos.sandbox import TillSandbox
from connectors.sandbox_kit import Running
from hub.canonical import Customer, Deleted, Happening, Refund, Sale, SaleState
from tests.connectors.channel import Channel
from tests.connectors.receiver import Receiver

SCHEMA = Path(connectors.generic_pos.__file__).parent / "hub.sale-1.schema.json"
TEA = {"sku": "TEA", "name": "Trà", "quantity": 2, "price": "50000", "category": "Tea"}
MAI = {"name": "Mai", "phone": "+84912345678"}


class Counter:
    """A till, its address, and a hub that listens."""

    def __init__(self, url: str, hub: Receiver) -> None:
        self.url = url
        self.hub = hub
        settings = requests.get(f"{url}/_sandbox/settings", timeout=5).json()["settings"]
        self.connector = GenericPosConnector(Channel(settings))
        self.steer("connect", webhook_url=hub.url)

    def steer(self, path: str, **wish: Any) -> Any:
        answer = requests.post(f"{self.url}/_sandbox/{path}", json=wish, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def buy(self, **wish: Any) -> str:
        return str(self.steer("sales", **{"customer": MAI, "lines": [TEA], **wish})["external_id"])

    def act(self, sale: str, verb: str, **wish: Any) -> Any:
        return self.steer(f"sales/{sale}/{verb}", **wish)

    def told(self) -> list[Happening]:
        """Everything the hub was told, verified and understood."""
        inbox = self.hub.inbox(self.connector)
        for inbound in inbox:
            self.connector.verify(inbound)
            jsonschema.validate(json.loads(inbound.body), json.loads(SCHEMA.read_text()))
        return [h for inbound in inbox for h in self.connector.normalise(inbound)]


@pytest.fixture
def counter() -> Iterator[Counter]:
    with Receiver() as hub, Running(TillSandbox()) as url:
        yield Counter(url, hub)


def test_a_sale_is_told_whole_each_time_it_changes(counter: Counter) -> None:
    sale = counter.buy(state="pending", shipping="15000")
    counter.act(sale, "pay")
    counter.act(sale, "edit", lines=[TEA, {"sku": "CUP", "quantity": 1, "price": "30000"}])
    counter.act(sale, "claim", customer={"card": "9704"})
    counter.act(sale, "fulfil")
    told = counter.told()
    assert all(isinstance(h, Sale) and h.external_id == sale for h in told)
    sales = [h for h in told if isinstance(h, Sale)]
    assert [s.version for s in sales] == [1, 2, 3, 4, 5]
    assert [s.state for s in sales] == [
        SaleState.PENDING,
        *[SaleState.PAID] * 3,
        SaleState.FULFILLED,
    ]
    assert [len(s.lines) for s in sales] == [1, 1, 2, 2, 2]
    assert sales[3].customer is not None
    assert sales[3].customer.cards == ("9704",)
    assert [s.as_of for s in sales] == sorted(s.as_of for s in sales)


def test_a_refund_never_changes_the_sale(counter: Counter) -> None:
    sale = counter.buy()
    refund = counter.act(sale, "refund", lines=[{"sku": "TEA", "quantity": 1}], pending=True)["refund"]
    counter.act(sale, "settle_refund", refund=refund)
    sold, pending, settled = counter.told()
    assert isinstance(sold, Sale)
    assert isinstance(pending, Refund)
    assert isinstance(settled, Refund)
    assert (pending.external_id, pending.sale_external_id) == (refund, sale)
    assert [(r.version, r.money[0].status) for r in (pending, settled)] == [
        (1, "pending"),
        (2, "success"),
    ]
    assert (int(settled.lines[0].quantity), settled.money[0].amount) == (1, 50000)


def test_a_void_is_final(counter: Counter) -> None:
    sale = counter.buy()
    counter.act(sale, "delete")
    gone = counter.told()[-1]
    assert isinstance(gone, Deleted)
    assert (gone.external_id, gone.final) == (sale, True)


def test_a_cancelled_order_is_cancelled(counter: Counter) -> None:
    counter.act(counter.buy(), "cancel")
    last = counter.told()[-1]
    assert isinstance(last, Sale)
    assert last.state is SaleState.CANCELLED


def test_a_new_customer_is_introduced_once(counter: Counter) -> None:
    for _ in range(2):
        counter.buy(customer={**MAI, "external_id": "K7"})
    assert [type(h) for h in counter.told()] == [Customer, Sale, Sale]


def test_a_message_sent_again_is_the_same_delivery_signed_anew(counter: Counter) -> None:
    counter.buy()
    counter.steer("resend", n="last", times=2)
    inbox = counter.hub.inbox(counter.connector)
    assert len(inbox) == 3
    assert len({counter.connector.delivery_key(m) for m in inbox}) == 1
    assert len({m.body for m in inbox}) == 1


def test_what_the_hub_did_not_take_can_be_sent_again(counter: Counter) -> None:
    counter.hub.status = 503
    counter.buy()
    outbox = requests.get(f"{counter.url}/_sandbox/outbox", timeout=5).json()
    assert [o["status"] for o in outbox] == [503]
    counter.hub.status = 200
    counter.steer("resend", n=[outbox[0]["n"]])
    assert requests.get(f"{counter.url}/_sandbox/outbox", timeout=5).json()[0]["status"] == 200


def test_held_messages_come_in_the_order_that_is_asked_for(counter: Counter) -> None:
    counter.steer("hold")
    sale = counter.buy()
    counter.act(sale, "refund")
    counter.steer("release", order="reversed")
    assert [h.kind for h in counter.told()] == ["refund", "sale"]
