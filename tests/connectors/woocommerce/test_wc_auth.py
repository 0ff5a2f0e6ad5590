"""wc-auth: the address, and a key that is believed only when the store that was asked takes it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import responses

from connectors.woocommerce.connector import WooCommerceConnector
from hub.connector import Brought, Granted, Handshake
from hub.errors import ChannelDown, Fault, Misconfigured
from hub.http import Http
from tests.connectors.channel import NOON

STORE = "https://shop.example.com/blog"
HOOKS = f"{STORE}/wp-json/wc/v3/webhooks"
HANDSHAKE = Handshake(
    "wc_auth",
    "state-1",
    {"store_url": STORE},
    "https://hub.example.com/connect/woocommerce/return",
    "https://hub.example.com/connect/woocommerce/callback",
    "Loyalty hub",
)
GOOD = {
    "key_id": 5,
    "user_id": "state-1",
    "consumer_key": "ck_abc123",
    "consumer_secret": "cs_def456",
    "key_permissions": "read_write",
}


def brought(content: Any) -> Brought:
    return Brought((), content if isinstance(content, bytes) else json.dumps(content).encode(), NOON)


def take(content: Any) -> Granted:
    http = Http(allow_private=["shop.example.com"])
    return WooCommerceConnector.take(HANDSHAKE, brought(content), http)


def test_the_store_is_asked_with_all_five_parameters() -> None:
    address = urlsplit(WooCommerceConnector.leave_at(HANDSHAKE))
    assert (address.netloc, address.path) == ("shop.example.com", "/blog/wc-auth/v1/authorize")
    assert parse_qs(address.query) == {
        "app_name": ["Loyalty hub"],
        "scope": ["read_write"],
        "user_id": ["state-1"],
        "return_url": [HANDSHAKE.return_url],
        "callback_url": [HANDSHAKE.callback_url],
    }


@responses.activate
def test_a_key_that_the_store_takes_is_granted_with_a_webhook_secret_of_its_own() -> None:
    responses.get(HOOKS, json=[])
    first, second = take(GOOD), take(GOOD)
    assert first.settings["consumer_key"] == "ck_abc123"
    assert first.settings["consumer_secret"] == "cs_def456"
    assert first.settings["webhook_secret"] != second.settings["webhook_secret"]
    assert first.settings["webhook_secret"].isalnum(), "WooCommerce decodes HTML in secrets"
    loaded = WooCommerceConnector.settings_schema().load({**HANDSHAKE.settings, **first.settings})
    assert loaded["store_url"] == STORE


@responses.activate
def test_the_key_is_shown_to_the_store_that_was_asked_and_to_nobody_else() -> None:
    responses.get(HOOKS, json=[])
    take({**GOOD, "store_url": "https://evil.example", "callback_url": "https://evil.example"})
    assert [urlsplit(str(call.request.url)).netloc for call in responses.calls] == ["shop.example.com"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({**GOOD, "consumer_key": None}, "bad_callback"),
        ({**GOOD, "consumer_key": "sk_abc"}, "bad_callback"),
        ({**GOOD, "consumer_key": "ck_a\nb"}, "bad_callback"),
        ({**GOOD, "consumer_secret": ["cs_1"]}, "bad_callback"),
        ({**GOOD, "consumer_secret": "cs_" + "x" * 500}, "bad_callback"),
        ({**GOOD, "key_permissions": "read"}, "key_read_only"),
        ([], "bad_callback"),
        (b"", "bad_callback"),
        (b"\xff", "bad_callback"),
        (b"[" * 5000, "bad_callback"),
    ],
)
@responses.activate
def test_what_is_no_key_is_refused_without_asking_the_store(content: Any, code: str) -> None:
    with pytest.raises(Misconfigured) as fault:
        take(content)
    assert fault.value.code == code
    assert len(responses.calls) == 0
    assert code in WooCommerceConnector.words


@pytest.mark.parametrize(
    ("status", "body", "fault", "code"),
    [
        (401, {"code": "woocommerce_rest_authentication_error"}, Misconfigured, "bad_key"),
        (401, {"code": "woocommerce_rest_cannot_view"}, Misconfigured, "key_unknown"),
        (403, {"code": "woocommerce_rest_cannot_view"}, Misconfigured, "key_lacks_rights"),
        (404, {"code": "rest_no_route"}, Misconfigured, "no_rest_api"),
        (503, {}, ChannelDown, "http_503"),
    ],
)
@responses.activate
def test_a_key_that_the_store_does_not_take_is_no_key(
    status: int, body: Any, fault: type[Fault], code: str
) -> None:
    responses.get(HOOKS, json=body, status=status)
    with pytest.raises(Fault) as refused:
        take(GOOD)
    assert (type(refused.value), refused.value.code) == (fault, code)


@pytest.mark.parametrize(
    ("query", "body", "state", "no"),
    [
        ((("success", "0"), ("user_id", "s")), b"", "s", True),
        ((("success", "1"), ("user_id", "s")), b"", "s", False),
        ((), json.dumps(GOOD).encode(), "state-1", False),
        ((), b'{"user_id": 7}', "", False),
        ((), b"not json", "", False),
        ((), b"", "", False),
    ],
)
def test_state_and_refusal_are_read_from_both_messages(
    query: Any, body: bytes, state: str, no: bool
) -> None:
    answer = Brought(query, body, NOON)
    assert (WooCommerceConnector.state_in(answer), WooCommerceConnector.says_no(answer)) == (state, no)
