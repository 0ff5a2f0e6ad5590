"""One code in two shops: what each is told follows from the uses, whatever comes together or is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import text

from hub.canonical import CustomerRef, IdentityKind, Line, LineKind, Origin, Sale, SaleState
from hub.connector import Command, CreateCode, Receipt
from hub.desk import merging
from hub.desk.place import Desk
from hub.errors import ChannelDown
from hub.ledger import commands
from hub.outbox.channels import Channel
from hub.program import store
from hub.redemption.redeem import Order, redeem
from hub.transactions.codec import sale_to_json
from tests.hubs import Hub, running_hub
from tests.model_shop import CONNECTORS, ModelShop

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "rewards": [{"id": "r", "name": "R", "cost": 20, "amount": {"VND": "50000"}}],
}
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
ANN, BOB = "+84912345678", "+84912345679"


@dataclass
class Shops:
    """Two shops of one hub, A and B."""

    hub: Hub
    a: Channel
    b: Channel
    told: int = 0

    def tell(self, shop: Channel, name: str, state: SaleState, phone: str, *codes: str, work: bool = True,
             customer: str | None = None, **change: Any) -> None:  # fmt: skip
        self.told += 1
        line = Line("1", LineKind.GOODS, Decimal(1), 10_000, 0, categories=())
        sale = Sale(
            name, name, state, "VND", (line,), NOON, version=self.told,
            as_of=NOON + timedelta(seconds=self.told), codes=codes,
            customer=CustomerRef(external_id=customer, phones=(phone,)), **change,
        )  # fmt: skip
        message = {"type": "sale", "sale": sale_to_json(sale)}
        headers = {"key": str(self.told), "topic": "t"}
        answer = requests.post(self.hub.webhook(shop), json=message, headers=headers, timeout=10)
        assert answer.status_code == 200
        if work:
            self.hub.work()

    def member(self, phone: str) -> int:
        rows = self.hub.rows("SELECT member_id FROM identities WHERE value = :phone", phone=phone)
        return int(rows[0].member_id)

    def code(self, phone: str = ANN) -> str:
        """A code of a member who has a hundred points more for it, made in both shops."""
        hub, key = self.hub, self.hub.runtime.chain_key
        with hub.runtime.sessions.begin() as session:
            member = self.member(phone)
            gift = commands.Command(hub.program.id, member, f"gift:{phone}", "test", key)
            commands.adjust(session, gift, 100)
            rules = store.versions(session, hub.program)[-1]
            order = Order(hub.program.id, member, "r", "test", key)
            code = redeem(session, order, rules, [self.a, self.b]).code
        hub.work()
        return code

    def states(self) -> dict[str, str]:
        """Shop -> the state of the code there."""
        rows = self.hub.rows(
            """SELECT c.name, vc.state FROM voucher_channels vc JOIN channels c ON c.id = vc.channel_id"""
        )
        return {row.name: row.state for row in rows}


@pytest.fixture
def shops(database: str, redis_url: str, tmp_path: Path) -> Iterator[Shops]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        hub.runtime.settings = replace(hub.runtime.settings, connectors=CONNECTORS)
        a, b = (hub.add_channel(k, {}, n) for k, n in (("model_event", "A"), ("model_delivery", "B")))
        shops = Shops(hub, a, b)
        shops.tell(a, "first", SaleState.PAID, ANN, customer="ann")
        yield shops
        assert hub.rows("SELECT id FROM deliveries WHERE state IN ('failed', 'parked')") == []
        hub.assert_clean()


def test_a_copy_of_the_order_in_another_channel_is_no_second_use(shops: Shops) -> None:
    code = shops.code()
    shops.tell(shops.a, "w1", SaleState.PAID, ANN, code)
    before = shops.hub.balance(phone=ANN)
    shops.tell(shops.b, "copy", SaleState.PAID, ANN, code, origin=Origin("model_event", "w1"))
    assert shops.hub.balance(phone=ANN) == before
    assert shops.hub.rows("SELECT uses FROM vouchers")[0].uses == 1


def test_a_use_that_moves_to_the_other_shop_within_one_batch_is_told_to_both(shops: Shops) -> None:
    code = shops.code()
    shops.tell(shops.a, "w1", SaleState.PAID, ANN, code)
    assert shops.states() == {"A": "used", "B": "revoked"}
    shops.tell(shops.a, "w1", SaleState.CANCELLED, ANN, code, work=False)
    shops.tell(shops.b, "p1", SaleState.PAID, ANN, code, work=False)
    shops.hub.work()
    assert shops.states() == {"A": "revoked", "B": "used"}


def test_a_code_whose_making_anew_was_not_answered_is_taken_back_all_the_same(
    shops: Shops, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, sent = shops.code(), []
    shops.tell(shops.a, "w1", SaleState.PAID, ANN, code)
    well = ModelShop.push

    def push(shop: ModelShop, command: Command) -> Receipt:
        sent.append((shop.kind, type(command).__name__))
        if shop.kind == "model_delivery" and isinstance(command, CreateCode):
            raise ChannelDown("dropped", "the connection was dropped after the write")
        return well(shop, command)

    monkeypatch.setattr(ModelShop, "push", push)
    shops.tell(shops.a, "w1", SaleState.CANCELLED, ANN, code)
    shops.tell(shops.a, "w2", SaleState.PAID, ANN, code)
    with shops.hub.runtime.sessions.begin() as session:
        session.execute(text("UPDATE channels SET down_until = NULL"))
        session.execute(text("UPDATE deliveries SET due_at = now() WHERE state = 'due'"))
    shops.hub.work()
    assert ("model_delivery", "RevokeCode") in sent
    assert shops.states()["B"] == "revoked"


def test_a_version_of_the_future_decides_nothing_today(shops: Shops) -> None:
    code, hub = shops.code(), shops.hub
    later = {**DOCUMENT, "redeem": {"double_use": "absorb"}, "members": {"enrol": "existing"}}
    now = datetime.now(UTC)
    with hub.runtime.sessions.begin() as session:
        store.add_version(
            session, hub.program, later, effective_from=now + timedelta(days=30), now=now, actor="test"
        )
    shops.tell(shops.a, "w1", SaleState.PAID, ANN, code)
    shops.tell(shops.a, "w2", SaleState.PAID, ANN, code)
    assert hub.balance(phone=ANN) == 3 + 100 - 40
    shops.tell(shops.a, "n1", SaleState.PAID, BOB)
    assert hub.balance(phone=BOB) == 1


def test_a_live_code_reaches_a_shop_that_is_connected_later(shops: Shops) -> None:
    shops.code()
    third = shops.hub.add_channel("model_event", {}, "C")
    shops.tell(third, "c1", SaleState.PAID, ANN, customer="ann-in-c")
    assert shops.states()["C"] == "live"


def test_a_live_code_reaches_the_shops_of_whoever_the_member_is_merged_with(
    shops: Shops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ModelShop, "needs", {"create_code": IdentityKind.CUSTOMER})
    shops.tell(shops.b, "b1", SaleState.PAID, BOB, customer="bob")
    shops.code()
    assert shops.states() == {"A": "live", "B": "planned"}
    hub = shops.hub
    with hub.runtime.sessions.begin() as session:
        desk = Desk(hub.runtime, session, hub.program, "test")
        merging.merge(desk, shops.member(ANN), shops.member(BOB))
    hub.work()
    assert shops.states() == {"A": "live", "B": "live"}


def test_numbers_and_codes_that_no_index_could_hold_are_cut_or_left_out(shops: Shops) -> None:
    shops.tell(shops.a, "long", SaleState.PAID, ANN, "X" * 9000, "ok")
    (row,) = shops.hub.rows("SELECT number, codes FROM transactions WHERE external_id = 'long'")
    assert (row.number, row.codes) == ("long", ["ok"])
    assert json.dumps(row.codes)
