"""Commands: against answers of every kind, and end to end against the stand-in for a store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
import responses

from connectors.sandbox_kit import Running
from connectors.woocommerce.connector import WooCommerceConnector
from connectors.woocommerce.sandbox import WooCommerceSandbox
from hub.connector import CreateCode, CustomerKey, RevokeCode, SetBalance
from hub.errors import ChannelDown, Misconfigured, Rejected
from hub.http import Http
from tests.connectors.channel import NOON, Channel

API = "https://shop.example.com/wp-json/wc/v3"
ANN = CustomerKey("mem_ann", external_id="7", email="Ann@Example.com")
EXPIRES = datetime(2026, 12, 31, 16, 59, 59, 250000, tzinfo=UTC)


def create(**changes: Any) -> CreateCode:
    wish: dict[str, Any] = {
        "code": "LYL-Q7F2-X9",
        "voucher_id": "vch_1",
        "title": "Five off",
        "customer": ANN,
        "starts_at": NOON,
        "expires_at": EXPIRES,
        "amount": 500,
        "currency": "USD",
        **changes,
    }
    return CreateCode(**wish)


REVOKE = RevokeCode("LYL-Q7F2-X9", "vch_1")


def balance(points: int = 120) -> SetBalance:
    return SetBalance(ANN, points, points - 20, 20, NOON)


def coupon(**changes: Any) -> dict[str, Any]:
    """What a store answers to `create()`."""
    return {
        "id": 39,
        "code": "lyl-q7f2-x9",
        "amount": "5.00",
        "status": "publish",
        "discount_type": "fixed_cart",
        "date_expires": "2026-12-31T23:59:59",
        "date_expires_gmt": "2026-12-31T16:59:59",
        "usage_limit": 1,
        "minimum_amount": "0.00",
        "email_restrictions": ["ann@example.com"],
        "meta_data": [{"id": 1, "key": "_loyalty_hub_voucher", "value": "vch_1"}],
        **changes,
    }


def currency(code: str = "USD") -> None:
    responses.get(f"{API}/data/currencies/current", json={"code": code})


TAKEN = {
    "code": "woocommerce_rest_coupon_code_already_exists",
    "message": "The coupon code already exists",
    "data": {"status": 400},
}


# --- create ------------------------------------------------------------------------------------


@responses.activate
def test_a_code_is_posted_as_woocommerce_understands_it(woo: WooCommerceConnector) -> None:
    currency()
    responses.post(f"{API}/coupons", status=201, json=coupon(minimum_amount="20.00"))
    receipt = woo.push(create(minimum_total=2000))
    assert (receipt.external_id, receipt.changed) == ("39", True)
    assert json.loads(responses.calls[1].request.body or "") == {
        "code": "LYL-Q7F2-X9",
        "discount_type": "fixed_cart",
        "amount": "5.00",
        "description": "Five off (vch_1)",
        "email_restrictions": ["Ann@Example.com"],
        "usage_limit": 1,
        "usage_limit_per_user": 1,
        "date_expires": "2026-12-31T16:59:59Z",
        "minimum_amount": "20.00",
        "meta_data": [{"key": "_loyalty_hub_voucher", "value": "vch_1"}],
    }


@responses.activate
def test_a_percentage_needs_no_currency(woo: WooCommerceConnector) -> None:
    kept = coupon(discount_type="percent", amount="12.50", date_expires=None, date_expires_gmt=None)
    responses.post(f"{API}/coupons", status=201, json=kept)
    woo.push(create(amount=None, currency=None, percent=1250, expires_at=None))
    posted = json.loads(responses.calls[0].request.body or "")
    assert (posted["discount_type"], posted["amount"]) == ("percent", "12.50")
    assert "date_expires" not in posted


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"email_restrictions": []}, "email_restrictions"),
        ({"email_restrictions": None}, "email_restrictions"),
        ({"email_restrictions": ["ann@example.com", "bo@example.com"]}, "email_restrictions"),
        ({"amount": "500.00"}, "amount"),
        ({"amount": "0.00"}, "amount"),
        ({"amount": "five"}, "amount"),
        ({"discount_type": "percent"}, "discount_type"),
        ({"date_expires_gmt": None}, "date_expires"),
        ({"date_expires_gmt": "2026-12-31T23:59:59"}, "date_expires"),
        ({"date_expires_gmt": "soon"}, "date_expires"),
        ({"usage_limit": None}, "usage_limit"),
        ({"usage_limit": 2}, "usage_limit"),
        ({"minimum_amount": "20.00"}, "minimum_amount"),
        ({"code": "other"}, "code"),
    ],
)
@responses.activate
def test_a_field_the_store_did_not_keep_undoes_the_coupon(
    woo: WooCommerceConnector, changes: dict[str, Any], field: str
) -> None:
    currency()
    responses.post(f"{API}/coupons", status=201, json=coupon(**changes))
    gone = responses.delete(f"{API}/coupons/39", json=coupon())
    with pytest.raises(Rejected) as caught:
        woo.push(create())
    assert caught.value.code == f"coupon_{field}"
    assert field in caught.value.detail
    assert "example.com" not in caught.value.detail
    assert gone.call_count == 1
    assert "force=true" in str(responses.calls[-1].request.url)


@responses.activate
def test_a_coupon_of_ours_that_is_there_already_is_accepted(woo: WooCommerceConnector) -> None:
    currency()
    responses.post(f"{API}/coupons", status=400, json=TAKEN)
    responses.get(f"{API}/coupons", json=[coupon()])
    receipt = woo.push(create())
    assert (receipt.external_id, receipt.changed) == ("39", False)
    assert "code=LYL-Q7F2-X9" in str(responses.calls[-1].request.url)


@pytest.mark.parametrize(
    "there",
    [
        [coupon(meta_data=[{"key": "_loyalty_hub_voucher", "value": "vch_2"}])],
        [coupon(meta_data=[])],
        [coupon(meta_data=None)],
        [coupon(code="lyl-q7f2-x99")],
        [],
    ],
)
@responses.activate
def test_a_coupon_of_somebody_else_is_never_taken_for_ours(
    woo: WooCommerceConnector, there: list[dict[str, Any]]
) -> None:
    currency()
    responses.post(f"{API}/coupons", status=400, json=TAKEN)
    responses.get(f"{API}/coupons", json=there)
    with pytest.raises(Rejected) as caught:
        woo.push(create())
    assert caught.value.code == "code_taken"


@responses.activate
def test_a_half_made_coupon_of_ours_is_undone(woo: WooCommerceConnector) -> None:
    """The answer of the first try was lost, and the store had dropped the e-mail."""
    currency()
    responses.post(f"{API}/coupons", status=400, json=TAKEN)
    responses.get(f"{API}/coupons", json=[coupon(email_restrictions=[])])
    gone = responses.delete(f"{API}/coupons/39", json=coupon())
    with pytest.raises(Rejected) as caught:
        woo.push(create())
    assert caught.value.code == "coupon_email_restrictions"
    assert gone.call_count == 1


@responses.activate
def test_another_refusal_keeps_the_stores_own_code(woo: WooCommerceConnector) -> None:
    currency()
    refusal = {"code": "coupon_invalid_discount_amount", "message": "Invalid", "data": {"status": 400}}
    responses.post(f"{API}/coupons", status=400, json=refusal)
    with pytest.raises(Rejected) as caught:
        woo.push(create())
    assert caught.value.code == "coupon_invalid_discount_amount"


@responses.activate
def test_an_amount_in_another_currency_is_never_posted(woo: WooCommerceConnector) -> None:
    currency("USD")
    with pytest.raises(Misconfigured) as caught:
        woo.push(create(amount=50000, currency="VND"))
    assert caught.value.code == "other_currency"
    assert len(responses.calls) == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"customer": CustomerKey("mem_1")}, "no_email"),
        ({"amount": None}, "no_value"),
        ({"starts_at": NOON + timedelta(hours=1)}, "starts_later"),
    ],
)
@responses.activate
def test_what_a_coupon_cannot_hold_is_rejected_before_any_request(
    woo: WooCommerceConnector, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(Rejected) as caught:
        woo.push(create(**changes))
    assert caught.value.code == code
    assert len(responses.calls) == 0


@responses.activate
def test_a_coupon_without_an_id_is_no_answer(woo: WooCommerceConnector) -> None:
    currency()
    responses.post(f"{API}/coupons", status=201, json=coupon(id=None))
    with pytest.raises(ChannelDown):
        woo.push(create())


# --- revoke and balance ------------------------------------------------------------------------


@responses.activate
def test_a_merchants_own_coupon_is_never_deleted(woo: WooCommerceConnector) -> None:
    responses.get(f"{API}/coupons", json=[coupon(meta_data=[])])
    assert woo.push(REVOKE).changed is False
    assert len(responses.calls) == 1


@responses.activate
def test_a_balance_that_is_shown_already_is_not_written(woo: WooCommerceConnector) -> None:
    shown = {
        "loyalty_points": "120",
        "loyalty_points_available": "100",
        "loyalty_points_pending": "20",
        "loyalty_opt_in": "yes",
    }
    meta = [{"id": n, "key": k, "value": v} for n, (k, v) in enumerate(shown.items())]
    responses.get(f"{API}/customers/7", json={"id": 7, "meta_data": meta})
    assert woo.push(balance()).changed is False
    assert [call.request.method for call in responses.calls] == ["GET"]


@pytest.mark.parametrize("key", [None, "guest"])
def test_a_balance_needs_an_account(woo: WooCommerceConnector, key: str | None) -> None:
    with pytest.raises(Rejected) as caught:
        woo.push(SetBalance(CustomerKey("mem_1", external_id=key), 1, 1, 0, NOON))
    assert caught.value.code == "no_customer"


@responses.activate
def test_a_balance_of_a_deleted_account_is_rejected(woo: WooCommerceConnector) -> None:
    gone = {"code": "woocommerce_rest_invalid_id", "message": "Invalid resource ID."}
    responses.get(f"{API}/customers/7", status=404, json=gone)
    with pytest.raises(Rejected):
        woo.push(balance())


# --- end to end --------------------------------------------------------------------------------


class Shop:
    """The stand-in for a store over real HTTP, and a connector that is connected to it."""

    def __init__(self, url: str, sandbox: WooCommerceSandbox) -> None:
        settings = requests.get(f"{url}/_sandbox/settings", timeout=5).json()["settings"]
        self.url = url
        self.sandbox = sandbox
        self.http = Http(allow_private=["127.0.0.1"])
        self.connector = WooCommerceConnector(Channel(settings, self.http, at=None))

    def steer(self, path: str, **wish: Any) -> Any:
        return requests.post(f"{self.url}/_sandbox/{path}", json=wish, timeout=5)

    def codes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = requests.get(f"{self.url}/_sandbox/codes", timeout=5).json()
        return found

    def create(self, **changes: Any) -> CreateCode:
        now = datetime.now(UTC)
        times = {"starts_at": now - timedelta(hours=1), "expires_at": now + timedelta(days=30)}
        return create(**{**times, "currency": "USD", **changes})


@pytest.fixture
def shop() -> Iterator[Shop]:
    sandbox = WooCommerceSandbox(currency="USD")
    with Running(sandbox) as url:
        yield Shop(url, sandbox)


def test_a_code_made_twice_is_there_once(shop: Shop) -> None:
    command = shop.create()
    first, second = shop.connector.push(command), shop.connector.push(command)
    assert (first.changed, second.changed) == (True, False)
    assert first.external_id == second.external_id
    assert [code["code"] for code in shop.codes()] == ["lyl-q7f2-x9"]


def test_an_answer_that_was_lost_leaves_one_code(shop: Shop) -> None:
    shop.steer("faults", fault="drop_after_write")
    with pytest.raises(ChannelDown):
        shop.connector.push(shop.create())
    assert len(shop.codes()) == 1
    assert shop.connector.push(shop.create()).changed is False
    assert len(shop.codes()) == 1


def test_a_mistyped_email_leaves_no_code_for_everybody(shop: Shop) -> None:
    bad = CustomerKey("mem_1", email="not-an-email")
    with pytest.raises(Rejected) as caught:
        shop.connector.push(shop.create(customer=bad))
    assert caught.value.code == "coupon_email_restrictions"
    assert shop.codes() == []


def test_a_dropped_email_and_a_lost_answer_together_leave_no_code(shop: Shop) -> None:
    shop.steer("faults", fault="drop_email")
    shop.steer("faults", fault="drop_after_write")
    with pytest.raises(ChannelDown):
        shop.connector.push(shop.create())
    assert [code["email_restrictions"] for code in shop.codes()] == [[]]
    with pytest.raises(Rejected):
        shop.connector.push(shop.create())
    assert shop.codes() == []


def test_a_refused_code_is_made_when_it_is_replayed(shop: Shop) -> None:
    shop.steer("faults", fault="refuse_code")
    with pytest.raises(Rejected) as caught:
        shop.connector.push(shop.create())
    assert caught.value.code == "woocommerce_rest_invalid_coupon"
    assert shop.connector.push(shop.create()).changed is True


def test_a_revoked_code_is_gone_and_revoking_again_is_done(shop: Shop) -> None:
    shop.connector.push(shop.create())
    assert shop.connector.push(REVOKE).changed is True
    assert shop.codes() == []
    assert shop.connector.push(REVOKE).changed is False


def test_a_revocation_whose_answer_was_lost_is_done_when_it_is_repeated(shop: Shop) -> None:
    shop.connector.push(shop.create())
    shop.steer("faults", fault="drop_after_write")
    with pytest.raises(ChannelDown):
        shop.connector.push(REVOKE)
    assert shop.connector.push(REVOKE).changed is False
    assert shop.codes() == []


def test_a_used_code_that_is_revoked_stays_dead_when_its_order_is_cancelled(shop: Shop) -> None:
    shop.connector.push(shop.create())
    sale = _buy(shop, codes=["LYL-Q7F2-X9"])
    shop.connector.push(REVOKE)
    shop.steer(f"sales/{sale['external_id']}/cancel")
    assert shop.codes() == []
    assert _try_to_buy(shop, codes=["LYL-Q7F2-X9"]).status_code == 400


def test_a_code_can_be_opened_again_after_it_was_revoked(shop: Shop) -> None:
    shop.connector.push(shop.create())
    shop.connector.push(REVOKE)
    assert shop.connector.push(shop.create()).changed is True
    assert _buy(shop, codes=["LYL-Q7F2-X9"])["total"] == "5.00"


def test_a_balance_is_written_once_and_only_when_it_differs(shop: Shop) -> None:
    _buy(shop, customer={"name": "Ann", "email": "ann@example.com", "external_id": "7"})
    pushed = [shop.connector.push(balance(p)).changed for p in (120, 120, 90)]
    assert pushed == [True, False, True]
    shown = requests.get(f"{shop.url}/_sandbox/balances", timeout=5).json()
    assert shown == {"7": 90, "ann@example.com": 90}


@pytest.mark.parametrize(
    ("fault", "expected", "code"),
    [
        ({"fault": "server_error"}, ChannelDown, "http_500"),
        ({"fault": "captcha"}, ChannelDown, "captcha"),
        ({"fault": "unauthorised"}, Misconfigured, "bad_key"),
        ({"fault": "too_many_requests", "retry_after": 60}, ChannelDown, "http_429"),
    ],
)
def test_a_store_in_trouble_gets_its_code_when_it_is_well_again(
    shop: Shop, fault: dict[str, Any], expected: type[Exception], code: str
) -> None:
    shop.steer("faults", **fault)
    with pytest.raises(expected) as caught:
        shop.connector.push(shop.create())
    assert getattr(caught.value, "code", "") == code
    assert shop.connector.push(shop.create()).changed is True


def test_a_slow_store_is_waited_for(shop: Shop) -> None:
    shop.steer("faults", fault="slow_drip", seconds=0.0002, times=None)
    assert shop.connector.push(shop.create()).changed is True


def test_a_store_that_limits_says_until_when(shop: Shop) -> None:
    shop.steer("faults", fault="too_many_requests", retry_after=60)
    with pytest.raises(ChannelDown) as caught:
        shop.connector.push(REVOKE)
    assert caught.value.retry_at is not None


def test_secrets_never_reach_the_record_of_an_exchange(shop: Shop) -> None:
    shop.connector.push(shop.create())
    told = repr([(e.url, e.request, e.response) for e in shop.http.exchanges])
    assert "cs_sandbox" not in told
    assert "oauth_signature" not in told


def _try_to_buy(shop: Shop, **wish: Any) -> requests.Response:
    basket = {
        "customer": {"name": "Ann Nguyen", "email": "Ann@example.com"},
        "lines": [{"sku": "TEA", "name": "Tea", "quantity": 2, "price": "5.00"}],
        **wish,
    }
    answer: requests.Response = shop.steer("sales", **basket)
    return answer


def _buy(shop: Shop, **wish: Any) -> dict[str, Any]:
    answer = _try_to_buy(shop, **wish)
    answer.raise_for_status()
    sale: dict[str, Any] = answer.json()
    return sale
