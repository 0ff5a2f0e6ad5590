"""Settings, look-ups and health."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import responses
from marshmallow import ValidationError

from connectors.woocommerce.connector import WooCommerceConnector, WooCommerceSettings
from hub.canonical import Deleted, Product, Refund, Sale
from hub.connector import Inbound, Lookup
from hub.errors import ChannelDown, Misconfigured, Rejected
from tests.connectors.channel import Channel
from tests.connectors.woocommerce.conftest import SETTINGS
from tests.connectors.woocommerce.test_normalise import refund_document

API = "https://shop.example.com/wp-json/wc/v3"
DATE = {"Date": "Mon, 23 Nov 2026 03:00:00 GMT"}
GONE = {
    "code": "woocommerce_rest_shop_order_invalid_id",
    "message": "Invalid ID.",
    "data": {"status": 404},
}


# --- settings ----------------------------------------------------------------------------------


def test_what_is_pasted_is_trimmed() -> None:
    loaded = WooCommerceSettings().load(
        {
            "store_url": " https://Shop.example.com/vn/ \n",
            "consumer_key": "ck_a ",
            "consumer_secret": "\tcs_b",
            "webhook_secret": " s\n",
        }
    )
    assert loaded == {
        "store_url": "https://Shop.example.com/vn",
        "consumer_key": "ck_a",
        "consumer_secret": "cs_b",
        "webhook_secret": "s",
        "previous_webhook_secret": "",
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("store_url", "shop.example.com"),
        ("store_url", "ftp://shop.example.com"),
        ("store_url", "https://user:pass@shop.example.com"),
        ("store_url", "https://shop.example.com/?rest_route=/"),
        ("store_url", "https://shop.example.com:99999"),
        ("store_url", "https://[::1"),
        ("store_url", "https://"),
        ("store_url", ""),
        ("consumer_key", "cs_swapped"),
        ("consumer_secret", "ck_swapped"),
        ("webhook_secret", "   "),
        ("webhook_secret", None),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        WooCommerceSettings().load({**SETTINGS, field: value})
    assert isinstance(caught.value.messages, dict)
    assert list(caught.value.messages) == [field]


def test_secrets_are_marked_so_that_they_are_kept_encrypted() -> None:
    secret = {n for n, f in WooCommerceSettings().fields.items() if f.metadata.get("secret")}
    assert secret == {"consumer_key", "consumer_secret", "webhook_secret", "previous_webhook_secret"}


@pytest.mark.parametrize(
    ("url", "identity"),
    [
        ("https://www.Shop.example.com", "shop.example.com"),
        ("http://shop.example.com", "shop.example.com"),
        ("https://shop.example.com/vn", "shop.example.com/vn"),
        ("http://127.0.0.1:8090", "127.0.0.1:8090"),
    ],
)
def test_one_shop_is_one_shop_however_it_is_written(channel: Channel, url: str, identity: str) -> None:
    channel.settings = {"store_url": url}
    assert WooCommerceConnector(channel).shop_identity() == identity


def test_without_settings_there_is_no_shop(channel: Channel) -> None:
    channel.settings = {"webhook_secret": "s"}
    assert WooCommerceConnector(channel).shop_identity() is None


# --- look-ups ----------------------------------------------------------------------------------


@responses.activate
def test_a_sale_comes_with_its_refunds(
    woo: WooCommerceConnector, deliveries: Mapping[str, Inbound]
) -> None:
    responses.get(f"{API}/orders/21", body=deliveries["032"].body, headers=DATE)
    responses.get(f"{API}/orders/21/refunds", json=[refund_document()], headers=DATE)
    for what in ("sale", "refunds"):
        sale, refund = (h for m in woo.fetch(Lookup(what, "21")) for h in woo.normalise(m))
        assert isinstance(sale, Sale)
        assert isinstance(refund, Refund)
        assert (refund.sale_external_id, refund.lines[0].line_key) == ("21", "8")
        assert refund.as_of == sale.as_of


@responses.activate
def test_a_sale_without_refunds_is_one_request(
    woo: WooCommerceConnector, deliveries: Mapping[str, Inbound]
) -> None:
    responses.get(f"{API}/orders/17", body=deliveries["017"].body, headers=DATE)
    (answer,) = woo.fetch(Lookup("sale", "17"))
    assert answer.topic == "fetch.sale"
    assert answer.body == deliveries["017"].body
    assert len(responses.calls) == 1


@responses.activate
def test_an_order_that_is_not_there_is_deleted(woo: WooCommerceConnector) -> None:
    responses.get(f"{API}/orders/21", status=404, json=GONE, headers=DATE)
    (answer,) = woo.fetch(Lookup("sale", "21"))
    (found,) = woo.normalise(answer)
    assert isinstance(found, Deleted)
    assert (found.external_id, found.final) == ("21", False)
    assert found.as_of is not None


@responses.activate
def test_a_page_of_the_host_never_deletes_an_order(woo: WooCommerceConnector) -> None:
    responses.get(f"{API}/orders/21", status=404, body="<html>Maintenance</html>")
    with pytest.raises(Misconfigured):
        woo.fetch(Lookup("sale", "21"))


@responses.activate
def test_a_product_is_asked_for_its_categories_only(woo: WooCommerceConnector) -> None:
    tea = {"id": 12, "sku": "TEA", "categories": [{"name": "Tea"}], "tags": []}
    asked = {"include": "12", "_fields": "id,sku,categories,tags", "per_page": "100"}
    match = [responses.matchers.query_param_matcher(asked)]
    responses.get(f"{API}/products", json=[tea], match=match)
    (answer,) = woo.fetch(Lookup("product", "12"))
    assert woo.normalise(answer) == [Product("12", "TEA", ("Tea",))]


@pytest.mark.parametrize(("what", "path"), [("customer", "customers/2"), ("code", "coupons/2")])
@responses.activate
def test_customers_and_coupons_are_fetched_by_id(
    woo: WooCommerceConnector, deliveries: Mapping[str, Inbound], what: Any, path: str
) -> None:
    body = deliveries["015" if what == "customer" else "027"].body
    responses.get(f"{API}/{path}", body=body)
    (answer,) = woo.fetch(Lookup(what, "2"))
    assert answer.topic == f"fetch.{what}"
    assert woo.normalise(answer)[0].kind == what


@pytest.mark.parametrize("external_id", ["../webhooks", "", "12?force=true", "1/2", "-1"])
def test_an_id_that_is_no_number_never_reaches_the_store(
    woo: WooCommerceConnector, external_id: str
) -> None:
    with pytest.raises(Rejected):
        woo.fetch(Lookup("sale", external_id))


def test_without_keys_nothing_is_fetched(channel: Channel) -> None:
    channel.settings = {"webhook_secret": "s"}
    with pytest.raises(Misconfigured) as caught:
        WooCommerceConnector(channel).fetch(Lookup("sale", "1"))
    assert caught.value.code == "no_keys"


@responses.activate
def test_a_captcha_is_no_answer(woo: WooCommerceConnector) -> None:
    responses.get(f"{API}/orders/21", status=202, body="<html>robot?</html>")
    with pytest.raises(ChannelDown):
        woo.fetch(Lookup("sale", "21"))


# --- health ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hooks", "code"),
    [
        ([("order.updated", "active")], "ok"),
        ([("order.updated", "disabled"), ("order.created", "active")], "webhook_off"),
        ([("order.created", "active")], "no_webhook"),
        ([], "no_webhook"),
    ],
)
@responses.activate
def test_health_finds_webhooks_that_woocommerce_switched_off(
    woo: WooCommerceConnector, channel: Channel, hooks: list[tuple[str, str]], code: str
) -> None:
    ours = [{"topic": t, "status": s, "delivery_url": channel.webhook_url} for t, s in hooks]
    other = {"topic": "order.updated", "status": "disabled", "delivery_url": "https://other.example.com"}
    responses.get(f"{API}/webhooks", json=[*ours, other])
    health = woo.health()
    assert (health.ok, health.code) == (code == "ok", code)


@responses.activate
def test_health_words_what_a_look_up_would_have_met(woo: WooCommerceConnector) -> None:
    responses.get(f"{API}/webhooks", status=503, body="down")
    assert (woo.health().ok, woo.health().code) == (False, "http_503")


def test_what_it_can_do_is_told(woo: WooCommerceConnector) -> None:
    assert woo.capabilities() == {
        "fetch", "push", "read_code", "reconcile", "history", "reread", "install", "renew_secret", "health",
    }  # fmt: skip
