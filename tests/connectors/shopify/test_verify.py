"""Who may speak for a shop, and which messages are the same delivery."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from connectors.shopify.connector import ShopifyConnector
from hub.connector import Inbound, Verdict
from hub.errors import BadSignature
from tests.connectors.channel import Channel, message
from tests.connectors.shopify.conftest import SECRET

Deliveries = Mapping[str, Inbound]


def signed(body: bytes, secret: str, **headers: str) -> Inbound:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    known = {
        "x-shopify-hmac-sha256": base64.b64encode(digest).decode(),
        "x-shopify-shop-domain": "example.myshopify.com",
        "x-shopify-topic": "orders/paid",
    }
    return message("orders/paid", body, {**known, **headers})


def test_every_recorded_message_verifies(shopify: ShopifyConnector, deliveries: Deliveries) -> None:
    assert {shopify.verify(inbound) for inbound in deliveries.values()} == {Verdict.VERIFIED}


def test_one_changed_byte_does_not_verify(shopify: ShopifyConnector, deliveries: Deliveries) -> None:
    inbound = deliveries["orders-paid"]
    with pytest.raises(BadSignature) as refused:
        shopify.verify(replace(inbound, body=inbound.body.replace(b"12.40", b"92.40", 1)))
    assert refused.value.code == "bad_signature"


def test_a_body_that_was_parsed_and_printed_again_does_not_verify(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    inbound = deliveries["orders-paid"]
    with pytest.raises(BadSignature):
        shopify.verify(replace(inbound, body=json.dumps(json.loads(inbound.body)).encode()))


def test_the_secret_before_a_rotation_still_verifies(channel: Channel) -> None:
    channel.settings = {**channel.settings, "previous_webhook_secret": "old"}
    connector = ShopifyConnector(channel)
    assert connector.verify(signed(b"{}", "old")) is Verdict.VERIFIED
    assert connector.verify(signed(b"{}", SECRET)) is Verdict.VERIFIED
    with pytest.raises(BadSignature):
        connector.verify(signed(b"{}", "older"))


def test_an_empty_previous_secret_opens_nothing(shopify: ShopifyConnector) -> None:
    with pytest.raises(BadSignature):
        shopify.verify(signed(b"{}", ""))


@pytest.mark.parametrize(
    ("signature", "code"),
    [
        ("", "no_signature"),
        ("%%%", "bad_signature"),
        ("é", "bad_signature"),
        ("YWJj", "bad_signature"),
        ("a" * 4000, "bad_signature"),
    ],
)
def test_a_garbage_signature_is_refused(shopify: ShopifyConnector, signature: str, code: str) -> None:
    inbound = signed(b"{}", SECRET, **{"x-shopify-hmac-sha256": signature})
    with pytest.raises(BadSignature) as refused:
        shopify.verify(inbound)
    assert refused.value.code == code


@pytest.mark.parametrize("shop", ["other.myshopify.com", "", "example.myshopify.com.evil.com"])
def test_a_message_of_another_shop_is_refused_although_the_app_signed_it(
    shopify: ShopifyConnector, shop: str
) -> None:
    with pytest.raises(BadSignature) as refused:
        shopify.verify(signed(b"{}", SECRET, **{"x-shopify-shop-domain": shop}))
    assert refused.value.code == "other_shop"


def test_a_recorded_message_verifies_with_nothing_but_the_secret(deliveries: Deliveries) -> None:
    connector = ShopifyConnector(Channel({"webhook_secret": SECRET}))
    assert connector.verify(deliveries["orders-delete"]) is Verdict.VERIFIED


def test_the_delivery_key_is_the_webhook_id_not_the_event_id(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    inbound = deliveries["orders-paid"]
    assert shopify.delivery_key(inbound) == inbound.headers["x-shopify-webhook-id"]
    assert len({shopify.delivery_key(i) for i in deliveries.values()}) == len(deliveries)


def test_without_a_webhook_id_the_same_bytes_are_the_same_delivery(shopify: ShopifyConnector) -> None:
    first, again = message("orders/paid", b'{"id":1}'), message("orders/paid", b'{"id":1}')
    assert shopify.delivery_key(first) == shopify.delivery_key(again)
    later = message("orders/paid", b'{"id":1}', {"X-Shopify-Triggered-At": "2026-11-03T00:00:00Z"})
    other = message("orders/create", b'{"id":1}')
    keys = {shopify.delivery_key(i) for i in (first, later, other)}
    assert len(keys) == 3


def test_the_topic_comes_from_its_header(shopify: ShopifyConnector) -> None:
    assert shopify.topic({"x-shopify-topic": " Orders/Paid "}, b"") == "orders/paid"
    assert shopify.topic({}, b"") == ""


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("orders-paid", "#1001"),
        ("orders-delete", "6200362140001"),
        ("orders-edited", "6200362140001"),
        ("refunds-create-lines", "6200360501551"),
    ],
)
def test_a_message_is_described_by_its_order(
    shopify: ShopifyConnector, deliveries: Deliveries, name: str, number: str
) -> None:
    assert shopify.describe(deliveries[name]) == number


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b'{"id": null, "name": []}'])
def test_what_says_nothing_is_described_as_nothing(shopify: ShopifyConnector, body: bytes) -> None:
    assert shopify.describe(message("orders/paid", body)) == ""
