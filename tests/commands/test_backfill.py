"""`hub channel backfill`, as an operator types it: tried, brought in, and told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from connectors.woocommerce.sandbox import WooCommerceSandbox
from tests.commands.conftest import Command
from tests.hubs import Hub, Running

Backfill = Callable[..., Any]


@pytest.fixture
def backfill(hub: Hub, run: Command, monkeypatch: pytest.MonkeyPatch) -> Backfill:
    """`hub channel backfill ...` where the shops are reached: its line of JSON, or what it said."""
    monkeypatch.setenv("PUBLIC_URL", hub.url)
    monkeypatch.setenv("HUB_ALLOW_PRIVATE_HOSTS", "127.0.0.1")

    def backfill(*words: str, code: int = 0) -> Any:
        row = run("channel", "backfill", *words, code=code)[-1]
        return row["said"] if code else row

    return backfill


def test_a_shops_history_is_tried_and_then_brought_in(hub: Hub, backfill: Backfill) -> None:
    ahead = [timedelta(days=-30)]
    sandbox = WooCommerceSandbox(now=lambda: datetime.now(UTC) + ahead[0])
    with Running(sandbox) as url:
        wish = {
            "customer": {"name": "Ann", "phone": "0912345678"}, "currency": "VND",
            "lines": [{"sku": "T", "name": "T", "quantity": 1, "price": "50000"}],
        }  # fmt: skip
        requests.post(f"{url}/_sandbox/sales", json=wish, timeout=10).raise_for_status()
        ahead[0] = timedelta(0)
        channel = hub.add_channel("woocommerce", sandbox.settings(), "Shop").public_id
        tried = backfill(channel, "--since", "2020-01-01")
        assert (tried["state"], tried["given"], tried["members_new"]) == ("tried", 5, 1)
        assert hub.balance(phone="+84912345678") == 0
        done = backfill(channel, "--apply")
        assert (done["state"], done["outcome"]) == ("done", {"posted": 1})
        assert hub.balance(phone="+84912345678") == 5
        again = backfill(channel, "--since", "2020-01-01", "--tiers-only", "--no-wait")
        assert (again["state"], again["counts_for"]) == ("fetching", "tiers")
        assert backfill(channel, "--stop")["state"] == "stopped"


def test_what_cannot_be_is_said(hub: Hub, backfill: Backfill) -> None:
    settings = {**WooCommerceSandbox().settings(), "store_url": "https://shop.example.com"}
    channel = hub.add_channel("woocommerce", settings, "Shop").public_id
    assert "--since" in backfill(channel, code=1)
    assert "name an earlier day" in backfill(channel, "--since", "2999-01-01", code=1)
    assert "--since" in backfill(channel, "--tiers-only", code=2)
    till = hub.add_channel("generic_pos", {"webhook_secret": "whsec_" + "A" * 32}, "Till").public_id
    said = backfill(till, "--since", "2020-01-01", code=1)
    assert "cannot be asked for what it sold before" in said
