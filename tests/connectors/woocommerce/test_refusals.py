"""What a store, or the host before it, refuses or leaves open, and what the hub makes of it: whose move it is, when it
is tried again, and that nothing is made twice."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import responses

from connectors.woocommerce.connector import WooCommerceConnector
from connectors.woocommerce.webhooks import TOPICS
from hub.connector import CreateCode, CustomerKey, RevokeCode
from hub.errors import ChannelDown, Rejected
from tests.connectors.channel import NOON, Channel

API = "https://shop.example.com/wp-json/wc/v3"
HERE = "https://hub.example.com/webhooks/abc"
REVOKE = RevokeCode("LYL-Q7F2-X9", "vch_1")
TEN_PERCENT = CreateCode(
    code="LYL-Q7F2-X9",
    voucher_id="vch_1",
    title="Ten percent off",
    customer=CustomerKey("mem_ann", external_id="7", email="ann@example.com"),
    starts_at=NOON,
    expires_at=None,
    percent=1000,
)
COUPON = {
    "id": 39,
    "code": "lyl-q7f2-x9",
    "amount": "10.00",
    "status": "publish",
    "discount_type": "percent",
    "date_expires_gmt": None,
    "usage_limit": 1,
    "minimum_amount": "0.00",
    "email_restrictions": ["ann@example.com"],
    "meta_data": [{"id": 1, "key": "_loyalty_hub_voucher", "value": "vch_1"}],
}


def refusal(code: str, message: str, status: int = 400) -> dict[str, Any]:
    return {"code": code, "message": message, "data": {"status": status}}


def hook(number: int, topic: str) -> dict[str, Any]:
    return {"id": number, "topic": topic, "status": "active", "delivery_url": HERE}


def asked(method: str) -> list[str]:
    """The paths that were asked with a method, in their order."""
    calls = [call.request for call in responses.calls if call.request.method == method]
    return [urlsplit(str(request.url)).path.removeprefix("/wp-json/wc/v3/") for request in calls]


# --- hosts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("30", timedelta(seconds=30)),
        ("Mon, 23 Nov 2026 05:10:00 GMT", timedelta(minutes=10)),
        ("864000", timedelta(hours=12)),
        ("Wed, 23 Dec 2026 05:00:00 GMT", timedelta(hours=12)),
        ("a while", None),
    ],
)
@responses.activate
def test_a_host_that_limits_is_left_alone_for_as_long_as_it_says(
    channel: Channel, woo: WooCommerceConnector, header: str, wait: timedelta | None
) -> None:
    """WooCommerce itself has no limit; what hosts send before it is a page of theirs."""
    channel.http.now = lambda: NOON
    page = "<html>429 Too Many Requests</html>"
    responses.get(f"{API}/coupons", status=429, headers={"Retry-After": header}, body=page)
    with pytest.raises(ChannelDown) as down:
        woo.push(REVOKE)
    assert (down.value.code, down.value.retry_at) == ("http_429", wait and NOON + wait)
    assert len(responses.calls) == 1


@responses.activate
def test_what_is_too_big_for_the_host_is_not_sent_again(woo: WooCommerceConnector) -> None:
    responses.post(f"{API}/coupons", status=413, body="<html>Request Entity Too Large</html>")
    with pytest.raises(Rejected) as refused:
        woo.push(TEN_PERCENT)
    assert (refused.value.code, refused.value.detail) == ("http_413", "the store answered 413")


@responses.activate
def test_no_list_asks_for_more_than_a_store_gives(woo: WooCommerceConnector) -> None:
    """More than a hundred at once is refused with 400, and the whole asking with it."""
    for path in ("orders", "customers", "webhooks"):
        responses.get(f"{API}/{path}", json=[])
    list(woo.reconcile(NOON - timedelta(days=1)))
    list(woo.history(NOON - timedelta(days=90)))
    woo.health()
    queries = [parse_qs(urlsplit(str(call.request.url)).query) for call in responses.calls]
    sizes = [int(query["per_page"][0]) for query in queries if "per_page" in query]
    assert len(sizes) >= 3
    assert all(1 <= size <= 100 for size in sizes)


@responses.activate
def test_a_size_of_page_that_a_store_refuses_is_told_in_its_words(woo: WooCommerceConnector) -> None:
    said = refusal("rest_invalid_param", "Invalid parameter(s): per_page")
    responses.get(f"{API}/orders", status=400, json=said)
    with pytest.raises(Rejected) as refused:
        list(woo.reconcile(NOON - timedelta(days=1)))
    assert (refused.value.code, refused.value.detail) == ("rest_invalid_param", said["message"])


# --- webhooks ------------------------------------------------------------------------------------


@responses.activate
def test_a_topic_that_a_store_does_not_know_is_told_in_its_words(woo: WooCommerceConnector) -> None:
    said = refusal("woocommerce_rest_invalid_topic", "Webhook topic must be valid.")
    responses.get(f"{API}/webhooks", json=[])
    responses.post(f"{API}/webhooks", status=400, json=said)
    with pytest.raises(Rejected) as refused:
        woo.install()
    assert (refused.value.code, refused.value.detail) == (said["code"], said["message"])
    assert asked("POST") == ["webhooks"]  # no other topic was tried on top


@responses.activate
def test_a_webhook_made_by_an_answer_of_500_is_not_made_twice(woo: WooCommerceConnector) -> None:
    there = [hook(n, topic) for n, topic in enumerate(TOPICS[1:], start=2)]
    responses.get(f"{API}/webhooks", json=there)
    responses.post(f"{API}/webhooks", status=500, body="<html>There has been a critical error</html>")
    responses.get(f"{API}/webhooks", json=[*there, hook(1, TOPICS[0])])
    assert woo.install().made == (TOPICS[0],)
    assert asked("POST") == ["webhooks"]


@responses.activate
def test_a_webhook_that_a_500_did_not_make_is_made_by_the_next_try(woo: WooCommerceConnector) -> None:
    there = [hook(n, topic) for n, topic in enumerate(TOPICS[1:], start=2)]
    responses.get(f"{API}/webhooks", json=there)
    responses.post(f"{API}/webhooks", status=500, body="<html>There has been a critical error</html>")
    with pytest.raises(ChannelDown) as down:
        woo.install()
    assert down.value.code == "http_500"
    responses.replace("POST", f"{API}/webhooks", status=201, json=hook(1, TOPICS[0]))
    assert woo.install().made == (TOPICS[0],)
    assert json.loads(responses.calls[-1].request.body or "")["topic"] == TOPICS[0]


# --- coupons -------------------------------------------------------------------------------------


@responses.activate
def test_a_coupon_made_by_an_answer_of_500_is_found_by_the_next_try(woo: WooCommerceConnector) -> None:
    """Seen: a request answered with 500 although what it asked for was saved."""
    responses.post(f"{API}/coupons", status=500, json=refusal("internal_server_error", "no", 500))
    with pytest.raises(ChannelDown) as down:
        woo.push(TEN_PERCENT)
    assert down.value.code == "http_500"
    taken = refusal("woocommerce_rest_coupon_code_already_exists", "The coupon code already exists")
    responses.replace("POST", f"{API}/coupons", status=400, json=taken)
    responses.get(f"{API}/coupons", json=[COUPON])
    receipt = woo.push(TEN_PERCENT)
    assert (receipt.external_id, receipt.changed) == ("39", False)
    assert asked("DELETE") == []


@responses.activate
def test_a_coupon_whose_deletion_is_answered_with_500_is_gone_at_the_next_try(
    woo: WooCommerceConnector,
) -> None:
    responses.get(f"{API}/coupons", json=[COUPON])
    responses.delete(f"{API}/coupons/39", status=500, body="<html>Error</html>")
    with pytest.raises(ChannelDown):
        woo.push(REVOKE)
    responses.replace("GET", f"{API}/coupons", json=[])
    receipt = woo.push(REVOKE)
    assert (receipt.changed, receipt.note) == (False, "no_such_code")


@responses.activate
def test_an_amount_that_a_store_refuses_waits_for_a_person(woo: WooCommerceConnector) -> None:
    said = refusal("woocommerce_rest_invalid_coupon_amount", "Invalid discount amount")
    responses.post(f"{API}/coupons", status=400, json=said)
    with pytest.raises(Rejected) as refused:
        woo.push(TEN_PERCENT)
    assert (refused.value.code, refused.value.detail) == (said["code"], said["message"])
