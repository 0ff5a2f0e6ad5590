"""Every kind of reward in every shop: what the hub tells it is what its checkout takes off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from connectors.generic_pos.sandbox import TillSandbox
from connectors.sandbox_kit import Running, Sandbox
from connectors.shopify.sandbox import ShopifySandbox
from connectors.woocommerce.sandbox import WooCommerceSandbox
from hub.desk.place import Desk
from hub.desk.rewards import redeem
from hub.ledger import commands
from hub.ledger.commands import Command
from tests.hubs import Hub, running_hub

ANN = {"name": "Ann", "phone": "+84912345678", "email": "ann@example.com"}
CUP = {"sku": "CUP", "name": "Cup", "quantity": 3, "price": "4.00"}
TEA = {"sku": "TEA", "name": "Tea", "quantity": 1, "price": "20.00"}
REWARDS: dict[str, dict[str, Any]] = {
    "free-cup": {"free": ["CUP"]},
    "half-tea": {"percent": "50", "skus": ["TEA"]},
    "shipping": {"free_shipping": True, "minimum": {"USD": "10"}},
    "five": {"amount": {"USD": "5"}, "minimum": {"USD": "30"}},
    "capped": {"percent": "50", "at_most": {"USD": "3"}},
    "tea-money": {"amount": {"USD": "2"}, "skus": ["TEA"]},
    "here-only": {"percent": "10", "channels": ["generic_pos"]},
}
SHOPS: dict[str, Callable[[], Sandbox]] = {
    "generic_pos": lambda: TillSandbox("USD"),
    "woocommerce": lambda: WooCommerceSandbox(
        "USD", now=lambda: datetime.now(UTC) + timedelta(seconds=2)
    ),
    "shopify": ShopifySandbox,
}


@dataclass
class Street:
    """A hub with one shop, where Ann has bought before and has points enough."""

    hub: Hub
    url: str
    kind: str

    def steer(self, path: str, **wish: Any) -> requests.Response:
        return requests.post(f"{self.url}/_sandbox/{path}", json=wish, timeout=10)

    def buy(self, *codes: str) -> str:
        """What Ann pays for three cups, a tea and shipping of 6."""
        answer = self.steer("sales", customer=ANN, lines=[CUP, TEA], shipping="6.00", codes=list(codes))
        assert answer.ok, answer.text
        self.hub.work()
        return str(answer.json()["total"])

    def code(self, reward: str) -> str:
        with self.hub.runtime.sessions.begin() as session:
            desk = Desk(self.hub.runtime, session, self.hub.program, "test")
            (row,) = self.hub.rows("SELECT id FROM members")
            code = redeem(desk, row.id, reward, key=None).code
        self.hub.work()
        return code

    def told(self) -> tuple[str, str | None, str | None]:
        (row,) = self.hub.rows(
            """SELECT state, outcome, coalesce(code, reason) AS why FROM deliveries
               WHERE topic = 'create_code' ORDER BY id DESC LIMIT 1"""
        )
        return row.state, row.outcome, row.why


@pytest.fixture(params=SHOPS)
def street(
    request: pytest.FixtureRequest, database: str, redis_url: str, tmp_path: Path
) -> Iterator[Street]:
    document = {
        "earn": {"per": {"USD": "1000000"}},
        "rewards": [{"id": i, "name": i, "cost": 10, **what} for i, what in REWARDS.items()],
    }
    sandbox = SHOPS[request.param]()
    with ExitStack() as stack:
        hub = stack.enter_context(
            running_hub(database, redis_url, tmp_path, document=document, currency="USD")
        )
        url = stack.enter_context(Running(sandbox))
        hub.connect(sandbox, url)
        street = Street(hub, url, request.param)
        street.buy()
        (row,) = hub.rows("SELECT id FROM members")
        with hub.runtime.sessions.begin() as session:
            gift = Command(hub.program.id, row.id, "gift", "test", hub.runtime.chain_key)
            commands.adjust(session, gift, 1000)
        yield street
        hub.assert_clean()


@pytest.mark.parametrize(
    ("reward", "pays"),
    [
        ("free-cup", "34.00"),
        ("half-tea", "28.00"),
        ("shipping", "32.00"),
        ("five", "33.00"),
    ],
)
def test_what_was_bought_is_what_the_checkout_takes_off(street: Street, reward: str, pays: str) -> None:
    code = street.code(reward)
    assert street.told()[:2] == ("done", "pushed"), street.told()
    assert street.buy(code) == pays
    assert [row.state for row in street.hub.rows("SELECT state FROM vouchers")] == ["used"]


@pytest.mark.parametrize(
    ("reward", "where", "pays"),
    [
        ("capped", {"generic_pos"}, "35.00"),
        ("tea-money", {"generic_pos", "shopify"}, "36.00"),
        ("here-only", {"generic_pos"}, "34.80"),
    ],
)
def test_a_shop_whose_codes_cannot_do_it_makes_none_and_says_so(
    street: Street, reward: str, where: set[str], pays: str
) -> None:
    code = street.code(reward)
    if street.kind in where:
        assert street.buy(code) == pays
        return
    why = "not_for_this_channel" if reward == "here-only" else "terms_unknown_to_this_channel"
    assert street.told() == ("done", "no_change", why)
    assert not street.steer("sales", customer=ANN, lines=[CUP], codes=[code]).ok
