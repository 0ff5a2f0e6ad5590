"""One code in three shops: made everywhere, used in one, gone from the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from connectors.generic_pos.sandbox import TillSandbox
from connectors.shopify.sandbox import ShopifySandbox
from connectors.woocommerce.sandbox import WooCommerceSandbox
from hub.web import keys
from tests.hubs import Hub, Running, running_hub

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "rewards": [{"id": "50k", "name": "50.000 off", "cost": 20, "amount": {"VND": "50000"}}],
}
ANN = {"name": "Ann", "phone": "0912345678", "email": "ann@example.com"}


@dataclass
class Shops:
    hub: Hub
    till: str
    web: str
    blog: str
    key: str

    def api(self, method: str, path: str, **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.key}", **more.pop("headers", {})}
        return requests.request(
            method, f"{self.hub.url}/api/v1{path}", headers=headers, timeout=10, **more
        )

    def sell(self, shop: str, price: str = "300000", **more: Any) -> dict[str, Any]:
        wish = {
            "customer": ANN,
            "currency": "VND",
            "lines": [{"sku": "TEA", "name": "Tea", "quantity": 1, "price": price}],
            **more,
        }
        answer = requests.post(f"{shop}/_sandbox/sales", json=wish, timeout=10)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def active(self, shop: str) -> list[str]:
        codes = requests.get(f"{shop}/_sandbox/codes", timeout=10).json()
        return [c["code"].upper() for c in codes if c["active"]]


@pytest.fixture
def shops(database: str, redis_url: str, tmp_path: Path) -> Iterator[Shops]:
    till, web, blog = TillSandbox(), ShopifySandbox(currency="VND"), WooCommerceSandbox()
    with (
        running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub,
        Running(till) as till_url,
        Running(web) as web_url,
        Running(blog) as blog_url,
    ):
        for sandbox, address in ((till, till_url), (web, web_url), (blog, blog_url)):
            hub.connect(sandbox, address)
        with hub.runtime.sessions.begin() as session:
            _, key = keys.create(session, hub.program, name="t", scopes=keys.SCOPES, actor="test")
        yield Shops(hub, till_url, web_url, blog_url, key)


def test_one_code_is_made_everywhere_used_in_one_shop_and_gone_from_the_others(shops: Shops) -> None:
    hub = shops.hub
    for shop in (shops.till, shops.web, shops.blog):
        shops.sell(shop)
    hub.work()
    assert hub.balance(phone="+84912345678") == 90, hub.states()
    member = shops.api("GET", "/members", params={"phone": "+84 912 345 678"}).json()[0]
    asked = {"json": {"member": member["id"], "reward": "50k"}, "headers": {"Idempotency-Key": "a"}}
    first = shops.api("POST", "/redemptions", **asked)
    again = shops.api("POST", "/redemptions", **asked)
    assert (first.status_code, again.json()) == (201, first.json()), first.text
    code = first.json()["code"]
    hub.work()
    assert {s[:2] for s in hub.states("outbound")} <= {
        ("done", "pushed"),
        ("done", "fetched"),
        ("done", "no_change"),
    }
    assert [shops.active(s) for s in (shops.till, shops.web, shops.blog)] == [[code]] * 3
    assert shops.api("GET", f"/vouchers/{code.lower()}").json()["state"] == "live"
    shops.sell(shops.web, codes=[code])
    hub.work()
    assert shops.api("GET", f"/vouchers/{code}").json()["state"] == "used"
    assert [shops.active(s) for s in (shops.till, shops.blog)] == [[], []]
    assert hub.balance(phone="+84912345678") == 90 - 20 + 25
    hub.assert_clean()


def test_too_few_points_are_a_refusal_with_the_amounts(shops: Shops) -> None:
    shops.sell(shops.till, "50000")
    shops.hub.work()
    member = shops.api("GET", "/members", params={"email": "ANN@example.com"}).json()[0]
    answer = shops.api("POST", "/redemptions", json={"member": member["id"], "reward": "50k"})
    assert answer.status_code == 409
    assert (answer.json()["code"], answer.json()["available"], answer.json()["needed"]) == (
        "not_enough_points", 5, 20,
    )  # fmt: skip
    assert shops.hub.rows("SELECT 1 FROM redemptions") == []
    shops.hub.assert_clean()


def test_a_code_that_is_open_again_can_be_used_in_every_shop(shops: Shops) -> None:
    """Shopify keeps an ended or used code, and calls it taken: it is made anew there."""
    hub = shops.hub
    for shop in (shops.till, shops.web, shops.blog):
        shops.sell(shop)
    hub.work()
    member = shops.api("GET", "/members", params={"phone": "+84 912 345 678"}).json()[0]
    wish = {"member": member["id"], "reward": "50k"}
    code = shops.api("POST", "/redemptions", json=wish).json()["code"]
    hub.work()
    for shop in (shops.blog, shops.web):
        sale = shops.sell(shop, codes=[code])
        hub.work()
        cancel = f"{shop}/_sandbox/sales/{sale['external_id']}/cancel"
        assert requests.post(cancel, json={}, timeout=10).status_code == 200
        hub.work()
        assert shops.api("GET", f"/vouchers/{code}").json()["state"] == "live"
    shops.sell(shops.web, codes=[code])
    hub.work()
    assert shops.api("GET", f"/vouchers/{code}").json()["state"] == "used"
    assert [shops.active(s) for s in (shops.till, shops.blog)] == [[], []]
    hub.assert_clean()
