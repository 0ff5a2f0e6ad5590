"""Connecting a shop without a browser: leaving for it, coming back, and what its server brings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from connectors.sandbox_kit import Running
from connectors.shopify.sandbox import ShopifySandbox
from connectors.woocommerce.sandbox import WooCommerceSandbox
from hub.runtime import Runtime
from hub.settings import Settings
from tests.desks import Desk, Office
from tests.web.dashboard.conftest import DOCUMENT

_LINK = re.compile(r'href="([^"]+)" rel="noreferrer"')


@pytest.fixture
def shop() -> Iterator[ShopifySandbox]:
    sandbox = ShopifySandbox()
    with Running(sandbox):
        yield sandbox


@pytest.fixture
def tls(database: str, redis_url: str, tmp_path: Path) -> Iterator[Office]:
    """An office whose hub has an https address, as stores that call back want it."""
    settings = Settings(
        data=tmp_path, database_url=database, redis_url=redis_url, public_url="https://hub.example.com",
        allow_private_hosts=("127.0.0.1",),
    )  # fmt: skip
    runtime = Runtime.start(settings, "web")
    yield Office.new(runtime, DOCUMENT)
    runtime.engine.dispose()


@pytest.fixture
def store() -> Iterator[WooCommerceSandbox]:
    sandbox = WooCommerceSandbox()
    with Running(sandbox):
        yield sandbox


def count(office: Office) -> int:
    with office.runtime.sessions() as session:
        found = session.connection().exec_driver_sql("SELECT count(*) FROM channels").scalar_one()
    return int(found)


def leave(desk: Desk, sandbox: ShopifySandbox, **changes: str) -> str:
    """Fill in the form of the code grant; the address of the shop's page."""
    form = {
        "name": "Online", "shop": sandbox.shop.domain, "client_id": sandbox.client_id,
        "webhook_secret": sandbox.client_secret, "api_base": sandbox.address, **changes,
    }  # fmt: skip
    answer = desk.post("./channel-kinds/shopify/code", form)
    assert answer.status_code == 200, answer.text
    found = _LINK.search(answer.text)
    assert found is not None
    return unescape(found[1])


def agree(address: str) -> str:
    """What the shop sends the browser back to, below the hub's address."""
    back = urlsplit(requests.post(address, timeout=10, allow_redirects=False).headers["location"])
    return f"{back.path}?{back.query}"


# --- by the browser ------------------------------------------------------------------------------


def test_who_agrees_in_the_shop_comes_back_connected(office: Office, shop: ShopifySandbox) -> None:
    desk = office.desk("owner")
    back = desk.get(agree(leave(desk, shop)))
    assert back.status_code == 303
    assert re.fullmatch(r"/p/ours/channels/chn_\w+/choose", back.headers["location"])
    page = desk.get(back.headers["location"])
    assert page.status_code == 200
    tested = desk.post(back.headers["location"].replace("choose", "test"), {"back": "start"})
    assert "Connected." in desk.get(tested.headers["location"]).text


def test_coming_back_a_second_time_shows_the_channel_and_connects_no_other(
    office: Office, shop: ShopifySandbox
) -> None:
    desk = office.desk("owner")
    back = agree(leave(desk, shop))
    first, second = desk.get(back), desk.get(back)
    assert first.headers["location"] == second.headers["location"]
    assert count(office) == 1


def test_another_browser_another_person_and_a_guessed_state_are_lost(
    office: Office, shop: ShopifySandbox
) -> None:
    desk = office.desk("owner")
    back = agree(leave(desk, shop))
    assert office.desk("owner").get(back).status_code == 404, "the same person in another browser"
    stranger = office.desk("owner", office.theirs)
    for cookie in (desk.client._cookies or {}).values():  # what a thief of the cookie would bring
        if cookie.key.startswith("hub_connect_"):
            stranger.client.set_cookie(cookie.key, cookie.value, path="/connect/")
    assert stranger.get(back).status_code == 404, "another person with the cookie"
    assert desk.get(back.replace("state=", "state=x")).status_code == 404
    assert desk.get("/connect/magento/return?state=x").status_code == 404
    assert count(office) == 0
    assert desk.get(back).status_code == 303, "none of it used the state up"


def test_who_is_logged_out_is_asked_to_log_in_and_comes_back(
    office: Office, shop: ShopifySandbox
) -> None:
    back = agree(leave(office.desk("owner"), shop))
    answer = office.app.test_client().get(back)
    assert answer.status_code == 303
    assert "/login?back=" in answer.headers["location"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [("code=", "code=x", "wrong signature"), ("timestamp=", "timestamp=1", "wrong signature")],
)
def test_what_was_changed_on_the_way_connects_nothing_and_says_so(
    office: Office, shop: ShopifySandbox, old: str, new: str, said: str
) -> None:
    desk = office.desk("owner")
    answer = desk.get(agree(leave(desk, shop)).replace(old, new))
    assert answer.headers["location"] == "/p/ours/channel-kinds/shopify/code"
    assert said in desk.get(answer.headers["location"]).text
    assert count(office) == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"shop": "no shop"}, "Enter the shop&#39;s permanent name"),
        ({"shop": ""}, "Missing data for required field."),
        ({"client_id": ""}, "Missing data for required field."),
        ({"name": ""}, "needs a name"),
    ],
)
def test_a_form_that_lacks_something_is_shown_again(
    office: Office, shop: ShopifySandbox, changes: dict[str, str], said: str
) -> None:
    form = {
        "name": "Online", "shop": shop.shop.domain, "client_id": "c", "webhook_secret": "s3cr3t-typed",
        **changes,
    }  # fmt: skip
    answer = office.desk("owner").post("./channel-kinds/shopify/code", form)
    assert (answer.status_code, said in answer.text) == (422, True), answer.text
    assert "s3cr3t-typed" not in answer.text


