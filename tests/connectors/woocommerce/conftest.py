"""A WooCommerce channel and the deliveries recorded from a real store."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from connectors.woocommerce.connector import WooCommerceConnector
from hub.connector import Inbound
from hub.http import Http
from tests.connectors.channel import Channel
from tests.connectors.recorded import TESTS, recorded

SECRET = "hub-secret-1"
SETTINGS = {
    "store_url": "https://shop.example.com",
    "consumer_key": "ck_key",
    "consumer_secret": "cs_secret",
    "webhook_secret": SECRET,
    "previous_webhook_secret": "",
}


@pytest.fixture
def channel() -> Channel:
    return Channel(dict(SETTINGS), Http(allow_private=["shop.example.com", "127.0.0.1"]))


@pytest.fixture
def woo(channel: Channel) -> WooCommerceConnector:
    return WooCommerceConnector(channel)


@pytest.fixture(scope="session")
def deliveries() -> Mapping[str, Inbound]:
    """Our own representative set, by number ("034")."""
    found = recorded(WooCommerceConnector(Channel({})), TESTS / "payloads" / "woocommerce")
    return {name[:3]: inbound for name, inbound in found.items()}
