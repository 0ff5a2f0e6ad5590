"""How the sandbox lets a key in, or not: wc-auth's page, and what each way to sign comes to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from connectors.sandbox_kit import Running
from connectors.woocommerce.client import Store
from connectors.woocommerce.connector import WooCommerceConnector
from connectors.woocommerce.sandbox import WooCommerceSandbox
from hub.connector import Brought, Handshake
from hub.errors import Misconfigured
from hub.http import Http
from tests.connectors.channel import NOON
from tests.connectors.receiver import Receiver

HTTPS = {"X-Forwarded-Proto": "https"}
HOOKS = "/wp-json/wc/v3/webhooks"


@pytest.fixture
def store() -> Iterator[WooCommerceSandbox]:
    sandbox = WooCommerceSandbox(now=lambda: NOON)
    with Running(sandbox):
        yield sandbox


def fault(store: WooCommerceSandbox, name: str, times: int = 9) -> None:
    wish = {"fault": name, "times": times}
    requests.post(f"{store.address}/_sandbox/faults", json=wish, timeout=5)


def handshake(store: WooCommerceSandbox, callback: str) -> Handshake:
    settings = {"store_url": store.address}
    return Handshake("wc_auth", "st4te", settings, "http://127.0.0.1/back", callback, "Hub")


def answer(address: str, word: str) -> requests.Response:
    return requests.post(address, data={"answer": word}, timeout=10, allow_redirects=False)


def test_approving_makes_a_key_that_works_and_sends_the_browser_back(store: WooCommerceSandbox) -> None:
    with Receiver() as hub:
        asked = handshake(store, hub.url)
        page = WooCommerceConnector.leave_at(asked)
        assert "Hub would like to connect" in requests.get(page, timeout=5).text
        back = answer(page, "approve").headers["location"]
        ((_, called),) = hub.got
    assert parse_qs(urlsplit(back).query) == {"success": ["1"], "user_id": ["st4te"]}
    content = json.loads(called)
    assert content["user_id"] == "st4te"
    http = Http(allow_private=["127.0.0.1"])
    granted = WooCommerceConnector.take(asked, Brought((), called, NOON), http)
    assert granted.settings["consumer_key"] == content["consumer_key"] in store.keys


def test_a_hub_that_does_not_answer_200_gets_no_key(store: WooCommerceSandbox) -> None:
    with Receiver() as hub:
        hub.status = 422
        refused = answer(WooCommerceConnector.leave_at(handshake(store, hub.url)), "approve")
    assert (refused.status_code, "Access denied" in refused.text) == (401, True)
    assert store.keys == {}


def test_denying_calls_nobody(store: WooCommerceSandbox) -> None:
    with Receiver() as hub:
        back = answer(WooCommerceConnector.leave_at(handshake(store, hub.url)), "deny")
        assert hub.got == []
    assert "success=0" in back.headers["location"]


def test_all_five_parameters_are_wanted_and_a_store_may_insist_on_tls(store: WooCommerceSandbox) -> None:
    page = WooCommerceConnector.leave_at(handshake(store, "http://127.0.0.1:1/x"))
    lacking = page.replace("user_id=", "other=")
    assert "Missing parameter user_id" in requests.get(lacking, timeout=5).text
    fault(store, "wants_tls")
    assert "needs to be over SSL" in requests.get(page, timeout=5).text


@pytest.mark.parametrize(
    ("faulty", "auth", "params", "status", "code"),
    [
        ("", ("ck_sandbox", "cs_sandbox"), {}, 200, None),
        ("", None, {"consumer_key": "ck_sandbox", "consumer_secret": "cs_sandbox"}, 200, None),
        ("", ("ck_sandbox", "wrong"), {}, 401, "woocommerce_rest_authentication_error"),
        ("", ("ck_nobody", "cs_sandbox"), {}, 401, "woocommerce_rest_cannot_view"),
        ("", None, {}, 401, "woocommerce_rest_cannot_view"),
        ("strips_header", ("ck_sandbox", "cs_sandbox"), {}, 401, "woocommerce_rest_cannot_view"),
        (
            "strips_header",
            None,
            {"consumer_key": "ck_sandbox", "consumer_secret": "cs_sandbox"},
            200,
            None,
        ),
        ("https_hidden", ("ck_sandbox", "cs_sandbox"), {}, 401, "woocommerce_rest_cannot_view"),
    ],
)
def test_over_https_a_key_is_seen_in_the_header_or_in_the_query(
    store: WooCommerceSandbox,
    faulty: str,
    auth: Any,
    params: dict[str, str],
    status: int,
    code: str | None,
) -> None:
    if faulty:
        fault(store, faulty)
    got = requests.get(store.address + HOOKS, auth=auth, params=params, headers=HTTPS, timeout=5)
    assert got.status_code == status
    assert got.json() == [] if code is None else got.json()["code"] == code


def test_over_http_a_key_that_may_only_read_is_explained(store: WooCommerceSandbox) -> None:
    store.permissions = "read"
    api = Store(Http(allow_private=["127.0.0.1"]), store.address, "ck_sandbox", "cs_sandbox", NOON)
    assert api.get_list("webhooks") == []
    with pytest.raises(Misconfigured) as refused:
        api.post("coupons", {"code": "x"})
    assert refused.value.code == "key_read_only"
