"""Secrets with names that nothing else has are led through everything; then all that is kept, logged and
shown is searched for them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient
from sqlalchemy import text

from connectors.sandbox_kit import Running
from connectors.shopify.sandbox import ShopifySandbox
from connectors.woocommerce.sandbox import WooCommerceSandbox
from hub.connector import CreateCode, CustomerKey
from hub.errors import Fault
from hub.outbox import channels as store
from hub.sync import process, push
from tests.desks import Desk, Office

CANARY = "canary"


class Shopify(ShopifySandbox):
    """Its secrets have a name that nothing else has."""

    def __init__(self) -> None:
        super().__init__(currency="VND")
        self.client_secret = "shpss_canary_client_secret"


@pytest.fixture
def shop() -> Iterator[Shopify]:
    sandbox = Shopify()
    with Running(sandbox):
        yield sandbox


@pytest.fixture
def woo() -> Iterator[WooCommerceSandbox]:
    sandbox = WooCommerceSandbox()
    sandbox.consumer_key, sandbox.consumer_secret = "ck_canary_key", "cs_canary_secret"
    sandbox.webhook_secret = "canarywebhooksecret"
    with Running(sandbox):
        yield sandbox


def secrets_of(shop: Shopify) -> set[str]:
    """Everything that Shopify gave out: tokens, refresh tokens, codes."""
    return {*shop._tokens, *shop.grants.refreshes, *shop.grants.codes}


def connect(desk: Desk, shop: Shopify) -> str:
    form = {
        "name": "Online", "shop": shop.shop.domain, "client_id": shop.client_id,
        "webhook_secret": shop.client_secret, "api_base": shop.address,
    }  # fmt: skip
    page = desk.post("./channel-kinds/shopify/code", form).text
    found = re.search(r'href="([^"]+)" rel="noreferrer"', page)
    assert found is not None
    back = requests.post(unescape(found[1]), timeout=10, allow_redirects=False).headers["location"]
    answer = desk.get("/connect" + back.partition("/connect")[2])
    return answer.headers["location"].removesuffix("/choose")


def everything_kept(office: Office) -> str:
    """Every row of every table, bytes spelled out."""
    told: list[str] = []
    with office.runtime.sessions() as session:
        names = session.execute(
            text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        ).scalars()
        for name in list(names):
            told += session.execute(text(f"SELECT CAST(t AS text) FROM {name} t")).scalars()
    return re.sub(
        r"\\+x([0-9a-f]+)", lambda m: bytes.fromhex(m[1]).decode("utf-8", "replace"), "\n".join(told)
    )


def everything_shown(client: FlaskClient, here: str) -> str:
    paths = [
        here,
        *(f"{here}/{page}" for page in ("settings", "start", "reconnect", "secret", "disconnect")),
    ]
    program = here.rpartition("/channels")[0]
    paths += [f"{program}/", f"{program}/deliveries", f"{program}/quarantine", f"{program}/channels"]
    pages = [client.get(path) for path in paths]
    assert {page.status_code for page in pages} == {200}
    deliveries = set(re.findall(rf"{program}/deliveries/\d+", pages[-3].text))
    return "\n".join([page.text for page in pages] + [client.get(path).text for path in deliveries])


def trouble(office: Office, public_id: str, *faults: dict[str, Any], at: str) -> list[str]:
    """A push under each fault, and what the fault says."""
    with office.runtime.sessions() as session:
        its = store.by_public_id(session, public_id)
    assert its is not None
    said = []
    for fault in faults:
        requests.post(f"{at}/_sandbox/faults", json=fault, timeout=5)
        connector = store.connector_of(office.runtime, its)
        try:
            connector.push(
                CreateCode(
                    "HUB-1",
                    "vch_1",
                    "t",
                    CustomerKey("mem_1", "1", "a@example.com"),
                    office.runtime.clock(),
                    None,
                    percent=500,
                )
            )
            connector.health()
        except Fault as found:
            said.append(f"{found} {found.detail}")
        said.append(repr(connector.channel.http.exchanges))
        requests.delete(f"{at}/_sandbox/faults", timeout=5)
    return said


def test_no_secret_of_shopify_shows_in_rows_logs_faults_exchanges_or_pages(
    office: Office, shop: Shopify, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    desk = office.desk("owner")
    here = connect(desk, shop)
    channel = here.rpartition("/")[2]
    told = trouble(
        office,
        channel,
        {"fault": "token_expired"},
        {"fault": "drop_token_answer"},
        {"fault": "server_error", "times": 3},
        {"fault": "access_denied", "times": 3},
        {"fault": "not_json", "times": 3},
        at=shop.address,
    )
    office.app.test_client().post(
        "/webhooks/app/shopify", data=b"{}", headers={"X-Shopify-Hmac-Sha256": "x"}
    )
    process.drain(office.runtime)
    push.drain(office.runtime)
    desk.post(f".{here.partition('/p/ours')[2]}/test")
    desk.post(f".{here.partition('/p/ours')[2]}/secret", {"secret": "shpss_canary_second"})
    kept, shown = everything_kept(office), everything_shown(desk.client, here)
    out, err = capfd.readouterr()
    logged = out + err + "".join(r.getMessage() for r in caplog.records if r.name != "werkzeug")
    secrets = secrets_of(shop)
    assert len(secrets) >= 3
    assert shop.client_id in kept, "what is open is found, so what is secret would be"
    for place, searched in {
        "rows": kept,
        "pages": shown,
        "logs": logged,
        "faults": "".join(told),
    }.items():
        assert CANARY not in searched, place
        assert [secret for secret in secrets if secret in searched] == [], place


def test_no_secret_of_a_store_shows_either(
    office: Office,
    woo: WooCommerceSandbox,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = office.desk("owner")
    form = {"name": "Store", **woo.settings()}
    there = desk.post("./channel-kinds/woocommerce/keys", form).headers["location"]
    here = there.removesuffix("/choose")
    told = trouble(
        office, here.rpartition("/")[2], {"fault": "unauthorised", "times": 5}, {"fault": "server_error", "times": 3},
        {"fault": "captcha", "times": 3}, {"fault": "drop_after_write"}, at=woo.address,
    )  # fmt: skip
    refused = desk.post(
        "./channel-kinds/woocommerce/keys", {**form, "name": "", "store_url": "no address"}
    )
    assert refused.status_code == 422
    kept, shown = everything_kept(office), everything_shown(desk.client, here)
    out, err = capfd.readouterr()
    logged = out + err + "".join(r.getMessage() for r in caplog.records if r.name != "werkzeug")
    own = refused.text.replace(
        woo.webhook_secret, ""
    )  # the hub's own suggestion goes back into its field
    for place, searched in {
        "rows": kept, "pages": shown, "logs": logged, "faults": "".join(told), "form": own,
    }.items():  # fmt: skip
        assert CANARY not in searched, place
