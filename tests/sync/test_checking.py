"""Codes behind the hub's back: gone where they should be usable, usable where they should be gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from connectors.sandbox_kit import Running, Sandbox
from connectors.shopify.sandbox import ShopifySandbox
from connectors.woocommerce.sandbox import WooCommerceSandbox
from hub.connector import CreateCode, RevokeCode
from hub.desk import rewards
from hub.desk.place import carry_out
from hub.errors import ChannelDown
from hub.ledger import commands
from hub.ledger.commands import Command
from hub.outbox import channels
from hub.outbox.channels import Channel
from hub.redemption.redeem import Redeemed
from hub.sync import checking, push, sweep
from hub.sync.checking import Finding
from hub.sync.doorbell import Doorbell
from hub.sync.sweep import Sweeper
from tests.hubs import Hub, running_hub
from tests.spending import spending

DOCUMENT = {
    "earn": {"per": {"VND": "10000"}},
    "rewards": [{"id": "r", "name": "R", "cost": 20, "amount": {"VND": "50000"}}],
}
ANN = {"name": "Ann", "phone": "0912345678", "email": "ann@example.com"}


@dataclass
class Shop:
    """A platform's sandbox, connected, and a code of Ann's in it."""

    hub: Hub
    sandbox: Sandbox
    channel: Channel
    done: Redeemed

    def check(self, *, repair: bool = True) -> list[tuple[str, bool]]:
        found: list[Finding] = list(
            checking.check_all(self.hub.runtime, self.hub.program.id, repair=repair)
        )
        assert {one.code for one in found} <= {self.done.code}
        return [(one.found, one.repaired) for one in found]

    def active(self) -> list[bool]:
        """Of each code in the shop, whether it can be used."""
        return [code["active"] for code in self.sandbox.codes()]

    def behind_the_hub(self, *, usable: bool) -> None:
        """Somebody in the shop makes the code, or ends it."""
        runtime = self.hub.runtime
        connector = channels.connector_of(runtime, self.channel)
        (row,) = self.hub.rows("SELECT external_id FROM voucher_channels")
        if not usable:
            connector.push(RevokeCode(self.done.code, self.done.voucher, row.external_id))
            return
        with runtime.sessions() as session:
            order = push._create(session, self.channel, connector, self._voucher())
        assert isinstance(order, CreateCode)
        connector.push(order)

    def _voucher(self) -> object:
        (row,) = self.hub.rows(
            "SELECT v.*, r.reward_terms FROM vouchers v JOIN redemptions r ON r.id = v.redemption_id"
        )
        return row


@pytest.fixture(params=[WooCommerceSandbox, ShopifySandbox])
def shop(
    request: pytest.FixtureRequest, database: str, redis_url: str, tmp_path: Path
) -> Iterator[Shop]:
    sandbox: Sandbox = request.param()
    with (
        running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub,
        Running(sandbox) as address,
    ):
        channel = hub.connect(sandbox, address)
        line = {"sku": "TEA", "name": "Tea", "quantity": 1, "price": "10000"}
        wish = {"customer": ANN, "currency": "VND", "lines": [line]}
        assert requests.post(f"{address}/_sandbox/sales", json=wish, timeout=10).ok
        hub.work()
        (member,) = hub.rows("SELECT id FROM members")
        with hub.runtime.sessions.begin() as session:
            gift = Command(hub.program.id, member.id, "gift", "test", hub.runtime.chain_key)
            commands.adjust(session, gift, 100)
        done = carry_out(
            hub.runtime, hub.program, "test", lambda desk: rewards.redeem(desk, member.id, "r", key=None)
        )
        hub.work()
        yield Shop(hub, sandbox, channel, done)
        hub.assert_clean()


def test_a_code_that_is_gone_is_made_again(shop: Shop) -> None:
    assert (shop.check(), shop.active()) == ([], [True])
    shop.behind_the_hub(usable=False)
    assert shop.check(repair=False) == [("missing", False)]
    assert True not in shop.active()
    assert shop.check() == [("missing", True)]
    assert shop.check() == [], "asked for once, it is on its way"
    shop.hub.work()
    assert True in shop.active()
    assert shop.check() == []
    audit = shop.hub.rows("SELECT subject FROM audit WHERE action = 'code.repaired'")
    assert [row.subject for row in audit] == [shop.done.voucher]


def test_a_code_that_is_back_is_ended_again(shop: Shop) -> None:
    carry_out(
        shop.hub.runtime, shop.hub.program, "test", lambda desk: rewards.take_back(desk, shop.done.id)
    )
    shop.hub.work()
    assert (shop.check(), True in shop.active()) == ([], False)
    shop.behind_the_hub(usable=True)
    assert True in shop.active()
    assert shop.check() == [("usable", True)]
    shop.hub.work()
    assert (shop.check(), True in shop.active()) == ([], False)


def test_a_shop_that_does_not_answer_is_told_and_nothing_is_changed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise ChannelDown("unreachable", "it does not answer")

    monkeypatch.setattr(shop.hub.runtime.connector_class(shop.channel.kind), "read_code", away)
    assert shop.check() == [("unreachable", False)]
    assert [row.state for row in shop.hub.rows("SELECT state FROM voucher_channels")] == ["live"]


def test_the_sweeper_asks_by_itself(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "CHECK_SECONDS", 0.0)
    shop.behind_the_hub(usable=False)
    sweeper = Sweeper(shop.hub.runtime, Doorbell("redis://127.0.0.1:1"))
    sweeper.once()
    assert sweeper._checking is not None
    sweeper._checking.join(timeout=30)
    shop.hub.work()
    assert True in shop.active()


def test_asking_goes_on_where_it_was_when_the_hub_starts_anew_and_begins_again_after_the_last(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    with spending(database, redis_url, tmp_path) as rig:  # two shops: each code has two places
        rig.gift(100)
        codes = [rig.redeem().code for _ in range(3)]
        rig.push()
        asked = []
        for _ in range(5):
            found = checking.next_places(rig.runtime, 3)  # reads the row: no process remembers anything
            asked.append([codes.index(place.code) for place in found])
            checking.checked(rig.runtime, found, 3)
    # a code that was cut off comes again, so that no place of it is passed over
    assert asked == [[0, 0, 1], [1, 1, 2], [2, 2], [0, 0, 1], [1, 1, 2]]
