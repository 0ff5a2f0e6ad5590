"""`hub channel install`, `reconcile` and `health`, as an operator types them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from connectors.woocommerce.sandbox import WooCommerceSandbox
from tests.commands.conftest import Command
from tests.hubs import Hub, Running


@pytest.fixture
def channel(hub: Hub, run: Command, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`hub channel ...` where the shops are reached: its line of JSON, or what it said."""
    monkeypatch.setenv("PUBLIC_URL", hub.url)
    monkeypatch.setenv("HUB_ALLOW_PRIVATE_HOSTS", "127.0.0.1")

    def channel(*words: str, code: int = 0) -> Any:
        row = run("channel", *words, code=code)[-1]
        return row["said"] if code else row

    return channel


def test_a_shop_is_subscribed_to_asked_and_looked_at(hub: Hub, channel: Callable[..., Any]) -> None:
    sandbox = WooCommerceSandbox()
    with Running(sandbox) as url:
        shop = hub.add_channel("woocommerce", sandbox.settings(), "Shop").public_id
        wish = {
            "customer": {"name": "Ann", "phone": "0912345678"}, "currency": "VND",
            "lines": [{"sku": "T", "name": "T", "quantity": 1, "price": "50000"}],
        }  # fmt: skip
        assert requests.post(f"{url}/_sandbox/sales", json=wish, timeout=10).ok
        found = channel("reconcile", shop)
        assert (found["seen"], found["found"]) == (1, 1)
        assert channel("reconcile", shop, "--since", "2020-01-01")["found"] == 0
        assert channel("install", shop)["made"].count(",") == 9
        again = channel("install", shop)
        assert (again["made"], again["kept"].count(",")) == ("", 9)
        health = channel("health", shop)
        assert (health["ok"], health["code"], health["found"]) == (True, "ok", 1)
        sandbox.webhooks.clear()
        assert channel("health", shop)["ok"] is True  # it was put right
        (row,) = hub.rows("SELECT actor FROM audit WHERE action = 'channel.installed' LIMIT 1")
        assert row.actor.startswith("cli:")
    said = channel("reconcile", shop, code=1)
    assert "error:" in said


def test_what_cannot_be_asked_says_so(hub: Hub, channel: Callable[..., Any]) -> None:
    till = hub.add_channel("generic_pos", {"webhook_secret": "s" * 32}, "Till").public_id
    assert "nothing to subscribe to" in channel("install", till, code=1)
    assert "cannot be asked" in channel("reconcile", till, code=1)
    assert channel("health", till)["what"] == "cannot be asked"
    assert "no channel" in channel("reconcile", "chn_none", code=1)