def test_a_channel_is_connected_again_and_keeps_its_place(office: Office, shop: ShopifySandbox) -> None:
    desk = office.desk("owner")
    start = desk.get(agree(leave(desk, shop))).headers["location"]
    here = start.removeprefix("/p/ours").removesuffix("/choose")
    assert "Connect again" in desk.get(f".{here}/reconnect").text
    answer = desk.post(f".{here}/reconnect/code")
    found = _LINK.search(answer.text)
    assert found is not None
    assert desk.get(agree(unescape(found[1]))).headers["location"] == start
    assert count(office) == 1


def test_a_way_that_there_is_not_is_not_there(office: Office) -> None:
    desk = office.desk("owner")
    assert desk.get("./channel-kinds/shopify/telepathy").status_code == 404
    assert desk.post("./channel-kinds/shopify/telepathy").status_code == 404
    assert desk.get("./channel-kinds/generic_pos").status_code == 200
    assert office.desk("support").get("./channel-kinds/shopify").status_code == 403


# --- by the shop's server ------------------------------------------------------------------------


def begin(office: Office, store: WooCommerceSandbox) -> tuple[Desk, str]:
    """The owner's desk and the state, on the way to the store's page."""
    desk = office.desk("owner")
    form = {"name": "Store", "store_url": store.address}
    answer = desk.post("./channel-kinds/woocommerce/wc_auth", form)
    found = _LINK.search(answer.text)
    assert found is not None, answer.text
    state = re.search(r"user_id=([^&]+)", unescape(found[1]))
    assert state is not None
    return desk, state[1]


def call_back(office: Office, store: WooCommerceSandbox, state: str, **changes: Any) -> Any:
    store.keys["ck_made"] = ("cs_made", "read_write")
    content = {
        "key_id": 1, "user_id": state, "consumer_key": "ck_made", "consumer_secret": "cs_made",
        "key_permissions": "read_write", **changes,
    }  # fmt: skip
    return office.app.test_client().post(
        "/connect/woocommerce/callback", data=json.dumps(content), content_type="application/json"
    )


def test_a_store_that_calls_back_is_connected_when_the_browser_comes(
    tls: Office, store: WooCommerceSandbox
) -> None:
    desk, state = begin(tls, store)
    assert call_back(tls, store, state).status_code == 200
    back = desk.get(f"/connect/woocommerce/return?success=1&user_id={state}")
    assert back.status_code == 303
    assert back.headers["location"].endswith("/choose")
    assert desk.get(back.headers["location"]).status_code == 200
    assert count(tls) == 1


def test_a_key_that_the_store_does_not_know_is_refused_and_never_stored(
    tls: Office, store: WooCommerceSandbox
) -> None:
    """A forger who knew the state could at most bring a key: that of another store is no use."""
    desk, state = begin(tls, store)
    assert call_back(tls, store, state, consumer_key="ck_forged").status_code == 422
    assert count(tls) == 0
    back = desk.get(f"/connect/woocommerce/return?success=1&user_id={state}")
    assert "key" in desk.get(back.headers["location"]).text
    assert call_back(tls, store, state).status_code == 404, "and the state is used up"


def test_who_denies_in_the_store_is_told_that_nothing_was_connected(
    tls: Office, store: WooCommerceSandbox
) -> None:
    desk, state = begin(tls, store)
    back = desk.get(f"/connect/woocommerce/return?success=0&user_id={state}")
    assert "nothing was connected" in desk.get(back.headers["location"]).text
    assert call_back(tls, store, state).status_code == 404


def test_a_browser_that_comes_without_the_call_is_told_so(
    tls: Office, store: WooCommerceSandbox
) -> None:
    desk, state = begin(tls, store)
    back = desk.get(f"/connect/woocommerce/return?success=1&user_id={state}")
    assert "did not call the hub" in desk.get(back.headers["location"]).text


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("woocommerce", b"", 404),
        ("woocommerce", b"\xff\x00", 404),
        ("woocommerce", b'{"user_id": "guessed"}', 404),
        ("woocommerce", b'{"user_id": {"$ne": 1}}', 404),
        ("woocommerce", b"[" * 10_000, 404),
        ("woocommerce", b"x" * 20_000, 413),
        ("shopify", b'{"state": "x"}', 404),
        ("generic_pos", b"{}", 404),
        ("magento", b"{}", 404),
    ],
)
def test_strangers_who_call_get_nothing(tls: Office, path: str, body: bytes, status: int) -> None:
    answer = tls.app.test_client().post(f"/connect/{path}/callback", data=body)
    assert answer.status_code == status


def test_a_hub_without_https_offers_keys_and_says_why(office: Office) -> None:
    page = office.desk("owner").get("./channel-kinds/woocommerce").text
    assert "calls https addresses only" in page
    assert "channel-kinds/woocommerce/keys" in page
    assert "channel-kinds/woocommerce/wc_auth" not in page
