"""The whole of wc-auth over HTTP, and a shop that threw the app out and lets it in again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from connectors.sandbox_kit import Running
from connectors.shopify.sandbox import ShopifySandbox
from connectors.woocommerce.sandbox import WooCommerceSandbox
from hub.alerts import unsettled
from hub.users import sessions, store
from tests.hubs import Hub, running_hub

PUBLIC = "https://hub.example.com"


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path) as hub:
        object.__setattr__(hub.runtime.settings, "public_url", PUBLIC)
        yield hub


class Person:
    """An owner with a browser; where the hub names its public address, it is found where it listens."""

    def __init__(self, hub: Hub) -> None:
        self.hub, self.browser = hub, requests.Session()
        with hub.runtime.sessions.begin() as session:
            user = store.add(
                session,
                email="o@example.com",
                name="O",
                password_hash="none fits",
                locale="en",
                actor="test",
            )
            store.give_role(session, user, hub.program.id, "owner", actor="test")
            token = sessions.begin(session, user, hub.runtime.clock())
        from hub.app import create_app

        app = create_app(hub.runtime.settings, hub.runtime)
        serializer = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]
        self.cookies = {"hub_session": serializer.dumps({"_user_id": token, "_fresh": True})}

    def ask(self, method: str, path: str, form: dict[str, str] | None = None) -> requests.Response:
        url = path if path.startswith("http") else self.hub.url + path
        url = url.replace(PUBLIC, self.hub.url)
        answer = requests.request(
            method, url, data=form, cookies=self.cookies, timeout=20, allow_redirects=False
        )
        self.cookies |= {c.name: str(c.value) for c in answer.cookies}
        return answer

    def submit(self, path: str, **form: str) -> requests.Response:
        page = self.ask("GET", "/password")
        token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
        assert token is not None
        return self.ask("POST", path, {**form, "csrf_token": token[1]})


def leave(page: requests.Response) -> str:
    found = re.search(r'href="([^"]+)" rel="noreferrer"', page.text)
    assert found is not None, page.text
    return unescape(found[1])


def test_a_store_is_let_in_by_its_own_page_and_its_own_call(hub: Hub) -> None:
    """The store calls the hub over a real connection, and is asked by it meanwhile."""
    person, shop = Person(hub), WooCommerceSandbox()
    with Running(shop) as address:
        page = person.submit(
            "/p/corner/channel-kinds/woocommerce/wc_auth", name="Store", store_url=address
        )
        there = leave(page).replace("https%3A%2F%2Fhub.example.com", quote(hub.url, safe=""))
        back = requests.post(there, data={"answer": "approve"}, timeout=20, allow_redirects=False)
        assert back.status_code == 302, back.text
        arrived = person.ask("GET", back.headers["location"])
        assert arrived.status_code == 303
        assert arrived.headers["location"].endswith("/choose")
        assert len(shop.webhooks) == 10, "subscribed with the key that was granted"
    (row,) = hub.rows("SELECT secrets, name FROM channels")
    assert hub.runtime.secrets.decrypt(bytes(row.secrets))["consumer_key"] in shop.keys


def test_a_shop_that_threw_the_app_out_goes_on_when_it_lets_it_in_again(hub: Hub) -> None:
    person, shop = Person(hub), ShopifySandbox()
    with Running(shop) as address:
        form = {
            "name": "Online", "shop": shop.shop.domain, "client_id": shop.client_id,
            "webhook_secret": shop.client_secret, "api_base": address,
        }  # fmt: skip
        first = requests.post(
            leave(person.submit("/p/corner/channel-kinds/shopify/code", **form)),
            timeout=9,
            allow_redirects=False,
        )
        here = person.ask("GET", first.headers["location"]).headers["location"].removesuffix("/choose")
        (channel,) = hub.rows("SELECT token FROM channels")
        shop.connect(f"{hub.url}/webhooks/{channel.token}")
        shop._tell([("app/uninstalled", {"id": 1, "myshopify_domain": shop.shop.domain})], shop.clock())
        hub.work()
        assert hub.rows("SELECT status FROM channels")[0].status == "paused"
        again = requests.post(
            leave(person.submit(f"{here}/reconnect/code")), timeout=9, allow_redirects=False
        )
        assert person.ask("GET", again.headers["location"]).headers["location"] == f"{here}/choose"
    assert hub.rows("SELECT status FROM channels")[0].status == "active"
    with hub.runtime.sessions() as session:
        assert unsettled(session, hub.program.id) == []
