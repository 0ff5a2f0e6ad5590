"""The stand-in behaves as real stores were seen to behave, not as we would like them to."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from connectors.sandbox_kit import Running
from connectors.woocommerce.client import oauth_parameters
from connectors.woocommerce.connector import WooCommerceConnector
from connectors.woocommerce.sandbox import WooCommerceSandbox
from hub.canonical import Ignored, Refund, Sale, SaleState, Thin
from hub.connector import Lookup
from hub.errors import Misconfigured
from hub.http import Http
from tests.connectors.channel import Channel
from tests.connectors.receiver import Receiver

TEA = {"sku": "TEA", "name": "Tea &amp; co", "quantity": 2, "price": "50000", "category": "Tea"}
ANN = {"name": "Ann Nguyen", "email": "Ann@example.com", "phone": "0912 345 678"}


class Shop:
    """A store, its address, and a hub that listens."""

    def __init__(self, url: str, hub: Receiver) -> None:
        self.url = url
        self.hub = hub
        settings = requests.get(f"{url}/_sandbox/settings", timeout=5).json()["settings"]
        http = Http(allow_private=["127.0.0.1"])
        self.woo = WooCommerceConnector(Channel(settings, http, at=None, webhook_url=hub.url))
        self.steer("connect", webhook_url=hub.url)

    def steer(self, path: str, **wish: Any) -> Any:
        answer = requests.post(f"{self.url}/_sandbox/{path}", json=wish, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def buy(self, **wish: Any) -> str:
        return str(self.steer("sales", **{"customer": ANN, "lines": [TEA], **wish})["external_id"])

    def act(self, order: str, verb: str, **wish: Any) -> Any:
        return self.steer(f"sales/{order}/{verb}", **wish)

    def api(self, method: str, path: str, content: Any = None, **query: str) -> requests.Response:
        """As a program behind a proxy that tells WordPress about https."""
        return requests.request(
            method,
            f"{self.url}/wp-json/wc/v3/{path}",
            json=content,
            params=query,
            auth=("ck_sandbox", "cs_sandbox"),
            headers={"X-Forwarded-Proto": "https"},
            timeout=5,
        )

    def topics(self) -> list[str]:
        return self.hub.topics(self.woo)

    def bodies(self) -> list[Any]:
        return [json.loads(m.body) for m in self.hub.inbox(self.woo)]


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Receiver() as hub, Running(WooCommerceSandbox()) as url:
        yield Shop(url, hub)


# --- webhooks ----------------------------------------------------------------------------------


def test_creating_webhooks_pings_unsigned(shop: Shop) -> None:
    bodies = [body for _, body in shop.hub.got]
    assert bodies[0] == b"webhook_id=7"
    assert all(shop.woo.topic(headers, body) == "ping" for headers, body in shop.hub.got)


def test_a_ping_that_fails_does_not_matter(shop: Shop) -> None:
    shop.hub.status = 500
    wish = {"topic": "order.updated", "delivery_url": shop.hub.url, "secret": "s"}
    assert shop.api("POST", "webhooks", wish).json()["status"] == "active"


def test_everything_it_sends_is_signed_and_understood(shop: Shop) -> None:
    order = shop.buy()
    shop.act(order, "fulfil")
    shop.act(order, "refund", lines=[{"sku": "TEA", "quantity": 1}])
    for inbound in shop.hub.inbox(shop.woo):
        shop.woo.verify(inbound)
        assert shop.woo.normalise(inbound)
    sales = [h for m in shop.hub.inbox(shop.woo) for h in shop.woo.normalise(m) if isinstance(h, Sale)]
    assert [sale.state for sale in sales] == [
        SaleState.PAID,
        SaleState.PAID,
        SaleState.FULFILLED,
        SaleState.FULFILLED,
    ]
    assert sales[-1].refunds[0].money[0].amount == 50000
    assert sales[0].lines[0].name == "Tea & co"


def test_every_order_is_sent_twice_created_first(shop: Shop) -> None:
    shop.buy()
    assert shop.topics() == ["order.created", "order.updated"]
    assert shop.bodies()[0] == shop.bodies()[1]


def test_the_block_checkout_sends_updated_first(shop: Shop) -> None:
    shop.buy(fields={"created_via": "store-api"})
    assert shop.topics() == ["order.updated", "order.created"]


def test_an_unfinished_checkout_is_sent_as_updated_alone(shop: Shop) -> None:
    shop.buy(state="draft")
    assert shop.topics() == ["order.updated"]
    assert shop.bodies()[0]["status"] == "checkout-draft"


def test_a_payload_is_built_when_it_is_delivered(shop: Shop) -> None:
    shop.steer("hold")
    order = shop.buy(state="pending")
    shop.act(order, "pay")
    shop.act(order, "fulfil")
    shop.steer("release")
    assert shop.topics() == ["order.created", "order.updated"]  # five updates would be one, too
    assert [body["status"] for body in shop.bodies()] == ["completed", "completed"]


def test_an_order_gone_before_its_delivery_is_told_as_a_signed_error(shop: Shop) -> None:
    shop.steer("hold")
    order = shop.buy()
    shop.act(order, "delete")
    shop.steer("release")
    found = [shop.woo.normalise(m) for m in shop.hub.inbox(shop.woo)]
    assert all(isinstance(h, Ignored) and h.reason == "gone_before_delivery" for (h,) in found)
    assert len(found) == 2


def test_an_owner_without_rights_sends_errors_that_are_signed(shop: Shop) -> None:
    shop.steer("faults", fault="owner_lost_rights", times=None)
    shop.buy()
    inbound = shop.hub.inbox(shop.woo)[0]
    shop.woo.verify(inbound)
    with pytest.raises(Misconfigured):
        shop.woo.normalise(inbound)


def test_delivery_ids_repeat_within_a_second_and_keys_do_not() -> None:
    sandbox = WooCommerceSandbox(now=lambda: datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC))
    with Receiver() as hub, Running(sandbox) as url:
        shop = Shop(url, hub)
        for _ in range(3):
            shop.buy()
        inbox = [m for m in hub.inbox(shop.woo) if m.topic == "order.created"]
        assert len({m.headers["x-wc-webhook-delivery-id"] for m in inbox}) == 1
        assert len({shop.woo.delivery_key(m) for m in inbox}) == 3


def test_a_failed_delivery_is_lost(shop: Shop) -> None:
    shop.hub.status = 503
    shop.buy()
    shop.hub.status = 200
    shop.steer("release")
    assert shop.topics() == ["order.created", "order.updated"]


@pytest.mark.parametrize(
    ("topic", "status"),
    [
        ("order.updated", 201), ("product.restored", 201), ("action.woocommerce_order_refunded", 201),
        ("order.refunded", 400), ("refund.created", 400), ("action.save_post", 400),
    ],
)  # fmt: skip
def test_webhooks_are_of_the_topics_that_there_are(shop: Shop, topic: str, status: int) -> None:
    wish = {"topic": topic, "delivery_url": shop.hub.url, "secret": "s"}
    assert shop.api("POST", "webhooks", wish).status_code == status


def test_the_seventh_failure_in_a_row_switches_a_webhook_off_and_one_more_after_that(shop: Shop) -> None:
    shop.hub.status = 500
    orders = [shop.buy() for _ in range(6)]
    assert shop.woo.health().ok
    shop.act(orders[0], "fulfil")
    assert shop.woo.health().code == "webhook_off"
    (off,) = shop.api("GET", "webhooks", status="disabled").json()
    assert off["topic"] == "order.updated"
    before = len(shop.topics())
    shop.act(orders[1], "fulfil")
    assert len(shop.topics()) == before
    shop.api("PUT", f"webhooks/{off['id']}", {"status": "active"})
    shop.act(orders[1], "fulfil")
    assert shop.woo.health().code == "webhook_off"


def test_a_success_forgives_earlier_failures(shop: Shop) -> None:
    for _ in range(3):
        shop.hub.status = 500
        for _ in range(6):
            shop.buy()
        shop.hub.status = 302
        shop.buy()
    assert shop.woo.health().ok


def test_the_very_same_message_can_be_sent_again(shop: Shop) -> None:
    shop.buy()
    shop.steer("resend", n="last", times=2)
    first, second, third = shop.hub.inbox(shop.woo)[1:]
    assert shop.woo.delivery_key(first) == shop.woo.delivery_key(second) == shop.woo.delivery_key(third)


# --- orders ------------------------------------------------------------------------------------


def test_trash_and_restore_send_hints_and_deleting_sends_nothing(shop: Shop) -> None:
    order = shop.buy()
    shop.act(order, "trash")
    assert shop.bodies()[-1] == {"id": int(order)}
    (trashed,) = (h for m in shop.woo.fetch(Lookup("sale", order)) for h in shop.woo.normalise(m))
    assert isinstance(trashed, Sale)
    assert trashed.state is SaleState.CANCELLED
    shop.act(order, "restore")
    assert shop.topics()[-2:] == ["order.deleted", "order.restored"]
    assert shop.woo.normalise(shop.hub.inbox(shop.woo)[-1]) == [Thin("sale", order, "restored")]
    before = len(shop.topics())
    shop.act(order, "delete")
    assert len(shop.topics()) == before
    assert requests.get(f"{shop.url}/_sandbox/sales/{order}", timeout=5).status_code == 404


def test_deleting_a_refund_sends_nothing_and_leaves_no_trace_but_in_the_order(shop: Shop) -> None:
    order = shop.buy()
    refund = shop.act(order, "refund", amount="20000")["refund"]
    modified = shop.bodies()[-1]["date_modified_gmt"]
    before = len(shop.topics())
    shop.act(order, "delete_refund", refund=refund)
    assert len(shop.topics()) == before
    (sale,) = (h for m in shop.woo.fetch(Lookup("sale", order)) for h in shop.woo.normalise(m))
    assert isinstance(sale, Sale)
    assert sale.refunds == ()
    assert shop.api("GET", f"orders/{order}").json()["date_modified_gmt"] == modified


def test_refunds_are_listed_newest_first_without_their_lines(shop: Shop) -> None:
    order = shop.buy()
    first = shop.act(order, "refund", lines=[{"sku": "TEA", "quantity": 1}])["refund"]
    second = shop.act(order, "refund", amount="10000")["refund"]
    listed = shop.bodies()[-1]["refunds"]
    assert listed == [
        {"id": int(second), "reason": "", "total": "-10000.00"},
        {"id": int(first), "reason": "", "total": "-50000.00"},
    ]
    found = [h for m in shop.woo.fetch(Lookup("refunds", order)) for h in shop.woo.normalise(m)]
    refunds = [h for h in found if isinstance(h, Refund)]
    assert [(r.goods_money, len(r.lines)) for r in refunds] == [(None, 0), (50000, 1)]
    assert refunds[1].lines[0].quantity == 1


def test_giving_everything_back_makes_the_order_refunded_and_no_more_can_be_given(shop: Shop) -> None:
    order = shop.buy(shipping="15000")
    shop.act(order, "refund")
    assert shop.bodies()[-1]["status"] == "refunded"
    answer = requests.post(f"{shop.url}/_sandbox/sales/{order}/refund", json={"amount": "1"}, timeout=5)
    assert answer.status_code == 500


def test_an_account_is_made_once_and_can_claim_an_order(shop: Shop) -> None:
    shop.buy(customer={**ANN, "external_id": "7"})
    shop.buy(customer={**ANN, "external_id": "7"})
    assert shop.topics()[:2] == ["customer.created", "customer.updated"]
    assert shop.topics().count("customer.created") == 1
    order = shop.buy()
    shop.act(order, "claim", customer={"external_id": "7"})
    assert shop.bodies()[-1]["customer_id"] == 7


def test_a_negative_fee_lowers_the_total(shop: Shop) -> None:
    order = shop.buy(fields={"fee_lines": [{"name": "Thanks", "total": "-5000"}]})
    (sale,) = (h for m in shop.woo.fetch(Lookup("sale", order)) for h in shop.woo.normalise(m))
    assert isinstance(sale, Sale)
    assert (sale.total, [line.net for line in sale.lines]) == (95000, [95000])


def test_modified_after_is_shop_time_unless_it_says_otherwise(shop: Shop) -> None:
    shop.buy()
    hour_ago = f"{datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H:%M:%S}"
    in_an_hour = f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%S}"

    def count(**query: str) -> int:
        return len(shop.api("GET", "orders", **query).json())

    assert count(modified_after=hour_ago, dates_are_gmt="true") == 1
    assert count(modified_after=f"{hour_ago}Z") == 1
    assert count(modified_after=in_an_hour, dates_are_gmt="true") == 0
    assert count(modified_after=in_an_hour) == 1  # taken for shop time, seven hours ahead


def test_products_tell_their_categories(shop: Shop) -> None:
    shop.buy()
    line = shop.bodies()[0]["line_items"][0]
    assert "categories" not in line
    (answer,) = shop.woo.fetch(Lookup("product", str(line["product_id"])))
    (product,) = shop.woo.normalise(answer)
    assert product.categories == ("Tea",)  # type: ignore[union-attr]


# --- coupons -----------------------------------------------------------------------------------


def coupon(shop: Shop, **wish: Any) -> requests.Response:
    return shop.api("POST", "coupons", {"code": "Hub-1", "amount": "5000", "usage_limit": 1, **wish})


def test_codes_are_unique_in_any_case_and_shown_lower(shop: Shop) -> None:
    assert coupon(shop).json()["code"] == "hub-1"
    again = coupon(shop, code="HUB-1")
    assert (again.status_code, again.json()["code"]) == (
        400,
        "woocommerce_rest_coupon_code_already_exists",
    )
    assert [c["code"] for c in shop.api("GET", "coupons", code="hUB-1").json()] == ["hub-1"]


@pytest.mark.parametrize(
    ("wish", "local", "gmt"),
    [
        ({"date_expires_gmt": "2026-12-31T16:59:59"}, None, None),
        ({"date_expires": "2026-12-31T16:59:59Z"}, "2026-12-31T23:59:59", "2026-12-31T16:59:59"),
        ({"date_expires": "2026-12-31T23:59:59"}, "2026-12-31T23:59:59", "2026-12-31T16:59:59"),
        ({"date_expires": "2026-12-31"}, "2026-12-31T00:00:00", "2026-12-30T17:00:00"),
    ],
)
def test_an_expiry_is_shop_time_and_its_gmt_twin_is_ignored(
    shop: Shop, wish: dict[str, str], local: str | None, gmt: str | None
) -> None:
    made = coupon(shop, **wish).json()
    assert (made["date_expires"], made["date_expires_gmt"]) == (local, gmt)


@pytest.mark.parametrize(("amount", "kept"), [("5,5", "55.00"), ("abc", "0.00"), ("5.555", "5.56")])
def test_amounts_are_read_loosely(shop: Shop, amount: str, kept: str) -> None:
    assert coupon(shop, amount=amount).json()["amount"] == kept


@pytest.mark.parametrize("wish", [{"amount": "-5"}, {"amount": "101", "discount_type": "percent"}])
def test_impossible_amounts_are_refused(shop: Shop, wish: dict[str, str]) -> None:
    assert coupon(shop, **wish).status_code == 400


def test_a_bad_email_is_dropped_without_a_word(shop: Shop) -> None:
    made = coupon(shop, email_restrictions=["not-an-email", "Ann@example.com"])
    assert made.json()["email_restrictions"] == ["ann@example.com"]


@pytest.mark.parametrize(
    ("wish", "buyer", "taken"),
    [
        ({}, ANN, True),
        ({"email_restrictions": ["ann@example.com"]}, ANN, True),
        ({"email_restrictions": ["bo@example.com"]}, ANN, False),
        ({"email_restrictions": ["ann@example.com"]}, {"name": "Bo"}, False),
        ({"date_expires": "2020-01-01"}, ANN, False),
        ({"date_expires": "2099-01-01"}, ANN, True),
        ({"status": "draft"}, ANN, False),
    ],
)
def test_a_checkout_takes_only_a_code_that_holds_for_this_buyer(
    shop: Shop, wish: dict[str, Any], buyer: dict[str, str], taken: bool
) -> None:
    coupon(shop, **wish)
    sale = {"customer": buyer, "lines": [TEA], "codes": ["HUB-1"]}
    answer = requests.post(f"{shop.url}/_sandbox/sales", json=sale, timeout=5)
    assert (answer.status_code == 200) is taken


def test_a_discount_is_taken_off_the_lines_to_the_last_unit(shop: Shop) -> None:
    coupon(shop, amount="1000", discount_type="fixed_cart")
    lines = [{**TEA, "sku": sku, "quantity": 1, "price": "3333.33"} for sku in ("A", "B", "C")]
    shop.buy(lines=lines, codes=["hub-1"])
    body = shop.bodies()[-1]
    assert [line["total"] for line in body["line_items"]] == ["3000.00", "3000.00", "2999.99"]
    assert body["coupon_lines"][0]["code"] == "hub-1"
    assert body["total"] == "8999.99"


@pytest.mark.parametrize(
    ("verb", "free"), [("cancel", True), ("trash", True), ("refund", False), ("fulfil", False)]
)
def test_cancelling_gives_a_use_back_and_refunding_does_not(shop: Shop, verb: str, free: bool) -> None:
    coupon(shop)
    order = shop.buy(codes=["hub-1"])
    shop.act(order, verb)
    again = requests.post(
        f"{shop.url}/_sandbox/sales",
        json={"customer": ANN, "lines": [TEA], "codes": ["hub-1"]},
        timeout=5,
    )
    assert (again.status_code == 200) is free


def test_trashing_a_coupon_tells_its_id_and_deleting_it_for_good_tells_nothing(shop: Shop) -> None:
    number = coupon(shop).json()["id"]
    shop.api("DELETE", f"coupons/{number}")
    assert (shop.topics()[-1], shop.bodies()[-1]) == ("coupon.deleted", {"id": number})
    (answer,) = shop.woo.fetch(Lookup("code", str(number)))
    assert shop.woo.normalise(answer)[0].change == "deleted"  # type: ignore[union-attr]
    before = len(shop.topics())
    shop.api("DELETE", f"coupons/{number}", force="true")
    assert len(shop.topics()) == before


# --- authentication ----------------------------------------------------------------------------


def oauth(shop: Shop, **changes: Any) -> requests.Response:
    url = f"{shop.url}/wp-json/wc/v3/coupons"
    wish = {
        "key": "ck_sandbox",
        "secret": "cs_sandbox",
        "nonce": "n1",
        "at": datetime.now(UTC),
        **changes,
    }
    signed = oauth_parameters(
        "GET",
        url,
        {"code": "a b&c"},
        wish["key"],
        wish["secret"],
        nonce=wish["nonce"],
        timestamp=int(wish["at"].timestamp()),
    )
    return requests.get(url, params={"code": "a b&c", **signed}, timeout=5)


def test_over_http_a_signature_opens_once(shop: Shop) -> None:
    assert oauth(shop).status_code == 200
    assert oauth(shop).status_code == 401
    assert oauth(shop, nonce="n2").status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "ck_other"},
        {"secret": "cs_other"},
        {"at": datetime(2020, 1, 1, tzinfo=UTC)},
    ],
)
def test_a_wrong_signature_is_refused(shop: Shop, changes: dict[str, Any]) -> None:
    answer = oauth(shop, **changes)
    assert (answer.status_code, answer.json()["code"]) == (401, "woocommerce_rest_authentication_error")


@pytest.mark.parametrize(
    ("headers", "query", "status", "code"),
    [
        ({}, {}, 401, "woocommerce_rest_cannot_view"),
        ({"X-Forwarded-Proto": "https"}, {}, 401, "woocommerce_rest_cannot_view"),
        (
            {"X-Forwarded-Proto": "https"},
            {"consumer_key": "ck_sandbox", "consumer_secret": "cs_sandbox"},
            200,
            None,
        ),
        ({"X-Forwarded-Proto": "https", "Authorization": "ck_sandbox:cs_sandbox"}, {}, 200, None),
        ({"Authorization": "ck_sandbox:cs_sandbox"}, {}, 401, "woocommerce_rest_cannot_view"),
        (
            {"X-Forwarded-Proto": "https", "Authorization": "ck_sandbox:cs_wrong"},
            {},
            401,
            "woocommerce_rest_authentication_error",
        ),
        (
            {"X-Forwarded-Proto": "https", "Authorization": "ck_wrong:cs_wrong"},
            {},
            401,
            "woocommerce_rest_cannot_view",
        ),
    ],
)
def test_keys_count_only_where_the_store_believes_in_https(
    shop: Shop, headers: dict[str, str], query: dict[str, str], status: int, code: str | None
) -> None:
    if "Authorization" in headers:
        encoded = base64.b64encode(headers["Authorization"].encode()).decode()
        headers = {**headers, "Authorization": f"Basic {encoded}"}
    answer = requests.get(f"{shop.url}/wp-json/wc/v3/coupons", headers=headers, params=query, timeout=5)
    assert answer.status_code == status
    assert code is None or answer.json()["code"] == code
