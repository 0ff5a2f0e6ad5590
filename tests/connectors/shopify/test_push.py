"""What each refusal of Shopify means, answer by answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
import responses

from connectors.shopify.connector import ShopifyConnector
from connectors.shopify.vocabulary import NEEDED_SCOPES, USEFUL_SCOPES
from hub.canonical import IdentityKind
from hub.connector import CreateCode, CustomerKey, Health, Lease, RevokeCode, SetBalance
from hub.errors import ChannelDown, Fault, Misconfigured, Rejected
from tests.connectors.channel import NOON, Channel

API = "https://example.myshopify.com/admin/api/2026-10/graphql.json"
TOKEN = "https://example.myshopify.com/admin/oauth/access_token"
GID = "gid://shopify/DiscountCodeNode/7"
TEN_OFF = CreateCode(
    code="LOY-7QXM2K",
    voucher_id="vch_7QXM2K",
    title="Ten off",
    customer=CustomerKey("mem_1", external_id="6200360403244"),
    starts_at=datetime(2026, 11, 23, tzinfo=UTC),
    expires_at=datetime(2026, 12, 23, tzinfo=UTC),
    amount=1000,
    currency="USD",
)
REVOKE = RevokeCode("LOY-7QXM2K", "vch_7QXM2K", GID)
MADE = {"discountCodeBasicCreate": {"codeDiscountNode": {"id": GID}, "userErrors": []}}
ENDED = {"discountCodeDeactivate": {"codeDiscountNode": {"id": GID}, "userErrors": []}}


@pytest.fixture
def api() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture(autouse=True)
def known_currency(channel: Channel) -> None:
    channel.memory = {"currency": "USD"}


def answer(api: responses.RequestsMock, data: Any = None, **other: Any) -> None:
    body = {"data": data, **other} if data is not None else other
    api.add(responses.POST, API, json=body)


def found(title: str = "Ten off (vch_7QXM2K)", status: str = "ACTIVE") -> dict[str, Any]:
    discount = {"__typename": "DiscountCodeBasic", "title": title, "status": status}
    return {"codeDiscountNodeByCode": {"id": GID, "codeDiscount": discount}}


def user_error(
    name: str, code: str | None, message: str, field: list[str] | None = None
) -> dict[str, Any]:
    return {name: {"userErrors": [{"field": field, "message": message, "code": code}]}}


TAKEN = user_error(
    "discountCodeBasicCreate", "TAKEN", "Code must be unique.", ["basicCodeDiscount", "code"]
)
NOTHING: dict[str, Any] = {"codeDiscountNodeByCode": None}


def sent(api: responses.RequestsMock, index: int = -1) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(api.calls[index].request.body or b"")
    return body


# --- codes -------------------------------------------------------------------------------------


def test_a_code_is_for_one_customer_once_and_alone(
    api: responses.RequestsMock, shopify: ShopifyConnector
) -> None:
    answer(api, MADE)
    receipt = shopify.push(replace(TEN_OFF, minimum_total=5000))
    assert (receipt.external_id, receipt.changed) == (GID, True)
    assert sent(api)["variables"]["input"] == {
        "code": "LOY-7QXM2K",
        "title": "Ten off (vch_7QXM2K)",
        "startsAt": "2026-11-23T00:00:00+00:00",
        "endsAt": "2026-12-23T00:00:00+00:00",
        "usageLimit": 1,
        "appliesOncePerCustomer": True,
        "context": {"customers": {"add": ["gid://shopify/Customer/6200360403244"]}},
        "combinesWith": {"orderDiscounts": False, "productDiscounts": False, "shippingDiscounts": False},
        "customerGets": {
            "items": {"all": True},
            "value": {"discountAmount": {"amount": "10.00", "appliesOnEachItem": False}},
        },
        "minimumRequirement": {"subtotal": {"greaterThanOrEqualToSubtotal": "50.00"}},
    }
    assert api.calls[0].request.headers["x-shopify-access-token"] == "shpat_pasted"


def test_a_percentage_is_a_fraction_of_one(
    api: responses.RequestsMock, shopify: ShopifyConnector
) -> None:
    answer(api, MADE)
    shopify.push(replace(TEN_OFF, amount=None, currency=None, percent=1250))
    assert sent(api)["variables"]["input"]["customerGets"]["value"] == {"percentage": 0.125}


def test_an_amount_is_never_pushed_in_another_currency_than_the_shops(
    api: responses.RequestsMock, shopify: ShopifyConnector, channel: Channel
) -> None:
    channel.memory = {}
    shop = {"shop": {"currencyCode": "VND"}, "currentAppInstallation": {"accessScopes": []}}
    answer(api, shop)
    for _ in range(2):  # the shop's currency is asked once
        with pytest.raises(Misconfigured) as refused:
            shopify.push(TEN_OFF)
        assert refused.value.code == "other_currency"
    assert len(api.calls) == 1


def test_a_taken_code_is_ours_when_its_title_carries_the_voucher(
    api: responses.RequestsMock, shopify: ShopifyConnector
) -> None:
    answer(api, TAKEN)
    answer(api, found())
    receipt = shopify.push(TEN_OFF)
    assert (receipt.external_id, receipt.changed) == (GID, False)


@pytest.mark.parametrize("title", ["Black Friday", "Ten off (vch_7QXM2K9)", "Ten off (xvch_7QXM2K)", ""])
def test_a_taken_code_of_somebody_else_is_refused(
    api: responses.RequestsMock, shopify: ShopifyConnector, title: str
) -> None:
    answer(api, TAKEN)
    answer(api, found(title))
    with pytest.raises(Rejected) as refused:
        shopify.push(TEN_OFF)
    assert refused.value.code == "code_taken"


def test_a_lost_answer_is_looked_up(api: responses.RequestsMock, shopify: ShopifyConnector) -> None:
    api.add(responses.POST, API, body=requests.ConnectionError("cut"))
    answer(api, found())
    receipt = shopify.push(TEN_OFF)
    assert (receipt.external_id, receipt.changed) == (GID, True)


@pytest.mark.parametrize("then", [NOTHING, found("Black Friday")])
def test_a_lost_answer_without_our_code_is_tried_again_later(
    api: responses.RequestsMock, shopify: ShopifyConnector, then: dict[str, Any]
) -> None:
    api.add(responses.POST, API, status=502, body="<html>")
    answer(api, then)
    with pytest.raises(ChannelDown) as down:
        shopify.push(TEN_OFF)
    assert down.value.code == "http_502"


def test_when_the_look_up_fails_too_the_first_failure_is_told(
    api: responses.RequestsMock, shopify: ShopifyConnector
) -> None:
    api.add(responses.POST, API, status=500, json={})
    api.add(responses.POST, API, body=requests.ConnectionError("cut"))
    with pytest.raises(ChannelDown) as down:
        shopify.push(TEN_OFF)
    assert down.value.code == "http_500"


def test_a_throttled_mutation_did_not_run_and_is_not_looked_up(
    api: responses.RequestsMock, shopify: ShopifyConnector
) -> None:
    api.add(responses.POST, API, status=429, headers={"Retry-After": "2.0"}, json={})
    with pytest.raises(ChannelDown) as down:
        shopify.push(TEN_OFF)
    assert len(api.calls) == 1
    assert down.value.code == "throttled"


def test_what_shopify_refuses_names_code_and_field(
    api: responses.RequestsMock, shopify: ShopifyConnector
) -> None:
    field = ["basicCodeDiscount", "customerGets", "value", "percentage"]
    answer(
        api,
        user_error(
            "discountCodeBasicCreate", "VALUE_OUTSIDE_RANGE", "must be between 0.0 and 1.0", field
        ),
    )
    with pytest.raises(Rejected) as refused:
        shopify.push(TEN_OFF)
    assert refused.value.code == "value_outside_range"
    assert "basicCodeDiscount.customerGets.value.percentage" in refused.value.detail


def test_user_errors_without_code_and_field_are_refusals_too(
    api: responses.RequestsMock, shopify: ShopifyConnector
) -> None:
    answer(api, user_error("discountCodeBasicCreate", None, "no"))
    with pytest.raises(Rejected) as refused:
        shopify.push(TEN_OFF)
    assert refused.value.code == "user_error"


@pytest.mark.parametrize("external_id", [None, "", "abc", "1/2"])
def test_a_member_who_is_no_customer_here_gets_no_code(
    shopify: ShopifyConnector, external_id: str | None
) -> None:
    with pytest.raises(Rejected):
        shopify.push(replace(TEN_OFF, customer=CustomerKey("mem_1", external_id=external_id)))


def test_revoking_ends_the_code(api: responses.RequestsMock, shopify: ShopifyConnector) -> None:
    answer(api, found())
    answer(api, ENDED)
    receipt = shopify.push(REVOKE)
    assert (receipt.external_id, receipt.changed) == (GID, True)
    assert sent(api)["variables"] == {"id": GID}


def test_revoking_again_changes_nothing_and_asks_for_nothing(
    api: responses.RequestsMock, shopify: ShopifyConnector
) -> None:
    answer(api, found(status="EXPIRED"))
    assert shopify.push(REVOKE).changed is False
    assert len(api.calls) == 1


def test_a_code_that_never_was_counts_as_revoked(
    api: responses.RequestsMock, shopify: ShopifyConnector
) -> None:
    answer(api, NOTHING)
    assert shopify.push(replace(REVOKE, external_id=None)).changed is False


def test_a_code_that_was_renamed_is_found_by_its_id(
    api: responses.RequestsMock, shopify: ShopifyConnector
) -> None:
    answer(api, NOTHING)
    answer(api, ENDED)
    assert shopify.push(REVOKE).changed is True
    assert sent(api)["variables"] == {"id": GID}


def test_a_discount_that_was_deleted_counts_as_revoked(
    api: responses.RequestsMock, shopify: ShopifyConnector
) -> None:
    answer(api, NOTHING)
    gone = user_error("discountCodeDeactivate", "INVALID", "Code discount does not exist.", ["id"])
    answer(api, gone)
    assert shopify.push(REVOKE).changed is False


def test_a_merchants_own_code_of_that_name_is_left_alone(
    api: responses.RequestsMock, shopify: ShopifyConnector
) -> None:
    answer(api, found("Black Friday"))
    assert shopify.push(replace(REVOKE, external_id=None)).changed is False
    assert len(api.calls) == 1


# --- balances ----------------------------------------------------------------------------------


def test_a_balance_is_written_to_the_apps_own_namespace(
    api: responses.RequestsMock, shopify: ShopifyConnector
) -> None:
    answer(api, {"metafieldsSet": {"metafields": [], "userErrors": []}})
    shopify.push(SetBalance(CustomerKey("mem_1", external_id="5"), 120, 100, 20, NOON))
    fields = sent(api)["variables"]["metafields"]
    assert {f["key"]: f["value"] for f in fields} == {
        "points": "120",
        "available": "100",
        "pending": "20",
        "as_of": "2026-11-23T05:00:00Z",
    }
    assert {(f["ownerId"], f["namespace"]) for f in fields} == {
        ("gid://shopify/Customer/5", "$app:loyalty")
    }


def test_the_balance_of_a_customer_who_is_gone_is_refused(
    api: responses.RequestsMock, shopify: ShopifyConnector
) -> None:
    answer(api, user_error("metafieldsSet", "INVALID", "Owner does not exist.", ["metafields", "0"]))
    with pytest.raises(Rejected):
        shopify.push(SetBalance(CustomerKey("mem_1", external_id="5"), 1, 1, 0, NOON))


# --- the API's refusals ------------------------------------------------------------------------


def cost(requested: Any, available: Any, rate: Any) -> dict[str, Any]:
    status = {"maximumAvailable": 2000, "currentlyAvailable": available, "restoreRate": rate}
    return {"cost": {"requestedQueryCost": requested, "throttleStatus": status}}


THROTTLED = [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]


@pytest.mark.parametrize(
    ("extensions", "seconds"),
    [
        (cost(500, 100, 100), 4.0),
        (cost(16, 10, 100), 1.0),
        (cost(16, 10, 0), 2.0),
        (cost("x", None, 100), 2.0),
        (cost(10**9, 0, 0.001), 600.0),
        ({}, 2.0),
        (None, 2.0),
    ],
)
def test_throttled_waits_until_the_bucket_can_pay(
    api: responses.RequestsMock, shopify: ShopifyConnector, extensions: Any, seconds: float
) -> None:
    answer(api, errors=THROTTLED, extensions=extensions)
    with pytest.raises(ChannelDown) as down:
        shopify.push(REVOKE)
    assert (down.value.code, down.value.retry_at) == ("throttled", NOON + timedelta(seconds=seconds))


def test_429_waits_at_least_a_moment(api: responses.RequestsMock, shopify: ShopifyConnector) -> None:
    api.add(responses.POST, API, status=429, json={})
    with pytest.raises(ChannelDown) as down:
        shopify.push(REVOKE)
    assert down.value.retry_at == NOON + timedelta(seconds=2)


@pytest.mark.parametrize(
    ("status", "fault", "code"),
    [
        (402, Misconfigured, "shop_frozen"),
        (403, Misconfigured, "access_denied"),
        (404, Misconfigured, "no_such_shop"),
        (423, ChannelDown, "shop_locked"),
        (301, Misconfigured, "redirected"),
        (400, Rejected, "http_400"),
        (500, ChannelDown, "http_500"),
        (503, ChannelDown, "http_503"),
    ],
)
def test_each_status_has_its_owner(
    api: responses.RequestsMock, shopify: ShopifyConnector, status: int, fault: type[Fault], code: str
) -> None:
    api.add(responses.POST, API, status=status, json={"errors": "no"})
    with pytest.raises(fault) as raised:
        shopify.push(REVOKE)
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("errors", "fault", "code"),
    [
        ([{"message": "m", "extensions": {"code": "ACCESS_DENIED"}}], Misconfigured, "access_denied"),
        ([{"message": "m", "extensions": {"code": "SHOP_INACTIVE"}}], Misconfigured, "shop_inactive"),
        ([{"message": "m", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}], ChannelDown, None),
        ([{"message": "m", "extensions": {"code": "INVALID_VARIABLE"}}], Rejected, "invalid_variable"),
        ([{"message": "m", "extensions": {"code": "MAX_COST_EXCEEDED"}}], Rejected, "max_cost_exceeded"),
        ([{"message": "m"}], Rejected, "graphql_error"),
        (["m"], Rejected, "graphql_error"),
        ("m", Rejected, "graphql_error"),
        ({"query": "m"}, Rejected, "graphql_error"),
    ],
)
def test_top_level_errors_come_with_200_and_have_owners_too(
    api: responses.RequestsMock,
    shopify: ShopifyConnector,
    errors: Any,
    fault: type[Fault],
    code: str | None,
) -> None:
    answer(api, errors=errors)
    with pytest.raises(fault) as raised:
        shopify.push(REVOKE)
    assert raised.value.code == (code or "internal_server_error")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>maintenance</html>",
        "[]",
        "{}",
        '{"data": null}',
        '{"data": []}',
        '{"data": {"codeDiscountNodeByCode": 5}}',
        '{"data": {"codeDiscountNodeByCode": []}}',
    ],
)
def test_an_answer_of_another_shape_is_no_answer(
    api: responses.RequestsMock, shopify: ShopifyConnector, body: str
) -> None:
    api.add(responses.POST, API, body=body)
    with pytest.raises(ChannelDown) as down:
        shopify.push(REVOKE)
    assert down.value.code in {"not_json", "bad_answer"}


# --- tokens ------------------------------------------------------------------------------------


@pytest.fixture
def granted(channel: Channel) -> Channel:
    channel.settings = {
        **channel.settings,
        "access_token": "",
        "client_id": "id",
        "client_secret": "s3cr3t",
    }
    return channel


def grant(api: responses.RequestsMock, token: str, **other: Any) -> None:
    api.add(responses.POST, TOKEN, json={"access_token": token, "expires_in": 86399, **other})


def test_a_pasted_token_that_is_refused_is_the_merchants_move(
    api: responses.RequestsMock, shopify: ShopifyConnector
) -> None:
    api.add(responses.POST, API, status=401, json={"errors": "[API] Invalid API key or access token"})
    with pytest.raises(Misconfigured) as refused:
        shopify.push(REVOKE)
    assert refused.value.code == "token_refused"
    assert len(api.calls) == 1


def test_a_token_is_granted_once_and_kept(api: responses.RequestsMock, granted: Channel) -> None:
    grant(api, "one")
    for _ in range(2):
        answer(api, NOTHING)
        ShopifyConnector(granted).push(replace(REVOKE, external_id=None))
    assert [c.request.url for c in api.calls] == [TOKEN, API, API]
    assert (
        api.calls[0].request.body == b"grant_type=client_credentials&client_id=id&client_secret=s3cr3t"
    )
    assert granted.memory["currency"] == "USD"  # what else was remembered stays


def test_neither_secret_nor_token_is_left_in_the_exchanges(
    api: responses.RequestsMock, granted: Channel
) -> None:
    grant(api, "shpat_one")
    answer(api, NOTHING)
    ShopifyConnector(granted).push(replace(REVOKE, external_id=None))
    kept = repr(granted.http.exchanges)
    assert "s3cr3t" not in kept
    assert "shpat_one" not in kept


def test_a_401_gets_one_other_token(api: responses.RequestsMock, granted: Channel) -> None:
    expires_at = (NOON + timedelta(hours=5)).isoformat()
    granted.memory = {"token": {"value": "old", "expires_at": expires_at}}
    api.add(responses.POST, API, status=401, json={})
    grant(api, "new")
    answer(api, NOTHING)
    ShopifyConnector(granted).push(replace(REVOKE, external_id=None))
    tokens = [c.request.headers.get("x-shopify-access-token") for c in api.calls]
    assert tokens == ["old", None, "new"]


def test_a_second_401_is_the_merchants_move(api: responses.RequestsMock, granted: Channel) -> None:
    api.add(responses.POST, API, status=401, json={})
    grant(api, "one")
    grant(api, "two")
    with pytest.raises(Misconfigured) as refused:
        ShopifyConnector(granted).push(REVOKE)
    assert refused.value.code == "token_refused"
    assert len(api.calls) == 4


@pytest.mark.parametrize("seconds", [0, 200])
def test_a_token_that_is_about_to_expire_is_replaced(
    api: responses.RequestsMock, granted: Channel, seconds: int
) -> None:
    expires_at = (NOON + timedelta(seconds=seconds)).isoformat()
    granted.memory = {"token": {"value": "old", "expires_at": expires_at}}
    grant(api, "new")
    answer(api, NOTHING)
    ShopifyConnector(granted).push(replace(REVOKE, external_id=None))
    assert granted.memory["token"]["value"] == "new"


@pytest.mark.parametrize("status", [400, 401, 403])
def test_refused_credentials_name_the_settings(
    api: responses.RequestsMock, granted: Channel, status: int
) -> None:
    api.add(responses.POST, TOKEN, status=status, json={"error": "invalid_client"})
    with pytest.raises(Misconfigured) as refused:
        ShopifyConnector(granted).push(REVOKE)
    assert refused.value.code == "client_refused"
    assert "client_id" in refused.value.detail


def test_a_channel_without_a_login_says_what_to_set(channel: Channel) -> None:
    channel.settings = {**channel.settings, "access_token": ""}
    with pytest.raises(Misconfigured) as refused:
        ShopifyConnector(channel).push(REVOKE)
    assert refused.value.code == "no_api_access"


def test_only_one_worker_asks_for_a_token(granted: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def taken(name: str) -> Iterator[None]:
        yield None

    def once(name: str, seconds: float) -> AbstractContextManager[Lease | None]:
        return taken(name)

    monkeypatch.setattr(granted, "once", once)
    with pytest.raises(ChannelDown) as down:
        ShopifyConnector(granted).push(REVOKE)
    assert (down.value.code, down.value.retry_at) == ("token_under_way", NOON + timedelta(seconds=2))


# --- health, needs, settings -------------------------------------------------------------------


def shop_answer(domain: str = "example.myshopify.com", *scopes: str) -> dict[str, Any]:
    handles = scopes or (*NEEDED_SCOPES, *USEFUL_SCOPES)
    return {
        "shop": {"name": "Example", "myshopifyDomain": domain, "currencyCode": "USD"},
        "currentAppInstallation": {"accessScopes": [{"handle": h} for h in handles]},
    }


def test_a_well_connection_says_so(api: responses.RequestsMock, shopify: ShopifyConnector) -> None:
    answer(api, shop_answer())
    assert shopify.health() == Health(True, "ok", "connected to Example, which sells in USD")


def test_health_names_missing_scopes(api: responses.RequestsMock, shopify: ShopifyConnector) -> None:
    answer(api, shop_answer("example.myshopify.com", "read_orders", "write_customers"))
    health = shopify.health()
    assert (health.ok, health.code) == (False, "missing_scopes")
    assert "write_discounts" in health.detail
    assert "read_customers" not in health.detail  # to write is to read


@pytest.mark.parametrize(
    ("lacking", "code"),
    [("read_customer_merge", "merged_customers"), ("read_all_orders", "older_orders")],
)
def test_health_says_what_is_not_seen_without_a_scope_that_is_only_useful(
    api: responses.RequestsMock, shopify: ShopifyConnector, lacking: str, code: str
) -> None:
    has = {*NEEDED_SCOPES, *USEFUL_SCOPES} - {lacking}
    answer(api, shop_answer("example.myshopify.com", *has))
    health = shopify.health()
    assert (health.ok, health.code) == (True, code)
    assert lacking in health.detail


def test_health_sees_a_token_of_another_shop(
    api: responses.RequestsMock, shopify: ShopifyConnector
) -> None:
    answer(api, shop_answer("other.myshopify.com"))
    assert shopify.health().code == "other_shop"


def test_health_sees_that_the_pinned_version_has_expired(
    api: responses.RequestsMock, shopify: ShopifyConnector
) -> None:
    headers = {"X-Shopify-API-Version": "2027-10"}
    api.add(responses.POST, API, json={"data": shop_answer()}, headers=headers)
    assert shopify.health().code == "version_expired"


def test_health_tells_a_failure_instead_of_raising_it(
    api: responses.RequestsMock, shopify: ShopifyConnector
) -> None:
    api.add(responses.POST, API, status=402, json={})
    assert shopify.health().code == "shop_frozen"


def test_codes_and_balances_need_the_shops_own_customer_id() -> None:
    needs = ShopifyConnector.needs
    assert needs == {"create_code": IdentityKind.CUSTOMER, "set_balance": IdentityKind.CUSTOMER}


def test_the_shop_is_known_by_its_permanent_name(shopify: ShopifyConnector) -> None:
    assert shopify.shop_identity() == "example.myshopify.com"


@pytest.mark.parametrize(
    ("typed", "free_shipping", "beside"),
    [
        ("Shipping;order", False, [True, False, True]),
        ("order, product, shipping", True, [True, True, False]),
        ("", False, [False, False, False]),
    ],
)
def test_codes_may_be_used_beside_the_discounts_that_the_merchant_names(
    channel: Channel, api: responses.RequestsMock, typed: str, free_shipping: bool, beside: list[bool]
) -> None:
    whole = {"shop": "example.myshopify.com", "webhook_secret": "s", "combines_with": typed}
    loaded = ShopifyConnector.settings_schema().load(whole)
    settings = {**channel.settings, "combines_with": loaded["combines_with"]}
    made = {"codeDiscountNode": {"id": GID}, "userErrors": []}
    name = "discountCodeFreeShippingCreate" if free_shipping else "discountCodeBasicCreate"
    answer(api, {name: made})
    command = (
        replace(TEN_OFF, amount=None, currency=None, free_shipping=True) if free_shipping else TEN_OFF
    )
    ShopifyConnector(replace(channel, settings=settings)).push(command)
    assert list(sent(api)["variables"]["input"]["combinesWith"].values()) == beside


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("example.myshopify.com", "example.myshopify.com"),
        (" https://Example.myshopify.com/ ", "example.myshopify.com"),
    ],
)
def test_a_pasted_shop_address_is_tidied(typed: str, kept: str) -> None:
    loaded = ShopifyConnector.settings_schema().load({"shop": typed, "webhook_secret": "s"})
    assert loaded["shop"] == kept
    assert loaded["api_version"] == "2026-10"


@pytest.mark.parametrize(
    "settings",
    [
        {"shop": "example.com"},
        {"shop": "example.myshopify.com.evil.com"},
        {"shop": "example.myshopify.com\nevil"},
        {"shop": "-x.myshopify.com"},
        {"webhook_secret": ""},
        {"api_version": "latest"},
        {"combines_with": "order, everything"},
        {"api_version": "2026-10/../x"},
        {"api_base": "ftp://x"},
        {"access_token": "a", "client_id": "b"},
        {"client_secret": "without an id"},
    ],
)
def test_senseless_settings_are_refused(settings: dict[str, str]) -> None:
    whole = {"shop": "example.myshopify.com", "webhook_secret": "s", **settings}
    assert ShopifyConnector.settings_schema().validate(whole)
