"""As a new merchant: from an empty list of channels to the first points, on both platforms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests

from connectors.sandbox_kit import Running, Sandbox
from connectors.shopify.sandbox import ShopifySandbox
from connectors.woocommerce.sandbox import WooCommerceSandbox
from tests.browser.conftest import House
from tests.browser.sight import Sight

ANN = {"name": "Trần Thị Ann", "email": "ann@example.com", "phone": "+84912345678", "external_id": "71"}
CUP = [{"sku": "CUP", "name": "Cốc sứ", "quantity": 1, "price": "250000"}]


@pytest.fixture
def document() -> Mapping[str, Any]:
    return {"earn": {"points": 1, "per": {"VND": "10000"}}}


@pytest.fixture
def reachable(house: House) -> House:
    """A hub that knows the address at which it answers: shops send there."""
    object.__setattr__(house.hub.runtime.settings, "public_url", house.hub.url)
    return house


@pytest.fixture
def shopify() -> Iterator[ShopifySandbox]:
    sandbox = ShopifySandbox(currency="VND")
    with Running(sandbox):
        yield sandbox


@pytest.fixture
def store() -> Iterator[WooCommerceSandbox]:
    sandbox = WooCommerceSandbox()
    with Running(sandbox):
        yield sandbox


def choose(sight: Sight, kind: str, way: str, name: str) -> None:
    """From the empty list to the form of one way."""
    sight.go("/p/corner/channels")
    sight.page.locator("a.btn-primary").click()
    sight.check(f"wizard-1-what-{name}")
    sight.page.locator(f"a[href$='/channel-kinds/{kind}']").click()
    sight.check(f"wizard-2-how-{name}")
    sight.page.locator(f"a[href$='/channel-kinds/{kind}/{way}']").click()


def fill(sight: Sight, **values: str) -> None:
    for name, value in values.items():
        field = sight.page.locator(f"[name={name}]")
        if not field.is_visible():
            sight.page.locator("main details > summary").click()
        field.fill(value)


def first_points(house: House, sight: Sight, sandbox: Sandbox, name: str) -> None:
    """On the page of what is left to do: leave older orders out, test, wait, buy, look again."""
    sight.page.wait_for_url("**/channels/chn_*/choose")
    sight.check(f"wizard-4-older-{name}")
    sight.page.check("[name=counts][value=nothing]")
    sight.page.locator("main button[type=submit]").click()
    sight.page.wait_for_url("**/channels/chn_*/start")
    assert sight.page.locator(".alert-danger").count() == 0, sight.page.locator(
        ".alert-danger"
    ).inner_text()
    sight.check(f"wizard-4-wait-{name}")
    sight.page.locator("form[action$='/test'] button").click()
    sight.page.wait_for_selector(".alert-success")
    sale = {"customer": ANN, "lines": CUP, "currency": "VND", "state": "fulfilled"}
    assert requests.post(f"{sandbox.address}/_sandbox/sales", json=sale, timeout=20).ok
    house.hub.work()
    sight.page.locator("a[href$='/start']").click()
    sight.page.wait_for_selector("#order ~ .hub-sentence a, #order ~ .hub-steps a[href*='/orders/']")
    assert "25" in sight.page.locator("#order ~ .hub-sentence").inner_text()
    assert "Trần Thị Ann" in sight.page.locator("#order ~ .hub-sentence").inner_text()
    sight.check(f"wizard-5-done-{name}")
    assert house.hub.balance(phone="+84912345678") == 25


def test_a_shop_at_shopify_lets_the_hub_in_and_gives_its_first_points(
    reachable: House, sight: Sight, shopify: ShopifySandbox
) -> None:
    sight.expected = [shopify.address]
    choose(sight, "shopify", "code", "shopify")
    fill(
        sight, name="Cửa hàng trực tuyến", shop=shopify.shop.domain, client_id=shopify.client_id,
        webhook_secret=shopify.client_secret, api_base=shopify.address,
    )  # fmt: skip
    sight.check("wizard-3-form-shopify")
    sight.page.locator("main button[type=submit]").click()
    sight.check("wizard-3-leave-shopify")
    sight.page.locator("a[rel=noreferrer]").click()
    sight.page.locator("button[name=agree]").click()
    first_points(reachable, sight, shopify, "shopify")
    assert len({s["topic"] for s in shopify._subscriptions}) > 10, "the hub subscribed by itself"


def test_a_woocommerce_store_is_connected_with_a_key_and_gives_its_first_points(
    reachable: House, sight: Sight, store: WooCommerceSandbox
) -> None:
    choose(sight, "woocommerce", "keys", "woocommerce")
    fill(
        sight, name="Trang chủ", store_url=store.address, consumer_key=store.consumer_key,
        consumer_secret=store.consumer_secret,
    )  # fmt: skip
    sight.check("wizard-3-form-woocommerce")
    sight.page.locator("main button[type=submit]").click()
    first_points(reachable, sight, store, "woocommerce")
    assert len(store.webhooks) == 10, "the hub made its webhooks"


def test_who_leaves_the_shop_without_agreeing_can_begin_again(
    reachable: House, sight: Sight, shopify: ShopifySandbox
) -> None:
    sight.expected = ["404"]
    sight.go("/connect/shopify/return?state=guessed&code=1")
    sight.check("wizard-lost")
    assert sight.page.locator("main a.btn-primary").count() == 1


def test_a_secret_is_changed_from_the_channels_page(
    reachable: House, sight: Sight, store: WooCommerceSandbox
) -> None:
    channel = reachable.hub.add_channel("woocommerce", store.settings(), "Trang chủ")
    sight.go(f"/p/corner/channels/{channel.public_id}")
    sight.page.locator("a[href$='/secret']").click()
    sight.check("channel-secret")
    sight.page.locator("main button[type=submit]").click()
    sight.page.wait_for_selector("#made")
    sight.check("channel-secret-made")
