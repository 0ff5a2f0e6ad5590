"""A Shopify channel, recorded messages in the shape of real ones, and a shop to push to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from connectors.sandbox_kit import Running
from connectors.shopify.connector import ShopifyConnector
from connectors.shopify.sandbox import ShopifySandbox
from hub.canonical import Sale
from hub.connector import Inbound
from hub.http import Http
from tests.connectors.channel import NOON, Channel
from tests.connectors.recorded import TESTS, recorded

SECRET = "hush-shopify"
SETTINGS = {
    "shop": "example.myshopify.com",
    "webhook_secret": SECRET,
    "previous_webhook_secret": "",
    "access_token": "shpat_pasted",
    "client_id": "",
    "client_secret": "",
    "api_version": "2026-10",
    "api_base": "",
}


@pytest.fixture
def channel() -> Channel:
    return Channel(dict(SETTINGS), Http(allow_private=["example.myshopify.com"]), currency="USD")


@pytest.fixture
def shopify(channel: Channel) -> ShopifyConnector:
    return ShopifyConnector(channel)


@pytest.fixture(scope="session")
def deliveries() -> Mapping[str, Inbound]:
    """Our own set, by its name without number ("orders-paid")."""
    found = recorded(ShopifyConnector(Channel({})), TESTS / "payloads" / "shopify")
    return {name.partition("-")[2]: inbound for name, inbound in found.items()}


@dataclass
class Shop:
    """A sandbox over HTTP, and the connector of the channel that is connected to it."""

    url: str
    sandbox: ShopifySandbox
    channel: Channel
    connector: ShopifyConnector

    def ask(self, path: str, **wish: Any) -> Any:
        """A control route of the sandbox; the answer must be a success."""
        answer = requests.post(f"{self.url}/_sandbox/{path}", json=wish, timeout=10)
        assert answer.ok, answer.text
        return answer.json()

    def sell(self, **wish: Any) -> str:
        """A sale; returns its id."""
        external_id: str = self.ask("sales", **wish)["external_id"]
        return external_id

    def ask_order(self, external_id: str) -> Any:
        """An order as the shop shows it."""
        return requests.get(f"{self.url}/_sandbox/sales/{external_id}", timeout=10).json()

    def customer(self, **wish: Any) -> str:
        """The id of a customer who has just bought something."""
        sold = self.sell(customer=wish, lines=[{"sku": "CUP", "price": "9.99"}])
        return str(self.sandbox.shop.orders[int(sold)]["customer"]["id"])

    def told(self, topic: str | None = None) -> list[Inbound]:
        """What the sandbox has sent to the hub (here nobody listens, the bytes are kept)."""
        sent = [o for o in self.sandbox.outbox if topic in (None, o.topic)]
        return [
            Inbound(o.topic, {k.lower(): v for k, v in o.headers.items()}, o.body, NOON) for o in sent
        ]

    def sale_of(self, inbound: Inbound) -> Sale:
        (found,) = self.connector.normalise(inbound)
        assert isinstance(found, Sale)
        return found


@pytest.fixture
def shop() -> Iterator[Shop]:
    sandbox = ShopifySandbox()
    with Running(sandbox) as url:
        settings = ShopifyConnector.settings_schema().load(sandbox.settings())
        channel = Channel(settings, Http(allow_private=["127.0.0.1"]), at=None, currency="USD")
        sandbox.connect(f"{url}/nobody/listens/here")
        yield Shop(url, sandbox, channel, ShopifyConnector(channel))
