"""What a message says, in words: every kind of happening, in both languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from hub import i18n
from hub.canonical import (
    Code,
    Customer,
    CustomerMerged,
    CustomerRef,
    Deleted,
    Happening,
    Ignored,
    Line,
    LineKind,
    Product,
    Refund,
    RefundMoney,
    Sale,
    SaleState,
    Thin,
)
from hub.connector import Inbound
from hub.errors import BadPayload
from hub.outbox.channels import Channel
from hub.runtime import Runtime
from hub.settings import Settings
from hub.sync import explain
from hub.words import WAITING_WORDS

NOW = datetime(2026, 11, 2, 3, 4, 5, tzinfo=UTC)
ANN = CustomerRef("7", phones=("0912345678",), emails=("ann@example.com",), name="Ann")
TEA = Line("1", LineKind.GOODS, Decimal(2), 90_000, 0, name="Trà sen")
SALE = Sale("s1", "#1001", SaleState.PAID, "VND", (TEA,), NOW, 1, NOW, customer=ANN, codes=("HUB-1",))
MONEY = (RefundMoney("pending", 50_000, "VND"), RefundMoney("failed", 1_000, "VND"))
CHANNEL = Channel(
    1,
    "chn_1",
    1,
    "generic_pos",
    "Till",
    "t",
    "{}",
    b"",
    "active",
    False,
    "VND",
    "Asia/Ho_Chi_Minh",
    "VN",
)
HAPPENINGS: Sequence[tuple[Happening, str, tuple[str, ...]]] = (
    (SALE, "Order #1001", ("Paid", "₫90,000", "HUB-1", "2 × Trà sen", "0912345678", "ann@example.com")),
    (
        Refund("r1", "s1", 1, NOW, money=MONEY),
        "Refund r1",
        ("₫50,000 (on its way back)", "it does not count"),
    ),
    (Customer(ANN, 1, NOW), "Customer", ("Ann", "0912345678", "7")),
    (CustomerMerged("8", "7", NOW), "Two customers became one", ("7 → 8",)),
    (
        Code("HUB-1", "c1", "deleted", active=False),
        "Discount code",
        ("HUB-1", "Deleted in the shop", "no"),
    ),
    (Product("p1", "TEA", ("Drinks", "Hot")), "Product", ("p1", "Drinks, Hot")),
    (Deleted("refund", "s1/r1", True), "Deleted in the shop", ("s1/r1",)),
    (Thin("sale", "s1"), "Only a hint; the shop is asked for the rest", ("s1",)),
    (Ignored("test_order"), "Nothing to do", ("A test order earns nothing.",)),
)


class Told:
    """A connector that has understood already."""

    words: Mapping[str, str] = MappingProxyType({})

    def __init__(self, happenings: Sequence[Happening]) -> None:
        self.happenings = happenings

    def normalise(self, _inbound: Inbound) -> Sequence[Happening]:
        return self.happenings


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Runtime:
    return Runtime.start(Settings(data=tmp_path, database_url=database, redis_url=redis_url))


def understood(
    hub: Runtime, monkeypatch: pytest.MonkeyPatch, *happenings: Happening
) -> explain.Understanding:
    monkeypatch.setattr("hub.outbox.channels.connector_of", lambda *_: Told(happenings))
    return explain.understand(hub, CHANNEL, Inbound("t", {}, b"", NOW))


@pytest.mark.parametrize(
    ("happening", "title", "facts"), HAPPENINGS, ids=lambda v: getattr(v, "kind", "")
)
def test_each_happening_is_told(
    hub: Runtime,
    monkeypatch: pytest.MonkeyPatch,
    happening: Happening,
    title: str,
    facts: tuple[str, ...],
) -> None:
    (said,) = understood(hub, monkeypatch, happening).said
    told = " | ".join(value for _, value in said.facts)
    assert said.title == title
    for fact in facts:
        assert fact in told
    with i18n.speaking("vi"):
        (other,) = understood(hub, monkeypatch, happening).said
    assert other.title != title
    assert len(other.facts) == len(said.facts)


def test_the_sales_a_message_is_about_are_named(hub: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    found = understood(hub, monkeypatch, *(h for h, *_ in HAPPENINGS), Deleted("sale", "s9", True))
    assert found.sales == ["s1", "s9"]


def test_what_cannot_be_understood_says_why(hub: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise BadPayload("invalid_field", "is missing", path="$.currency")

    monkeypatch.setattr("hub.outbox.channels.connector_of", fail)
    found = explain.understand(hub, CHANNEL, Inbound("t", {}, b"", NOW))
    assert (found.code, found.fault, found.detail) == (
        "invalid_field",
        "payload",
        "$.currency: is missing",
    )


@pytest.mark.parametrize("reason", sorted(WAITING_WORDS))
def test_whatever_a_message_waits_for_has_a_next_step(reason: str) -> None:
    row = {
        "state": "waiting",
        "reason": reason,
        "direction": "inbound",
        "channel_status": "active",
        "code": None,
    }
    assert explain._step(row) == reason


@pytest.mark.parametrize(
    ("row", "step"),
    [
        ({"state": "failed", "fault": "payload", "code": "x"}, "payload"),
        ({"state": "parked", "fault": "channel", "code": "conflict"}, "conflict"),
        ({"state": "failed", "fault": "hub", "code": "refused_it", "direction": "outbound"}, "refused"),
        ({"state": "failed", "fault": "hub", "code": "unexpected", "direction": "outbound"}, "hub"),
        ({"state": "parked", "fault": "hub", "code": "unexpected"}, "hub"),
        ({"state": "due", "code": "http_503"}, "retried"),
        ({"state": "due", "code": None}, "due"),
        ({"state": "due", "code": None, "direction": "outbound", "channel_status": "paused"}, "paused"),
        ({"state": "done", "code": None}, "done"),
        ({"state": "settled", "code": "x"}, "settled"),
        ({"state": "working", "code": None}, "working"),
    ],
)
def test_every_state_says_what_to_press(row: dict[str, Any], step: str) -> None:
    given = {"direction": "inbound", "channel_status": "active", "reason": None, "fault": None} | row
    assert explain._step(given) == step
    assert explain.next_step(given)
