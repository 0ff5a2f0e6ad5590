"""JSON that breaks parsers ends as a result or as the payload's fault, whatever topic it claims."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from connectors.generic_pos.connector import GenericPosConnector
from connectors.shopify.connector import ShopifyConnector
from connectors.woocommerce.connector import WooCommerceConnector
from hub.connector import Connector
from hub.errors import BadPayload
from tests.connectors.channel import Channel, message

CASES = Path(__file__).parents[3] / "shared" / "data" / "json_torture.json"
TOPICS: list[tuple[type[Connector], str]] = [
    *((WooCommerceConnector, topic) for topic in ("order.updated", "order.deleted", "customer.created")),
    *(
        (WooCommerceConnector, topic)
        for topic in ("coupon.created", "action.woocommerce_order_refunded")
    ),
    *((WooCommerceConnector, topic) for topic in ("fetch.sale", "fetch.refunds", "fetch.product")),
    (GenericPosConnector, ""),
    *((ShopifyConnector, topic) for topic in ("orders/create", "refunds/create", "customers/update")),
]


def _body(case: dict[str, Any]) -> bytes:
    if "base64" in case:
        return bytes(base64.b64decode(case["base64"]))
    made = case["generate"]
    return f"{made['repeat'] * made['times']}{made.get('then', '')}".encode()


@pytest.mark.skipif(not CASES.is_file(), reason="the torture cases do not stand beside the checkout")
@pytest.mark.parametrize(("kind", "topic"), TOPICS, ids=lambda v: v if isinstance(v, str) else v.kind)
def test_tortured_json_is_never_the_hubs_fault(kind: type[Connector], topic: str) -> None:
    connector = kind(Channel({"webhook_secret": "s"}))
    cases = json.loads(CASES.read_text())["cases"]
    refused = 0
    for case in cases:
        inbound = message(topic, _body(case), {"X-Hub-Lookup": "1", "X-Hub-Currency": "USD"})
        connector.topic(inbound.headers, inbound.body)
        connector.describe(inbound)
        try:
            connector.normalise(inbound)
        except BadPayload:
            refused += 1
    assert refused > len(cases) // 2
