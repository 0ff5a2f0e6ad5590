"""Signatures, the creation ping, topics and delivery keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from connectors.woocommerce.connector import WooCommerceConnector
from hub.connector import Inbound, Verdict
from hub.errors import BadSignature, Misconfigured
from tests.connectors.channel import Channel, message

Deliveries = Mapping[str, Inbound]
PING = {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": "WooCommerce/10.5.0"}


def test_every_recorded_delivery_is_signed_by_the_shop(
    woo: WooCommerceConnector, deliveries: Deliveries
) -> None:
    verdicts = {number: woo.verify(inbound) for number, inbound in deliveries.items()}
    assert verdicts.pop("001") is Verdict.PING
    assert set(verdicts.values()) == {Verdict.VERIFIED}


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda m: replace(m, body=m.body + b" "), id="a byte more"),
        pytest.param(lambda m: replace(m, body=m.body.replace(rb"\/", b"/")), id="re-serialised"),
        pytest.param(lambda m: replace(m, body=b""), id="empty"),
        pytest.param(lambda m: _signed(m, "garbage"), id="garbage"),
        pytest.param(lambda m: _signed(m, ""), id="blank"),
        pytest.param(lambda m: _signed(m, "\u00e9\u1ec7" * 20), id="no base64 at all"),
        pytest.param(lambda m: _signed(m, m.headers["x-wc-webhook-signature"].lower()), id="lowered"),
    ],
)
def test_a_wrong_signature_is_refused(
    woo: WooCommerceConnector, deliveries: Deliveries, spoil: object
) -> None:
    with pytest.raises(BadSignature) as caught:
        woo.verify(spoil(deliveries["017"]))  # type: ignore[operator]
    assert caught.value.code == "bad_signature"
    assert "webhook_secret" in caught.value.detail


def test_a_message_without_a_signature_is_refused(
    woo: WooCommerceConnector, deliveries: Deliveries
) -> None:
    headers = dict(deliveries["017"].headers)
    del headers["x-wc-webhook-signature"]
    with pytest.raises(BadSignature) as caught:
        woo.verify(replace(deliveries["017"], headers=headers))
    assert caught.value.code == "no_signature"


def test_the_previous_secret_still_counts(channel: Channel, deliveries: Deliveries) -> None:
    channel.settings = {"webhook_secret": "new", "previous_webhook_secret": "hub-secret-1"}
    assert WooCommerceConnector(channel).verify(deliveries["017"]) is Verdict.VERIFIED
    channel.settings = {"webhook_secret": "new", "previous_webhook_secret": ""}
    with pytest.raises(BadSignature):
        WooCommerceConnector(channel).verify(deliveries["017"])


def test_no_secret_verifies_nothing(channel: Channel, deliveries: Deliveries) -> None:
    channel.settings = {"webhook_secret": ""}
    with pytest.raises(Misconfigured):
        WooCommerceConnector(channel).verify(deliveries["017"])


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({**PING, "X-WC-Webhook-Topic": "order.created"}, "webhook_id=7"),
        ({**PING, "Content-Type": "application/json"}, "webhook_id=7"),
        (PING, "webhook_id=7&id=1"),
        (PING, "webhook_id="),
        (PING, "webhook_id=7\n"),
        (PING, "webhook_id=" + "7" * 21),
        (PING, "webhook_ids=7"),
        (PING, '{"id":7}'),
        (PING, ""),
    ],
)
def test_what_only_looks_like_a_ping_is_refused(
    woo: WooCommerceConnector, headers: dict[str, str], body: str
) -> None:
    with pytest.raises(BadSignature):
        woo.verify(message("", body, headers))


def test_a_ping_is_told_by_its_form_alone(woo: WooCommerceConnector) -> None:
    charset = {**PING, "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
    ping = message("", "webhook_id=12", charset)
    assert woo.verify(ping) is Verdict.PING
    assert woo.topic(ping.headers, ping.body) == "ping"


def test_nobody_can_pass_off_a_message_as_the_answer_of_a_look_up(woo: WooCommerceConnector) -> None:
    assert woo.topic({"x-wc-webhook-topic": "fetch.sale"}, b"{}") == ""
    assert woo.topic({"x-wc-webhook-topic": "ping"}, b"{}") == ""
    assert woo.topic({}, b"{}") == ""
    assert woo.topic({"x-wc-webhook-topic": "order.updated"}, b"{}") == "order.updated"


def test_two_refunds_with_one_body_are_two_deliveries(
    woo: WooCommerceConnector, deliveries: Deliveries
) -> None:
    first, second = deliveries["034"], deliveries["037"]
    assert first.body == second.body
    assert first.topic == second.topic
    assert woo.delivery_key(first) != woo.delivery_key(second)


def test_one_delivery_id_in_one_second_does_not_join_two_orders(
    woo: WooCommerceConnector, deliveries: Deliveries
) -> None:
    first = deliveries["178"]
    headers = {**deliveries["179"].headers, **_ids(first)}
    second = replace(deliveries["179"], headers=headers)
    assert woo.delivery_key(first) != woo.delivery_key(second)


def test_trash_restore_trash_are_three_deliveries(
    woo: WooCommerceConnector, deliveries: Deliveries
) -> None:
    trash = deliveries["051"]
    later = replace(trash, headers={**trash.headers, "x-wc-webhook-delivery-id": "a second later"})
    restored = replace(trash, topic="order.restored")
    assert len({woo.delivery_key(m) for m in (trash, restored, later)}) == 3


def test_the_very_same_message_again_is_the_same_delivery(
    woo: WooCommerceConnector, deliveries: Deliveries
) -> None:
    keys = {woo.delivery_key(m) for m in deliveries.values()}
    assert len(keys) == len(deliveries)
    assert {woo.delivery_key(replace(m)) for m in deliveries.values()} == keys


def test_the_parts_of_a_key_cannot_be_shifted(woo: WooCommerceConnector) -> None:
    one = message("t", b"b", {"x-wc-webhook-id": "1", "x-wc-webhook-delivery-id": "23"})
    other = message("t", b"b", {"x-wc-webhook-id": "12", "x-wc-webhook-delivery-id": "3"})
    assert woo.delivery_key(one) != woo.delivery_key(other)


def test_the_same_answer_at_another_time_is_news(woo: WooCommerceConnector) -> None:
    monday = message("fetch.sale", b"{}", {"Date": "Mon, 23 Nov 2026 01:00:00 GMT", "X-Hub-Lookup": "1"})
    tuesday = message(
        "fetch.sale", b"{}", {"Date": "Tue, 24 Nov 2026 01:00:00 GMT", "X-Hub-Lookup": "1"}
    )
    other = message("fetch.sale", b"{}", {"Date": "Mon, 23 Nov 2026 01:00:00 GMT", "X-Hub-Lookup": "2"})
    assert len({woo.delivery_key(m) for m in (monday, tuesday, other)}) == 3


@pytest.mark.parametrize(
    ("number", "name"), [("017", "17"), ("019", "17"), ("051", "28"), ("015", "2"), ("001", "")]
)
def test_a_list_names_what_a_message_is_about(
    woo: WooCommerceConnector, deliveries: Deliveries, number: str, name: str
) -> None:
    assert woo.describe(deliveries[number]) == name


def _signed(inbound: Inbound, signature: str) -> Inbound:
    return replace(inbound, headers={**inbound.headers, "x-wc-webhook-signature": signature})


def _ids(inbound: Inbound) -> dict[str, str]:
    return {n: inbound.headers[n] for n in ("x-wc-webhook-id", "x-wc-webhook-delivery-id")}
