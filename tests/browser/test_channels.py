"""Channels in a browser: connecting a shop by pasting credentials, and what an owner does with one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests

from connectors.sandbox_kit import Running
from connectors.woocommerce.sandbox import WooCommerceSandbox
from hub import i18n
from hub.sync import asking, backfill, watch
from tests.browser.conftest import House, Window
from tests.browser.sight import Sight


@pytest.fixture
def store() -> Iterator[tuple[WooCommerceSandbox, str]]:
    sandbox = WooCommerceSandbox()
    with Running(sandbox) as address:
        yield sandbox, address


def test_a_store_is_connected_by_pasting_its_credentials(
    house: House, sight: Sight, store: tuple[WooCommerceSandbox, str]
) -> None:
    sandbox, _ = store
    sight.go("/p/corner/channels")
    sight.check()
    sight.page.locator("a.btn-primary").click()
    sight.check()
    sight.page.get_by_text("WooCommerce").click()
    sight.page.wait_for_url("**/channel-kinds/woocommerce")
    sight.check("channel-ways")
    sight.page.locator("a[href$='/channel-kinds/woocommerce/keys']").click()
    sight.page.fill("[name=store_url]", "no address")
    sight.page.fill("[name=consumer_key]", "wrong")
    sight.expected = ["422"]
    sight.page.locator("main button[type=submit]").click()
    errors = sight.page.locator(".invalid-feedback")
    assert errors.count() == 4, "name, address, key, secret"
    assert sight.page.input_value("[name=store_url]") == "no address"
    sight.check("channel-refused")
    sight.page.fill("[name=name]", "Trang chủ")
    for name, value in sandbox.settings().items():
        field = sight.page.locator(f"[name={name}]")
        if field.is_visible():
            field.fill(str(value))
    sight.page.locator("main button[type=submit]").click()
    sight.page.wait_for_url("**/channels/chn_*/choose")
    sight.page.check("[name=counts][value=nothing]")
    sight.page.locator("main button[type=submit]").click()
    sight.page.wait_for_url("**/channels/chn_*/start")
    here = f"{house.hub.runtime.settings.public_url}/webhooks/"
    assert {str(h["delivery_url"]).startswith(here) for h in sandbox.webhooks.values()} == {True}
    sight.check("channel-new")
    rows = house.hub.rows("SELECT action, actor FROM audit WHERE subject LIKE 'chn%' ORDER BY id")
    assert [(r.action, r.actor.split("_")[0]) for r in rows] == [
        ("channel.added", "user:usr"),
        ("channel.installed", "user:usr"),
    ]


def connected(house: House, sandbox: WooCommerceSandbox, address: str) -> str:
    channel = house.hub.connect(sandbox, address, "Trang chủ")
    return f"/p/corner/channels/{channel.public_id}"


def test_a_channel_is_tested_paused_and_left(
    house: House, sight: Sight, store: tuple[WooCommerceSandbox, str]
) -> None:
    here = connected(house, *store)
    sight.go(here)
    press(sight, "test")
    assert sight.page.locator(".alert-success").count() == 1
    requests.post(f"{store[1]}/_sandbox/faults", json={"fault": "unauthorised", "times": 9}, timeout=5)
    press(sight, "test")
    assert sight.page.locator(".alert-danger").count() == 1
    requests.delete(f"{store[1]}/_sandbox/faults", timeout=5)
    press(sight, "pause")
    assert house.hub.rows("SELECT status FROM channels")[0].status == "paused"
    sight.check()
    press(sight, "resume")
    assert house.hub.rows("SELECT status FROM channels")[0].status == "active"
    sight.page.locator("a[href$='/disconnect']").click()
    sight.check()
    assert house.hub.rows("SELECT status FROM channels")[0].status == "active", "looking changes nothing"
    sight.page.locator("main button.btn-danger").click()
    sight.page.wait_for_url("**/channels")
    assert house.hub.rows("SELECT status FROM channels")[0].status == "disconnected"
    sight.check()


def press(sight: Sight, deed: str) -> None:
    """A button of the channel's head, and back on its page."""
    sight.page.locator(f"form[action$='/{deed}'] button").click()
    sight.page.wait_for_selector(".alert")


