"""A code used, used again, and used no more: its state and its price follow the orders that carry it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import requests

from hub.canonical import CustomerRef, Line, LineKind, Sale, SaleState
from hub.ledger import commands
from hub.ledger.commands import Command
from hub.ledger.merging import Merge, merge, unmerge
from hub.program import store
from hub.redemption.redeem import Order, redeem
from hub.transactions.codec import sale_to_json
from tests.hubs import Hub, running_hub
from tests.model_shop import CONNECTORS

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "rewards": [{"id": "r", "name": "R", "cost": 20, "amount": {"VND": "50000"}}],
}
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
ANN, BOB = "+84912345678", "+84912345679"


@dataclass
class Shop:
    """Sales of one shop, each told with the code it carries."""

    hub: Hub
    webhook: str
    told: int = 0
    codes: dict[str, str] = field(default_factory=dict)

    def tell(self, name: str, state: SaleState, phone: str, *codes: str) -> None:
        self.told += 1
        line = Line("1", LineKind.GOODS, Decimal(1), 10_000, 0, categories=())
        sale = Sale(
            name, name, state, "VND", (line,), NOON, version=self.told,
            as_of=NOON + timedelta(seconds=self.told), customer=CustomerRef(phones=(phone,)), codes=codes,
        )  # fmt: skip
        body = json.dumps({"type": "sale", "sale": sale_to_json(sale)})
        headers = {"key": str(self.told), "topic": "t"}
        assert requests.post(self.webhook, data=body, headers=headers, timeout=10).status_code == 200
        self.hub.work()

    def member(self, phone: str) -> int:
        rows = self.hub.rows("SELECT member_id FROM identities WHERE value = :phone", phone=phone)
        return int(rows[0].member_id)

    def code_of(self, phone: str) -> str:
        """A code bought by the member with that phone, who got 100 points for it."""
        hub, key = self.hub, self.hub.runtime.chain_key
        with hub.runtime.sessions.begin() as session:
            member = self.member(phone)
            commands.adjust(session, Command(hub.program.id, member, phone, "test", key), 100)
            rules = store.versions(session, hub.program)[-1]
            order = Order(hub.program.id, member, "r", "test", key)
            return redeem(session, order, rules, []).code

    def voucher(self) -> tuple[str, int]:
        (row,) = self.hub.rows("SELECT state, uses FROM vouchers")
        return row.state, row.uses

    def check(self) -> None:
        assert self.hub.rows("SELECT id FROM deliveries WHERE state IN ('failed', 'parked')") == []
        self.hub.assert_clean()


@pytest.fixture
def shop(database: str, redis_url: str, tmp_path: Path) -> Iterator[Shop]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        hub.runtime.settings = replace(hub.runtime.settings, connectors=CONNECTORS)
        shop = Shop(hub, hub.webhook(hub.add_channel("model_event", {}, "Shop")))
        shop.tell("first", SaleState.PAID, ANN)
        shop.tell("other", SaleState.PAID, BOB)
        yield shop


def test_a_cancelled_order_gives_the_code_back_to_be_used_again(shop: Shop) -> None:
    code = shop.code_of(ANN)
    shop.tell("a", SaleState.PAID, ANN, code)
    assert shop.voucher() == ("used", 1)
    shop.tell("a", SaleState.CANCELLED, ANN, code)
    assert shop.voucher() == ("live", 0)
    assert shop.hub.balance(phone=ANN) == 1 + 100 - 20
    shop.tell("b", SaleState.PAID, ANN, code)
    assert shop.voucher() == ("used", 1)
    assert shop.hub.balance(phone=ANN) == 1 + 100 - 20 + 1
    shop.check()


def test_a_second_use_costs_again_until_it_is_cancelled(shop: Shop) -> None:
    code = shop.code_of(ANN)
    shop.tell("a", SaleState.PAID, ANN, code)
    shop.tell("b", SaleState.PAID, ANN, code.lower())
    assert (shop.voucher(), shop.hub.balance(phone=ANN)) == (("used", 2), 3 + 100 - 40)
    shop.tell("a", SaleState.CANCELLED, ANN, code)
    assert (shop.voucher(), shop.hub.balance(phone=ANN)) == (("used", 1), 2 + 100 - 20)
    shop.check()


def test_what_a_second_use_cost_goes_back_to_whoever_paid_it(shop: Shop) -> None:
    """Ann is merged into Bob, her code is used twice, they are taken apart, one use is cancelled."""
    code, hub = shop.code_of(ANN), shop.hub
    shop.tell("a", SaleState.PAID, ANN, code)
    order = Merge(hub.program.id, shop.member(ANN), shop.member(BOB), "test", hub.runtime.chain_key)
    with hub.runtime.sessions.begin() as session:
        merge(session, order)
    shop.tell("b", SaleState.PAID, ANN, code)
    paid = hub.balance(phone=BOB)
    with hub.runtime.sessions.begin() as session:
        unmerge(session, order, accept_shortfall=True)
    survivor, apart = hub.balance(phone=BOB), hub.balance(phone=ANN)
    assert survivor + apart == paid
    shop.tell("b", SaleState.CANCELLED, ANN, code)
    assert hub.balance(phone=BOB) == survivor + 20
    assert hub.balance(phone=ANN) == apart - 1
    shop.check()


def test_a_perk_is_a_code_that_no_shop_is_told_of(database: str, redis_url: str, tmp_path: Path) -> None:
    perk = {**DOCUMENT, "rewards": [{"id": "r", "name": "Coffee", "cost": 20, "perk": "A coffee"}]}
    with running_hub(database, redis_url, tmp_path, document=perk) as hub:
        hub.runtime.settings = replace(hub.runtime.settings, connectors=CONNECTORS)
        channel = hub.add_channel("model_event", {}, "Shop")
        shop = Shop(hub, hub.webhook(channel))
        shop.tell("first", SaleState.PAID, ANN)
        with hub.runtime.sessions.begin() as session:
            member, key = shop.member(ANN), hub.runtime.chain_key
            commands.adjust(session, Command(hub.program.id, member, "a", "test", key), 100)
            rules = store.versions(session, hub.program)[-1]
            redeem(session, Order(hub.program.id, member, "r", "test", key), rules, [channel])
        hub.work()
        assert ("done", "no_change", "handed_over_by_staff") in hub.states("outbound")
        assert hub.balance(phone=ANN) == 81
