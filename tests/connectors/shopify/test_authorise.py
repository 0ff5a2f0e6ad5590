"""The authorization code grant: the address, the callback's checks, the exchange."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
import responses

from connectors.shopify.authorise import signature
from connectors.shopify.connector import ShopifyConnector
from hub.connector import Brought, Granted, Handshake
from hub.errors import ChannelDown, Fault, Misconfigured
from hub.http import Http
from tests.connectors.channel import NOON

SHOP = "example.myshopify.com"
TOKEN = f"https://{SHOP}/admin/oauth/access_token"
SETTINGS = {"shop": SHOP, "client_id": "client-1", "webhook_secret": "hush"}
HANDSHAKE = Handshake(
    "code",
    "state-1",
    SETTINGS,
    "https://hub.example.com/connect/shopify/return",
    "https://hub.example.com/connect/shopify/callback",
    "Loyalty hub",
)
PAIR = {
    "access_token": "shpat_1",
    "expires_in": 3600,
    "refresh_token": "shprt_1",
    "scope": "read_orders",
}


def body_of(call: responses.Call) -> str:
    body = call.request.body
    assert isinstance(body, bytes)
    return body.decode()


@pytest.fixture
def api() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def brought(secret: str = "hush", **changes: str) -> Brought:
    """The callback of a merchant who agreed just now; "" takes a parameter away."""
    query = {
        "code": "c0de",
        "host": "aG9zdA",
        "shop": SHOP,
        "state": "state-1",
        "timestamp": str(int(NOON.timestamp())),
        **changes,
    }
    pairs = [(name, value) for name, value in query.items() if value]
    return Brought((*pairs, ("hmac", signature(pairs, secret))), b"", NOON)


def take(answer: Brought, handshake: Handshake = HANDSHAKE) -> Granted:
    return ShopifyConnector.take(handshake, answer, Http(allow_private=[SHOP]))


def refusal(answer: Brought, handshake: Handshake = HANDSHAKE) -> Fault:
    with pytest.raises(Fault) as refused:
        take(answer, handshake)
    return refused.value


def test_shopifys_own_test_vector_is_signed_as_shopify_signs_it() -> None:
    query = [
        ("timestamp", "1337178173"),
        ("shop", "some-shop.myshopify.com"),
        ("code", "0907a61c0c8d55e99db179b68161bc00"),
        ("hmac", "is left out"),
    ]
    expected = "4712bf92ffc2917d15a2f5a273e39f0116667419aa4b6ac0b3baaf26fa3c4d20"
    assert signature(query, "hush") == expected


def test_the_merchant_is_asked_in_the_shop_for_what_the_operations_need() -> None:
    address = urlsplit(ShopifyConnector.leave_at(HANDSHAKE))
    query = parse_qs(address.query)
    assert (address.scheme, address.netloc, address.path) == ("https", SHOP, "/admin/oauth/authorize")
    assert query["state"] == ["state-1"]
    assert query["redirect_uri"] == [HANDSHAKE.return_url]
    assert "write_discounts" in query["scope"][0].split(",")
    assert "grant_options[]" not in query, "offline access"


def test_a_code_becomes_a_pair_that_expires(api: responses.RequestsMock) -> None:
    api.post(TOKEN, json=PAIR)
    granted = take(brought())
    sent = dict(parse_qsl(body_of(api.calls[0])))
    assert sent == {
        "client_id": "client-1", "client_secret": "hush", "code": "c0de", "expiring": "1",
    }  # fmt: skip
    assert granted.settings == {"login": "code"}
    assert granted.state["offline"] == {
        "access": "shpat_1",
        "refresh": "shprt_1",
        "expires_at": "2026-11-23T06:00:00+00:00",
        "refresh_expires_at": "2027-02-21T05:00:00+00:00",
    }


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (brought(secret="another app's"), "bad_callback_signature"),
        (Brought((("code", "c0de"), ("shop", SHOP)), b"", NOON), "bad_callback_signature"),
        (Brought((("code", "c0de"), ("hmac", "ä")), b"", NOON), "bad_callback_signature"),
        (brought(code=""), "bad_callback"),
        (brought(shop="other.myshopify.com"), "other_shop"),
        (brought(shop=f"{SHOP}.evil.example"), "other_shop"),
        (brought(shop=f"{SHOP}\n"), "other_shop"),
        (brought(timestamp=str(int(NOON.timestamp()) - 91)), "late_callback"),
        (brought(timestamp=str(int(NOON.timestamp()) + 91)), "late_callback"),
        (brought(timestamp="yesterday"), "late_callback"),
        (brought(timestamp=""), "late_callback"),
        (brought(timestamp="9" * 400), "late_callback"),
    ],
)
def test_what_is_not_shopifys_answer_of_now_is_refused_without_asking_shopify(
    api: responses.RequestsMock, answer: Brought, code: str
) -> None:
    fault = refusal(answer)
    assert (type(fault), fault.code) == (Misconfigured, code)
    assert len(api.calls) == 0
    assert code in ShopifyConnector.words


def test_a_callback_of_ninety_seconds_ago_is_still_good(api: responses.RequestsMock) -> None:
    api.post(TOKEN, json=PAIR)
    assert take(brought(timestamp=str(int(NOON.timestamp()) - 90))).state


def test_a_parameter_given_twice_is_refused(api: responses.RequestsMock) -> None:
    """Or what was signed and what is read could be two things."""
    pairs = [*brought().query[:-1], ("code", "another")]
    twice = Brought((*pairs, ("hmac", signature(pairs, "hush"))), b"", NOON)
    assert refusal(twice).code == "bad_callback"


@pytest.mark.parametrize(
    ("status", "body", "fault", "code"),
    [
        (400, {"error": "invalid_request"}, Misconfigured, "code_refused"),
        (400, {"error": "application_cannot_be_found"}, Misconfigured, "code_refused"),
        (404, "<html>", Misconfigured, "code_refused"),
        (200, {"scope": "read_orders"}, ChannelDown, "bad_answer"),
        (200, {"access_token": "shpat_1"}, ChannelDown, "bad_answer"),
        (200, "<html>", ChannelDown, "not_json"),
        (500, {}, ChannelDown, "http_500"),
        (429, {}, ChannelDown, "http_429"),
    ],
)
def test_each_answer_to_a_code_that_holds_no_pair_has_its_owner(
    api: responses.RequestsMock, status: int, body: Any, fault: type[Fault], code: str
) -> None:
    if isinstance(body, Mapping):
        api.post(TOKEN, json=body, status=status)
    else:
        api.post(TOKEN, body=body, status=status)
    found = refusal(brought())
    assert (type(found), found.code) == (fault, code)


def test_neither_code_nor_secret_nor_token_stays_in_what_is_kept_of_the_exchange(
    api: responses.RequestsMock,
) -> None:
    api.post(TOKEN, json=PAIR)
    http = Http(allow_private=[SHOP])
    ShopifyConnector.take(HANDSHAKE, brought(), http)
    kept = repr(http.exchanges)
    assert [word for word in ("hush", "c0de", "shpat_1", "shprt_1") if word in kept] == []
