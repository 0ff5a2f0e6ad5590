"""Messages of each kind of channel as the platform would send them: signed, with plausible headers.

Written from the platforms' documents, not from the connectors, so that a mistake there shows here.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

KEY = b"a secret of the tests, 32 bytes."
SECRET = base64.b64encode(KEY).decode()
SHOP = "corner.myshopify.com"

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "shopify": {"shop": SHOP, "webhook_secret": SECRET, "access_token": "shpat_test"},
    "woocommerce": {
        "store_url": "https://shop.example.com",
        "consumer_key": "ck_test",
        "consumer_secret": "cs_test",
        "webhook_secret": SECRET,
    },
    "generic_pos": {"webhook_secret": f"whsec_{SECRET}"},
}
"""Kind -> what connects a channel that nothing is pushed to."""

TOPICS: Mapping[str, tuple[str, ...]] = {
    "shopify": ("orders/create", "refunds/create", "customers/update", "orders/delete"),
    "woocommerce": ("order.updated", "order.deleted", "customer.created", "coupon.created"),
    "generic_pos": ("hub.sale/1",),
}


def headers(kind: str, body: bytes, message_id: str, topic: str = "") -> dict[str, str]:
    """The headers under which a channel with `SETTINGS` takes this body."""
    signed = _SIGNED[kind](body, message_id, topic or TOPICS[kind][0])
    return {"Content-Type": "application/json", **signed}


def _shopify(body: bytes, message_id: str, topic: str) -> dict[str, str]:
    """https://shopify.dev/docs/apps/build/webhooks/verify-deliveries"""
    return {
        "X-Shopify-Topic": topic,
        "X-Shopify-Hmac-Sha256": _hmac(SECRET.encode(), body),
        "X-Shopify-Shop-Domain": SHOP,
        "X-Shopify-API-Version": "2026-10",
        "X-Shopify-Webhook-Id": message_id,
        "X-Shopify-Event-Id": f"event-{message_id}",
        "X-Shopify-Triggered-At": "2026-11-02T03:04:05.123456789Z",
    }


def _woocommerce(body: bytes, message_id: str, topic: str) -> dict[str, str]:
    """https://woocommerce.com/document/webhooks/"""
    resource, _, event = topic.partition(".")
    return {
        "X-WC-Webhook-Source": "https://shop.example.com/",
        "X-WC-Webhook-Topic": topic,
        "X-WC-Webhook-Resource": resource,
        "X-WC-Webhook-Event": event,
        "X-WC-Webhook-Signature": _hmac(SECRET.encode(), body),
        "X-WC-Webhook-ID": "7",
        "X-WC-Webhook-Delivery-ID": message_id,
    }


def _generic_pos(body: bytes, message_id: str, topic: str) -> dict[str, str]:
    """https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"""
    when = str(int(time.time()))
    signature = _hmac(KEY, f"{message_id}.{when}.".encode() + body)
    return {"webhook-id": message_id, "webhook-timestamp": when, "webhook-signature": f"v1,{signature}"}


def _hmac(key: bytes, content: bytes) -> str:
    return base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


_SIGNED: Mapping[str, Callable[[bytes, str, str], dict[str, str]]] = {
    "shopify": _shopify,
    "woocommerce": _woocommerce,
    "generic_pos": _generic_pos,
}


def till_sale(number: int | str, phone: str, net: int = 50_000, version: int = 1, **more: Any) -> bytes:
    """A paid sale of one line at a till, in the hub's own format."""
    sale = {
        "type": "hub.sale/1",
        "id": f"sale-{number}",
        "version": version,
        "number": str(number),
        "state": "paid",
        "currency": "VND",
        "placed_at": "2026-11-01T03:04:05Z",
        "customer": {"phone": phone},
        "lines": [
            {
                "id": "1",
                "kind": "goods",
                "name": "Tea",
                "quantity": 1,
                "unit_price": str(net),
                "net": str(net),
            }
        ],
    }
    return json.dumps(sale | more).encode()
