"""Store credit: cashback and what is paid with it are targets in a book of money beside the points."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import requests

from hub.canonical import CustomerRef, Line, LineKind, Payment, Refund, RefundMoney, Sale, SaleState
from hub.desk import credit, rewards
from hub.desk.place import Desk
from hub.ledger.commands import NotEnoughPoints, ReferenceConflict
from hub.ledger.merging import Merge, merge, unmerge
from hub.members.credit import held, movements
from hub.redemption import redeem as redemption
from hub.sync.backfills import Counts
from hub.sync.doorbell import Doorbell
from hub.sync.sweep import Sweeper
from hub.transactions.codec import sale_to_json
from hub.web import keys
from tests.histories import count_history
from tests.hubs import Hub, running_hub
from tests.model_shop import CONNECTORS

ANN, BOB = "+84912345678", "+84912345679"
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
CREDIT = {"cashback": [{"percent": "10"}], "spent_at": ["model_event"]}


@dataclass
class Shop:
    """A shop of a programme with 10 % cashback."""

    hub: Hub
    webhook: str
    told: int = 0

    def message(
        self, name: str, net: int, *, state: SaleState = SaleState.PAID, phone: str = ANN,
        paid: int = 0, back: int = 0, codes: tuple[str, ...] = (), currency: str = "VND",
    ) -> bytes:  # fmt: skip
        self.told += 1
        at = NOON + timedelta(seconds=self.told)
        refunds = (
            Refund(f"{name}-R", name, self.told, at, money=(RefundMoney("success", back, currency),)),
        )
        sale = Sale(
            name, name, state, currency, (Line("1", LineKind.GOODS, Decimal(1), net, 0, categories=()),), NOON,
            version=self.told, as_of=at, customer=CustomerRef(phones=(phone,)), codes=codes,
            payments=(Payment("store_credit", paid, currency),) if paid else (), refunds=refunds if back else (),
        )  # fmt: skip
        return json.dumps({"type": "sale", "sale": sale_to_json(sale)}).encode()

    def send(self, body: bytes, key: str) -> None:
        headers = {"key": key, "topic": "t"}
        assert requests.post(self.webhook, data=body, headers=headers, timeout=10).status_code == 200

    def tell(self, name: str, net: int, **more: Any) -> None:
        self.send(self.message(name, net, **more), f"{name}-{self.told}")
        self.hub.work()

    def member(self, phone: str = ANN) -> int:
        (row,) = self.hub.rows("SELECT member_id FROM identities WHERE value = :phone", phone=phone)
        return int(row.member_id)

    def credit(self, phone: str = ANN) -> dict[str, int]:
        with self.hub.runtime.sessions() as session:
            found = held(session, self.member(phone), self.hub.runtime.clock())
        return {one.currency: one.balance for one in found if one.balance}

    def desk(self, deed: Callable[[Desk], Any]) -> Any:
        with self.hub.runtime.sessions.begin() as session:
            return deed(Desk(self.hub.runtime, session, self.hub.program, "test"))

    def entries(self) -> int:
        return int(self.hub.rows("SELECT count(*) AS n FROM entries")[0].n)


Opened = Callable[..., AbstractContextManager[Shop]]


@pytest.fixture
def opened(database: str, redis_url: str, tmp_path: Path) -> Opened:
    @contextmanager
    def open_(**settings: Any) -> Iterator[Shop]:
        document = {
            "earn": {"per": {"VND": "1000"}},
            "credit": {**CREDIT, **settings},
            "rewards": [{"id": "wallet", "name": "W", "cost": 50, "credit": {"VND": "20000"}}],
        }
        with running_hub(database, redis_url, tmp_path, document=document) as hub:
            hub.runtime.settings = replace(hub.runtime.settings, connectors=CONNECTORS)
            yield Shop(hub, hub.webhook(hub.add_channel("model_event", {}, "Shop")))
            assert hub.rows("SELECT id FROM deliveries WHERE state IN ('failed', 'parked')") == []
            hub.assert_clean()

    return open_


def test_a_share_of_what_was_paid_comes_back_and_goes_with_a_refund(opened: Opened) -> None:
    with opened() as shop:
        shop.tell("a", 100_000)
        assert (shop.credit(), shop.hub.balance(phone=ANN)) == ({"VND": 10_000}, 100)
        shop.tell("a", 100_000, back=30_000)
        assert shop.credit() == {"VND": 7_000}
        before = shop.entries()
        shop.tell("a", 100_000, back=30_000)
        assert shop.entries() == before
        shop.tell("a", 100_000, state=SaleState.CANCELLED)
        assert (shop.credit(), shop.hub.balance(phone=ANN)) == ({}, 0)


def test_paying_with_it_takes_it_earns_none_and_a_refund_gives_its_share_back(opened: Opened) -> None:
    with opened() as shop:
        shop.tell("a", 200_000)
        shop.tell("b", 100_000, paid=20_000)
        assert shop.credit() == {"VND": 20_000 - 20_000 + 8_000}
        shop.tell("b", 100_000, paid=20_000, back=50_000)
        assert shop.credit() == {"VND": 20_000 - 10_000 + 4_000}
        shop.tell("b", 100_000, paid=20_000, state=SaleState.CANCELLED)
        assert shop.credit() == {"VND": 20_000}


@pytest.mark.parametrize(("counts", "earned"), [("tiers", 0), ("points", 8_000)])
def test_a_sale_from_before_the_shop_was_connected_takes_no_credit(
    opened: Opened, counts: Counts, earned: int
) -> None:
    """What a shop called store credit before it was connected was none of this programme's."""
    with opened() as shop:
        shop.tell("a", 200_000)
        shop.tell("b", 100_000, paid=20_000)
        assert shop.credit() == {"VND": 20_000 - 20_000 + 8_000}
        until = NOON + timedelta(days=1)
        count_history(shop.hub.runtime, shop.hub.program, until=until, counts=counts)
        shop.tell("b", 100_000, paid=20_000)
        assert shop.credit() == {"VND": 20_000 + earned}
        entries = shop.entries()
        shop.tell("b", 100_000, paid=20_000)
        assert shop.entries() == entries
        shop.tell("b", 100_000, paid=20_000, back=50_000)
        assert shop.credit() == {"VND": 20_000 + earned // 2}


def test_what_another_channel_calls_store_credit_is_not_this_one(opened: Opened) -> None:
    with opened(spent_at=["generic_pos"]) as shop:
        shop.tell("a", 200_000)
        shop.tell("b", 100_000, paid=20_000)
        assert shop.credit() == {"VND": 20_000 + 8_000}


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_any_order_of_arrival_comes_to_the_same(opened: Opened, order: tuple[int, ...]) -> None:
    with opened() as shop:
        shop.tell("start", 300_000)
        bodies = [
            shop.message("a", 100_000),
            shop.message("a", 100_000, back=25_000),
            shop.message("b", 50_000, paid=10_000),
            shop.message("b", 50_000, paid=10_000, back=25_000),
        ]
        for number in order:
            shop.send(bodies[number], f"m{number}")
            shop.hub.work()
        assert shop.credit() == {"VND": 30_000 + 7_500 - 5_000 + 2_000}


def test_it_is_there_when_its_period_is_over_and_ends_when_its_days_are(opened: Opened) -> None:
    with opened(paid_out="month", expire_after_days=10) as shop:
        shop.tell("a", 100_000)
        (lot,) = shop.hub.rows(
            """SELECT l.available_at, l.expires_at FROM lots l JOIN accounts a ON a.id = l.account_id
               WHERE a.currency = 'VND'"""
        )
        assert lot.available_at == datetime(2026, 11, 30, 17, tzinfo=UTC)  # midnight in Hồ Chí Minh City
        assert lot.expires_at == datetime(2026, 12, 11, 17, tzinfo=UTC)
        late = replace(shop.hub.runtime, clock=lambda: datetime(2027, 1, 1, tzinfo=UTC))
        Sweeper(late, Doorbell("redis://127.0.0.1:1")).once()
        assert shop.credit() == {}


def test_it_becomes_a_code_that_a_cancelled_order_opens_again_and_staff_take_back(
    opened: Opened,
) -> None:
    with opened() as shop:
        shop.tell("a", 500_000)
        payment = redemption.Payment(30_000, "VND", credit=True)
        done = shop.desk(lambda desk: rewards.pay(desk, shop.member(), payment, key="k"))
        assert (
            shop.desk(lambda desk: rewards.pay(desk, shop.member(), payment, key="k")).code == done.code
        )
        assert (shop.credit(), done.currency, done.points) == ({"VND": 20_000}, "VND", 30_000)
        (terms,) = shop.hub.rows("SELECT reward_terms->'amounts' AS off FROM redemptions")
        assert terms.off == {"VND": 30_000}
        shop.tell("b", 70_000, codes=(done.code,))
        shop.tell("b", 70_000, codes=(done.code,), back=70_000)
        assert shop.credit() == {"VND": 50_000}
        shop.tell("b", 70_000, codes=(done.code,), state=SaleState.CANCELLED)
        assert shop.credit() == {"VND": 20_000}
        with pytest.raises(NotEnoughPoints):
            shop.desk(lambda desk: rewards.pay(desk, shop.member(), payment, key=None))


def test_points_buy_it(opened: Opened) -> None:
    with opened() as shop:
        shop.tell("a", 100_000)
        shop.desk(lambda desk: rewards.redeem(desk, shop.member(), "wallet", key=None))
        assert (shop.credit(), shop.hub.balance(phone=ANN)) == ({"VND": 30_000}, 50)


def test_by_hand_it_is_given_once_for_each_key_and_never_below_nothing(opened: Opened) -> None:
    with opened() as shop:
        shop.tell("a", 10_000)

        def give(amount: int, key: str, currency: str = "VND") -> Any:
            return shop.desk(
                lambda desk: credit.adjust(desk, shop.member(), amount, currency, reason="x", key=key)
            )

        assert give(500, "k", "USD").balance == 500
        assert give(500, "k", "USD").repeated
        with pytest.raises(ReferenceConflict):
            give(600, "k", "USD")
        with pytest.raises(NotEnoughPoints):
            give(-1_001, "z")
        assert shop.credit() == {"USD": 500, "VND": 1_000}
        assert [
            row.action for row in shop.hub.rows("SELECT action FROM audit WHERE action LIKE '%credit%'")
        ] == ["member.credit_adjusted"]


def test_merged_members_have_it_together_and_apart_again_each_their_own(opened: Opened) -> None:
    with opened() as shop:
        shop.tell("a", 100_000)
        shop.tell("b", 50_000, phone=BOB)
        hub = shop.hub
        order = Merge(hub.program.id, shop.member(), shop.member(BOB), "test", hub.runtime.chain_key)
        with hub.runtime.sessions.begin() as session:
            merge(session, order)
        assert (shop.credit(), shop.credit(BOB)) == ({}, {"VND": 15_000})
        hub.assert_clean()
        with hub.runtime.sessions.begin() as session:
            unmerge(session, order)
        assert (shop.credit(), shop.credit(BOB)) == ({"VND": 10_000}, {"VND": 5_000})


def test_a_sale_that_moves_to_another_member_takes_its_credit_along(opened: Opened) -> None:
    with opened() as shop:
        shop.tell("start", 300_000)
        shop.tell("bobs", 300_000, phone=BOB)
        shop.tell("a", 100_000, paid=20_000)
        assert shop.credit() == {"VND": 30_000 - 20_000 + 8_000}
        shop.tell("a", 100_000, paid=20_000, phone=BOB)
        assert (shop.credit(), shop.credit(BOB)) == ({"VND": 30_000}, {"VND": 30_000 - 20_000 + 8_000})


def test_the_api_tells_it_in_minor_units_with_its_reasons(opened: Opened) -> None:
    with opened() as shop:
        shop.tell("a", 100_000)
        hub = shop.hub
        with hub.runtime.sessions.begin() as session:
            _, key = keys.create(session, hub.program, name="t", scopes=keys.SCOPES, actor="test")
            assert len(movements(session, shop.member())) == 1
        (row,) = hub.rows("SELECT public_id FROM members")
        head, api = {"Authorization": f"Bearer {key}"}, f"{hub.url}/api/v1"
        told = requests.get(f"{api}/members/{row.public_id}/credit", headers=head, timeout=10).json()
        assert told["credit"] == [
            {"currency": "VND", "balance": 10_000, "available": 10_000, "pending": 0}
        ]
        assert told["entries"][0]["explanation"][0]["code"] == "cashback"
        wish = {"member": row.public_id, "credit": 4_000, "currency": "VND", "bill": 3_000}
        refused = requests.post(f"{api}/redemptions", json=wish, headers=head, timeout=10)
        assert (refused.status_code, refused.json()["why"]) == (409, "bill_too_small")
        made = requests.post(
            f"{api}/redemptions", json={**wish, "bill": 9_000}, headers=head, timeout=10
        )
        assert (made.status_code, made.json()["currency"], shop.credit()) == (201, "VND", {"VND": 6_000})