def test_a_shop_is_asked_and_subscribed_to_on_its_page(
    house: House, sight: Sight, store: tuple[WooCommerceSandbox, str]
) -> None:
    sandbox, address = store
    channel = house.hub.add_channel("woocommerce", sandbox.settings(), "Trang chủ")
    wish = {
        "customer": {"name": "Ann", "phone": "0912345678"}, "currency": "VND",
        "lines": [{"sku": "T", "name": "T", "quantity": 1, "price": "50000"}],
    }  # fmt: skip
    assert requests.post(f"{address}/_sandbox/sales", json=wish, timeout=5).ok
    sight.go(f"/p/corner/channels/{channel.public_id}")
    sight.check()
    press(sight, "ask")
    asking.tend(house.hub.runtime, channel.id)
    house.hub.work()
    press(sight, "subscribe")
    assert len(sandbox.webhooks) == 10
    sandbox.webhooks.clear()
    watch.watch(house.hub.runtime, channel)
    sight.go(f"/p/corner/channels/{channel.public_id}")
    assert sight.page.locator("#keeping").count() == 1
    sight.check("channel-keeping")
    sight.go("/p/corner")
    sight.check("home-connections")


def test_a_stored_secret_is_never_shown(
    house: House, sight: Sight, store: tuple[WooCommerceSandbox, str]
) -> None:
    here = connected(house, *store)
    sight.go(here + "/settings")
    secrets = [str(v) for k, v in store[0].settings().items() if "url" not in k]
    assert len(secrets) >= 3
    page = sight.page.content()
    assert [secret for secret in secrets if secret in page] == []
    sight.check("channel-settings")
    sight.page.locator("main button[type=submit]").click()
    sight.page.wait_for_url(f"**{here}")
    sight.go(here)
    press(sight, "test")
    with i18n.speaking(sight.language):
        key_fits = i18n.gettext("The store answers and its webhooks are active.")
    assert sight.page.locator(".alert").inner_text().strip() == key_fits


def test_who_only_looks_sees_no_address_and_no_button(
    house: House, window: Window, store: tuple[WooCommerceSandbox, str]
) -> None:
    here = connected(house, *store)
    sight = window("en", 1280, role="viewer")
    sight.go(here)
    assert sight.page.locator("#webhook").count() == 0
    assert sight.page.locator("main form").count() == 0
    sight.check()


def test_a_till_gets_a_secret_that_the_hub_made(house: House, sight: Sight) -> None:
    sight.go("/p/corner/channel-kinds/generic_pos")
    secret = sight.page.input_value("[name=webhook_secret]")
    assert secret.startswith("whsec_")
    sight.check()
    sight.page.fill("[name=name]", "Quầy 1")
    sight.page.locator("main button[type=submit]").click()
    sight.page.wait_for_url("**/channels/chn_*/start")
    assert secret not in sight.page.content()
    with house.hub.runtime.sessions() as session:
        row = session.connection().exec_driver_sql("SELECT secrets FROM channels").one()
    assert house.hub.runtime.secrets.decrypt(bytes(row.secrets))["webhook_secret"] == secret


def test_what_a_shop_sold_before_is_tried_and_brought_in(house: House, sight: Sight) -> None:
    ahead = [timedelta(days=-30)]
    sandbox = WooCommerceSandbox(now=lambda: datetime.now(UTC) + ahead[0])
    with Running(sandbox) as address:
        line = {"sku": "TEA", "name": "Tea", "quantity": 1, "price": "500000"}
        wish = {"customer": {"name": "Chi", "phone": "0966555444"}, "lines": [line], "currency": "VND"}
        requests.post(f"{address}/_sandbox/sales", json=wish, timeout=10).raise_for_status()
        ahead[0] = timedelta(0)
        here = connected(house, sandbox, address)
        sight.go(f"{here}/start")
        sight.page.locator("a[href$='/history']").click()
        sight.page.wait_for_url("**/history")
        sight.check("channel-history")
        sight.page.fill("[name=since]", "2020-01-01")
        sight.page.locator("main button[type=submit]").click()
        sight.page.wait_for_selector("#backfill progress")
        going = backfill.Backfiller(house.hub.runtime)
        going.once()
        going.wait()
        bring = sight.page.locator("form[action$='/bring'] button")  # the page looks again by itself
        bring.wait_for()
        sight.check("channel-history-tried")
        assert house.hub.balance(phone="+84966555444") == 0
        bring.click()
        sight.page.wait_for_url("**/history")
        going.once()
        going.wait()
        sight.go(f"{here}/history")
        sight.check("channel-history-done")
        assert house.hub.balance(phone="+84966555444") > 0
