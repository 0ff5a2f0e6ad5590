"""After an update that reads messages better: all messages of a sale are folded as one code reads
them (rules.md A2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from hub.canonical import (
    CustomerRef,
    Happening,
    Ignored,
    Line,
    LineKind,
    Refund,
    RefundMoney,
    Sale,
    SaleState,
)
from hub.connector import Inbound
from hub.errors import BadPayload
from hub.outbox import deliveries
from hub.transactions.codec import refund_to_json, sale_to_json
from tests.hubs import Hub, running_hub
from tests.model_shop import CONNECTORS, EventShop

DOCUMENT = {"earn": {"points": 1, "per": {"VND": "10000"}}}
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
PHONE = "+84912345678"


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        hub.runtime.settings = replace(hub.runtime.settings, connectors=CONNECTORS)
        yield hub


@pytest.fixture
def shop(hub: Hub) -> str:
    return hub.webhook(hub.add_channel("model_event", {}, "Shop"))


def tell(webhook: str, message: dict[str, Any], key: str) -> None:
    answer = requests.post(webhook, json=message, headers={"key": key, "topic": "t"}, timeout=10)
    assert answer.status_code == 200


def sale() -> dict[str, Any]:
    line = Line("1", LineKind.GOODS, Decimal(1), 100_000, 0, categories=())
    told = Sale(
        "s1", "s1", SaleState.PAID, "VND", (line,), NOON,
        version=1, as_of=NOON, customer=CustomerRef(phones=(PHONE,)),
    )  # fmt: skip
    return {"type": "sale", "sale": sale_to_json(told)}


def refund(amount: int) -> dict[str, Any]:
    later = NOON + timedelta(hours=1)
    told = Refund("r1", "s1", 1, later, later, money=(RefundMoney("success", amount, "VND"),))
    return {"type": "refund", "refund": refund_to_json(told)}


class _Newer:
    """The next release of the model shop's connector."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.old = EventShop.normalise
        self.monkeypatch = monkeypatch

    def install(self, change: Any) -> None:
        old = self.old

        def normalise(connector: EventShop, inbound: Inbound) -> Sequence[Happening]:
            return [change(happening) for happening in old(connector, inbound)]

        self.monkeypatch.setattr(EventShop, "normalise", normalise)
        self.monkeypatch.setattr(EventShop, "normaliser_version", 2)


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> _Newer:
    return _Newer(monkeypatch)


def doubled(happening: Happening) -> Happening:
    """Newer code finds that lines were read at half their price."""
    if not isinstance(happening, Sale):
        return happening
    return replace(happening, lines=tuple(replace(one, net=one.net * 2) for one in happening.lines))


def readers(hub: Hub) -> list[int]:
    rows = hub.rows("SELECT normaliser_version FROM contributions ORDER BY id")
    return [row.normaliser_version for row in rows]


def test_a_message_after_the_update_makes_the_earlier_ones_be_read_anew(
    hub: Hub, shop: str, newer: _Newer
) -> None:
    tell(shop, sale(), "1")
    hub.work()
    assert hub.balance(phone=PHONE) == 10
    newer.install(doubled)
    tell(shop, refund(50_000), "2")
    hub.work()
    assert hub.balance(phone=PHONE) == 15
    assert readers(hub) == [2, 2]
    hub.assert_clean()


def test_a_replay_reads_all_messages_of_its_sale_by_one_code(hub: Hub, shop: str, newer: _Newer) -> None:
    tell(shop, sale(), "1")
    tell(shop, refund(50_000), "2")
    hub.work()
    assert hub.balance(phone=PHONE) == 5
    newer.install(doubled)
    replay(hub, "2")
    assert (hub.balance(phone=PHONE), readers(hub)) == (15, [2, 2])
    entries = hub.rows("SELECT id FROM entries")
    replay(hub, "1")
    replay(hub, "2")
    assert hub.rows("SELECT id FROM entries") == entries
    hub.assert_clean()


def test_what_newer_code_finds_in_no_message_any_more_is_taken_back(
    hub: Hub, shop: str, newer: _Newer
) -> None:
    tell(shop, sale(), "1")
    hub.work()
    newer.install(lambda happening: Ignored("test_order") if isinstance(happening, Sale) else happening)
    replay(hub, "1")
    assert hub.balance(phone=PHONE) == 0
    assert readers(hub) == []
    hub.assert_clean()


def test_a_message_that_newer_code_cannot_read_keeps_its_old_reading(
    hub: Hub, shop: str, newer: _Newer
) -> None:
    def broken(happening: Happening) -> Happening:
        if isinstance(happening, Sale):
            raise BadPayload("not_an_object", "an object is expected")
        return happening

    tell(shop, sale(), "1")
    hub.work()
    newer.install(broken)
    tell(shop, refund(50_000), "2")
    hub.work()
    assert hub.balance(phone=PHONE) == 5
    hub.assert_clean()


def replay(hub: Hub, key: str) -> None:
    (row,) = hub.rows("SELECT id FROM deliveries WHERE key = :key", key=key)
    with hub.runtime.sessions.begin() as session:
        assert deliveries.replay(session, [row.id])
    hub.work()


def test_nothing_is_read_anew_while_the_code_is_the_same(
    hub: Hub, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(shop, sale(), "1")
    hub.work()

    def refuse(*_: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(deliveries, "read", refuse)
    tell(shop, refund(50_000), "2")
    hub.work()
    assert hub.balance(phone=PHONE) == 5
