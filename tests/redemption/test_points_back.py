"""Points behind a code come back when its order is refunded or cancelled, by the programme's rules."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Any, Literal

import pytest
import requests

from hub.canonical import CustomerRef, Line, LineKind, Refund, RefundMoney, Sale, SaleState
from hub.desk.place import Desk
from hub.desk.rewards import redeem, take_back
from hub.ledger import commands
from hub.ledger.commands import Command
from hub.redemption.taking_back import AlreadyUsed
from hub.sync.doorbell import Doorbell
from hub.sync.sweep import Sweeper
from hub.transactions.codec import sale_to_json
from tests.hubs import Hub, running_hub
from tests.model_shop import CONNECTORS, ModelShop

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
PHONE = "+84912345678"


@dataclass
class Shop:
    """A shop, and Ann who has a hundred points and a code that cost her 30 of them."""

    hub: Hub
    webhook: str
    sweeper: Sweeper
    code: str = ""
    redemption: str = ""
    told: int = 0

    def tell(
        self, name: str, state: SaleState, *refunds: int, code: bool = True, work: bool = True,
        settled: Literal["success", "failed"] = "success",
    ) -> None:  # fmt: skip
        self.told += 1
        at = NOON + timedelta(seconds=self.told)
        listed = tuple(
            Refund(f"{name}-R{n}", name, self.told, at, money=(RefundMoney(settled, amount, "VND"),))
            for n, amount in enumerate(refunds)
        )
        sale = Sale(
            name, name, state, "VND", (Line("1", LineKind.GOODS, Decimal(1), 90_000, 0, categories=()),), NOON,
            version=self.told, as_of=at, customer=CustomerRef(external_id="ann", phones=(PHONE,)),
            codes=(self.code,) if code else (), refunds=listed,
        )  # fmt: skip
        body = json.dumps({"type": "sale", "sale": sale_to_json(sale)})
        headers = {"key": str(self.told), "topic": "t"}
        assert requests.post(self.webhook, data=body, headers=headers, timeout=10).status_code == 200
        if work:
            self.hub.work()

    @property
    def points(self) -> int:
        return self.hub.balance(phone=PHONE)

    def entries(self) -> int:
        return int(self.hub.rows("SELECT count(*) AS n FROM entries")[0].n)

    def state(self) -> tuple[str, str]:
        (row,) = self.hub.rows(
            "SELECT v.state, r.state AS spent FROM vouchers v JOIN redemptions r ON r.id = v.redemption_id"
        )
        return row.state, row.spent

    def sweep(self) -> None:
        self.sweeper.once()
        self.hub.work()

    def desk(self, deed: Callable[[Desk], Any]) -> Any:
        with self.hub.runtime.sessions.begin() as session:
            return deed(Desk(self.hub.runtime, session, self.hub.program, "test"))


Open = Callable[..., AbstractContextManager[Shop]]


@pytest.fixture
def opened(database: str, redis_url: str, tmp_path: Path) -> Open:
    """A shop of a programme with these [redeem] settings; its book is checked at the end."""

    @contextmanager
    def open_(*, lives: timedelta | None = None, **settings: Any) -> Iterator[Shop]:
        document = {
            "earn": {"points": 1, "per": {"VND": "1000000000"}},
            "rewards": [{"id": "r", "name": "R", "cost": 30, "amount": {"VND": "10000"}}],
            "redeem": settings,
        }
        with running_hub(database, redis_url, tmp_path, document=document) as hub:
            hub.runtime.settings = replace(hub.runtime.settings, connectors=CONNECTORS)
            channel = hub.add_channel("model_event", {}, "Shop")
            sweeper = Sweeper(hub.runtime, Doorbell("redis://127.0.0.1:1"))
            shop = Shop(hub, hub.webhook(channel), sweeper)
            shop.tell("first", SaleState.PAID, code=False)
            key = hub.runtime.chain_key
            (row,) = hub.rows("SELECT id FROM members")
            gift = Command(hub.program.id, row.id, "gift", "test", key)
            ends = hub.runtime.clock() + lives if lives else None
            shop.desk(lambda desk: commands.adjust(desk.session, gift, 100, expires_at=ends))
            done = shop.desk(lambda desk: redeem(desk, row.id, "r", key=None))
            shop.code, shop.redemption = done.code, done.id
            hub.work()
            yield shop
            assert hub.rows("SELECT id FROM deliveries WHERE state IN ('failed', 'parked')") == []
            hub.assert_clean()

    return open_


def test_by_default_they_come_back_once_the_order_is_refunded_in_full(opened: Open) -> None:
    with opened() as shop:
        shop.tell("a", SaleState.PAID)
        shop.tell("a", SaleState.PAID, 60_000)
        assert shop.points == 70
        shop.tell("a", SaleState.PAID, 60_000, 30_000)
        assert shop.points == 100
        before = shop.entries()
        shop.tell("a", SaleState.REFUNDED, 60_000, 30_000)
        assert (shop.points, shop.entries()) == (100, before)
        assert shop.state() == ("used", "committed")


@pytest.mark.parametrize("order", list(permutations([10_000, 25_000, 55_000])))
def test_in_proportion_many_refunds_bring_back_what_one_would(
    opened: Open, order: tuple[int, ...]
) -> None:
    with opened(points_back="share") as shop:
        shop.tell("a", SaleState.PAID)
        shop.tell("a", SaleState.PAID, *order[:2])
        given = {10_000: 3, 25_000: 8, 55_000: 18, 35_000: 12, 65_000: 22, 80_000: 27}[sum(order[:2])]
        assert 70 + 30 - shop.points == 30 - given
        shop.tell("a", SaleState.PAID, *order)
        assert shop.points == 100


def test_never_means_never_and_a_failed_refund_takes_them_again(opened: Open) -> None:
    with opened(points_back="never") as shop:
        shop.tell("a", SaleState.REFUNDED, 90_000)
        assert shop.points == 70


def test_a_refund_that_is_undone_costs_the_points_again(opened: Open) -> None:
    with opened(points_back="share") as shop:
        shop.tell("a", SaleState.PAID, 45_000)
        assert shop.points == 85
        shop.tell("a", SaleState.PAID, 45_000, settled="failed")
        assert shop.points == 70


def test_points_whose_day_had_passed_live_on_for_the_grace_days(opened: Open) -> None:
    with opened(grace_days=10, lives=timedelta(seconds=2)) as shop:
        shop.tell("a", SaleState.PAID)
        time.sleep(2.1)
        shop.sweep()
        assert shop.points == 0
        shop.tell("a", SaleState.REFUNDED, 90_000)
        assert shop.points == 30
        (lot,) = shop.hub.rows("SELECT expires_at, now() AS now FROM lots WHERE remaining > 0")
        assert timedelta(days=9, hours=23) < lot.expires_at - lot.now <= timedelta(days=10)


def test_a_cancelled_order_may_give_the_points_back_once_every_shop_has_let_go_of_the_code(
    opened: Open,
) -> None:
    with opened(when_cancelled="points_back") as shop:
        shop.tell("a", SaleState.PAID)
        shop.tell("a", SaleState.CANCELLED, work=False)
        with shop.hub.runtime.sessions.begin() as session:
            session.connection().exec_driver_sql(
                "UPDATE channels SET down_until = now() + interval '1 hour'"
            )
        shop.hub.work()
        shop.sweep()
        assert (shop.state(), shop.points) == (("revoking", "committed"), 70)
        with shop.hub.runtime.sessions.begin() as session:
            session.connection().exec_driver_sql("UPDATE channels SET down_until = NULL")
        shop.hub.work()
        shop.sweep()
        assert (shop.state(), shop.points) == (("revoked", "released"), 100)
        before = shop.entries()
        shop.sweep()
        shop.tell("a", SaleState.CANCELLED)
        assert shop.entries() == before


def test_an_order_that_stands_again_costs_its_points_again(opened: Open) -> None:
    with opened(when_cancelled="points_back") as shop:
        shop.tell("a", SaleState.CANCELLED)
        shop.sweep()
        assert shop.points == 100
        shop.tell("a", SaleState.PAID)
        assert (shop.state(), shop.points) == (("used_late", "committed"), 70)
        shop.tell("a", SaleState.CANCELLED)
        shop.sweep()
        assert shop.points == 100


def test_staff_take_an_unused_code_back_and_never_a_used_one(opened: Open) -> None:
    with opened() as shop:
        assert shop.desk(lambda desk: take_back(desk, shop.redemption)) == "revoking"
        shop.hub.work()
        shop.sweep()
        assert (shop.state(), shop.points) == (("revoked", "released"), 100)
        before = shop.entries()
        assert shop.desk(lambda desk: take_back(desk, shop.redemption)) == "revoked"
        assert shop.entries() == before
        with pytest.raises(LookupError):
            shop.desk(lambda desk: take_back(desk, "red_0"))
        shop.tell("late", SaleState.PAID)
        assert (shop.state(), shop.points) == (("used_late", "committed"), 70)
        with pytest.raises(AlreadyUsed):
            shop.desk(lambda desk: take_back(desk, shop.redemption))


def test_a_use_that_comes_while_the_code_is_taken_back_keeps_the_points_spent(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened() as shop:
        monkeypatch.setattr(ModelShop, "push", lambda *_: pytest.fail("nothing is pushed yet"))
        shop.desk(lambda desk: take_back(desk, shop.redemption))
        shop.tell("a", SaleState.PAID, work=False)
        monkeypatch.undo()
        shop.hub.work()
        shop.sweep()
        assert (shop.state(), shop.points) == (("used", "committed"), 70)
