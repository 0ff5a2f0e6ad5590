"""Signing requests, and what each refusal of a store means."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import responses

from connectors.woocommerce.client import Store, oauth_parameters, signature_base
from hub.errors import ChannelDown, Fault, Misconfigured, Rejected
from hub.http import Http

TLS, PLAIN = "https://shop.example.com", "http://shop.example.com"
ORDERS = f"{TLS}/wp-json/wc/v3/orders/7"
AT = datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)


def store(url: str = TLS) -> Store:
    return Store(Http(allow_private=["shop.example.com"]), url, "ck_key", "cs_secret", AT)


def error(code: str, message: str = "in the shop's language") -> str:
    return json.dumps({"code": code, "message": message, "data": {"status": 401}})


# The expected values were computed with oauthlib 4.0.1, whose HMAC-SHA256 passes its own vectors.


def test_the_base_string_is_that_of_rfc_5849() -> None:
    params = {
        "code": "LYL-Q7F2 x&9",
        "_fields": "id,sku",
        "oauth_consumer_key": "ck_abc",
        "oauth_nonce": "9f0c",
        "oauth_signature_method": "HMAC-SHA256",
        "oauth_timestamp": "1795394370",
        "ti~lde": "ä+%",
    }
    assert signature_base("get", "http://Shop.example.com:8080/wp-json/wc/v3/coupons", params) == (
        "GET&http%3A%2F%2Fshop.example.com%3A8080%2Fwp-json%2Fwc%2Fv3%2Fcoupons&_fields%3Did%252Csku"
        "%26code%3DLYL-Q7F2%2520x%25269%26oauth_consumer_key%3Dck_abc%26oauth_nonce%3D9f0c"
        "%26oauth_signature_method%3DHMAC-SHA256%26oauth_timestamp%3D1795394370"
        "%26ti~lde%3D%25C3%25A4%252B%2525"
    )


def test_a_default_port_is_no_part_of_the_base_string() -> None:
    base = signature_base(
        "DELETE", "http://shop.example.com:80/x/wp-json/wc/v3/coupons/7", {"force": "true"}
    )
    assert (
        base == "DELETE&http%3A%2F%2Fshop.example.com%2Fx%2Fwp-json%2Fwc%2Fv3%2Fcoupons%2F7&force%3Dtrue"
    )


def test_the_signature_is_that_of_another_implementation() -> None:
    signed = oauth_parameters(
        "GET",
        "http://Shop.example.com:8080/wp-json/wc/v3/coupons",
        {"code": "LYL-Q7F2 x&9", "_fields": "id,sku", "ti~lde": "ä+%"},
        "ck_abc",
        "cs_s&cret",
        nonce="9f0c",
        timestamp=1795394370,
    )
    assert signed["oauth_signature"] == "pSD7HU2facbHyzmTXwWRCpiHb3ICWnYF8yQcG28fhF0="


@responses.activate
def test_over_http_each_request_is_signed_with_a_nonce_of_its_own() -> None:
    responses.get(f"{PLAIN}/wp-json/wc/v3/orders/7", json={"id": 7})
    for _ in range(2):
        store(PLAIN).get("orders/7", _fields="id")
    first, second = (parse_qs(urlsplit(call.request.url or "").query) for call in responses.calls)
    assert first["oauth_consumer_key"] == ["ck_key"]
    assert first["oauth_timestamp"] == [str(int(AT.timestamp()))]
    assert first["oauth_nonce"] != second["oauth_nonce"]
    assert "cs_secret" not in str(responses.calls[0].request.url)
    assert "Authorization" not in responses.calls[0].request.headers


@responses.activate
def test_over_https_the_keys_travel_as_basic_auth() -> None:
    responses.get(ORDERS, json={"id": 7})
    assert store().get("orders/7").json() == {"id": 7}
    assert responses.calls[0].request.headers["Authorization"].startswith("Basic ")
    assert "consumer" not in str(responses.calls[0].request.url)


@responses.activate
def test_keys_go_into_the_query_where_a_server_strips_the_header() -> None:
    keys = {"consumer_key": "ck_key", "consumer_secret": "cs_secret"}
    responses.get(ORDERS, status=401, body=error("woocommerce_rest_cannot_view"))
    responses.get(ORDERS, json={"id": 7}, match=[responses.matchers.query_param_matcher(keys)])
    http = Http(allow_private=["shop.example.com"])
    assert Store(http, TLS, "ck_key", "cs_secret", AT).get("orders/7").status == 200
    assert "Authorization" not in responses.calls[1].request.headers
    assert all("cs_secret" not in exchange.url for exchange in http.exchanges)


@pytest.mark.parametrize(
    ("status", "body", "fault", "code"),
    [
        (401, error("woocommerce_rest_authentication_error"), Misconfigured, "bad_key"),
        (401, error("woocommerce_rest_authentication_missing_parameter"), Misconfigured, "bad_key"),
        (401, error("woocommerce_rest_cannot_view"), Misconfigured, "key_unknown"),
        (403, error("woocommerce_rest_cannot_view"), Misconfigured, "key_lacks_rights"),
        (403, "<html>Wordfence</html>", Misconfigured, "blocked"),
        (401, "[]", Misconfigured, "blocked"),
        (404, error("rest_no_route"), Misconfigured, "no_rest_api"),
        (404, "<html>Not found</html>", Misconfigured, "no_rest_api"),
        (400, error("rest_invalid_param"), Rejected, "rest_invalid_param"),
        (413, "too big", Rejected, "http_413"),
        (200, "<html>Welcome</html>", ChannelDown, "not_json"),
        (200, "<html>Are you a robot?</html>", ChannelDown, "captcha"),
        (202, "<html>Are you a robot?</html>", ChannelDown, "captcha"),
        (500, error("internal_server_error"), ChannelDown, "http_500"),
        (429, "slow down", ChannelDown, "http_429"),
    ],
)
@responses.activate
def test_each_refusal_says_whose_move_it_is(
    status: int, body: str, fault: type[Fault], code: str
) -> None:
    responses.get(ORDERS, status=status, body=body)
    with pytest.raises(fault) as caught:
        store().get("orders/7")
    assert (type(caught.value), caught.value.code) == (fault, code)
    assert "cs_secret" not in caught.value.detail


@responses.activate
def test_only_wordpress_own_404_means_that_the_order_is_gone() -> None:
    responses.get(ORDERS, status=404, body=error("woocommerce_rest_shop_order_invalid_id"))
    assert store().get("orders/7").status == 404


@responses.activate
def test_a_key_that_may_only_read_is_named_when_writing() -> None:
    responses.post(
        f"{TLS}/wp-json/wc/v3/coupons", status=401, body=error("woocommerce_rest_authentication_error")
    )
    with pytest.raises(Misconfigured) as caught:
        store().post("coupons", {})
    assert "Read/Write" in caught.value.detail


@responses.activate
def test_a_redirect_names_the_address_to_enter() -> None:
    responses.get(ORDERS, status=301, headers={"Location": "https://www.shop.example.com/wp-json/?a=b"})
    with pytest.raises(Misconfigured) as caught:
        store().get("orders/7")
    assert caught.value.code == "redirected"
    assert caught.value.detail.endswith("https://www.shop.example.com")


@pytest.mark.parametrize("body", ["{}", "[1]", '"x"', "null"])
@responses.activate
def test_a_collection_that_is_no_list_of_objects_is_a_failure(body: str) -> None:
    responses.get(f"{TLS}/wp-json/wc/v3/coupons", body=body)
    with pytest.raises(ChannelDown):
        store().get_list("coupons")


@responses.activate
def test_changing_what_is_gone_is_rejected_and_deleting_it_is_done() -> None:
    gone = error("woocommerce_rest_shop_coupon_invalid_id")
    responses.put(f"{TLS}/wp-json/wc/v3/coupons/9", status=404, body=gone)
    responses.delete(f"{TLS}/wp-json/wc/v3/coupons/9", status=404, body=gone)
    with pytest.raises(Rejected):
        store().put("coupons/9", {})
    assert store().delete("coupons/9") is False


# --- two causes that look like a wrong key ---------------------------------------------------------

HOOKS = f"{TLS}/wp-json/wc/v3/webhooks"


def signed_for_http(request: requests.PreparedRequest) -> tuple[bool, str]:
    """As a store checks it that takes the request for one over http."""
    query = {k: v[0] for k, v in parse_qs(urlsplit(request.url or "").query).items()}
    given = query.pop("oauth_signature", "")
    if not given:
        return False, "not signed"
    plain = {k: v for k, v in query.items() if not k.startswith("oauth_")}
    wanted = oauth_parameters(
        "GET", f"{PLAIN}/wp-json/wc/v3/webhooks", plain, "ck_key", "cs_secret",
        nonce=query["oauth_nonce"], timestamp=int(query["oauth_timestamp"]),
    )  # fmt: skip
    return given == wanted["oauth_signature"], "signed for something else"


@responses.activate
def test_a_proxy_that_hides_https_is_told_from_a_wrong_key() -> None:
    responses.get(ORDERS, status=401, body=error("woocommerce_rest_cannot_view"))
    responses.get(HOOKS, json=[], match=[signed_for_http])
    with pytest.raises(Misconfigured) as fault:
        store().get("orders/7")
    assert fault.value.code == "https_hidden"
    assert "X-Forwarded-Proto" in fault.value.detail


@responses.activate
def test_a_key_that_may_only_read_is_told_from_a_wrong_secret() -> None:
    responses.post(
        f"{TLS}/wp-json/wc/v3/coupons", status=401, body=error("woocommerce_rest_authentication_error")
    )
    responses.get(HOOKS, json=[])
    with pytest.raises(Misconfigured) as fault:
        store().post("coupons", {"code": "x"})
    assert fault.value.code == "key_read_only"


@responses.activate
def test_over_http_a_key_that_may_only_read_is_told_too() -> None:
    responses.post(
        f"{PLAIN}/wp-json/wc/v3/coupons", status=401, body=error("woocommerce_rest_authentication_error")
    )
    responses.get(f"{PLAIN}/wp-json/wc/v3/webhooks", json=[], match=[signed_for_http])
    with pytest.raises(Misconfigured) as fault:
        store(PLAIN).post("coupons", {"code": "x"})
    assert fault.value.code == "key_read_only"


@responses.activate
def test_a_wrong_secret_stays_a_wrong_secret() -> None:
    refused = error("woocommerce_rest_authentication_error")
    responses.post(f"{TLS}/wp-json/wc/v3/coupons", status=401, body=refused)
    responses.get(HOOKS, status=401, body=refused)
    with pytest.raises(Misconfigured) as fault:
        store().post("coupons", {"code": "x"})
    assert fault.value.code == "bad_key"
