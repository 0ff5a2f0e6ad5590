"""A shop merges two of its customers: whatever comes first, the merge or the customers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from hub.canonical import CustomerRef, Line, LineKind, Sale, SaleState
from hub.transactions.codec import sale_to_json
from tests.hubs import Hub, running_hub
from tests.model_shop import CONNECTORS

DOCUMENT = {"earn": {"points": 1, "per": {"VND": "10000"}}}
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        hub.runtime.settings = replace(hub.runtime.settings, connectors=CONNECTORS)
        yield hub


def sale(number: int, customer: CustomerRef) -> dict[str, Any]:
    line = Line("1", LineKind.GOODS, Decimal(1), 100_000, 0, categories=())
    told = Sale(
        f"s{number}", f"s{number}", SaleState.PAID, "VND", (line,), NOON,
        version=1, as_of=NOON, customer=customer,
    )  # fmt: skip
    return {"type": "sale", "sale": sale_to_json(told)}


OLD = sale(1, CustomerRef("old", phones=("+84912345678",)))
NEW = sale(2, CustomerRef("new"))
MERGED = {"type": "merged", "kept": "new", "gone": "old"}


ONE: tuple[list[int], list[str]] = ([20], [])
TWO = ([10, 10], ["merged_by_channel"])
"""Balances and suggestions: once they were two members, only people may say that they are one."""


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ((MERGED, OLD, NEW), ONE),
        ((OLD, MERGED, NEW), ONE),
        ((MERGED, NEW, OLD), TWO),
        ((NEW, MERGED, OLD), TWO),
        ((OLD, NEW, MERGED), TWO),
        ((NEW, OLD, MERGED), TWO),
    ],
)
def test_no_order_loses_the_merge(
    hub: Hub, order: tuple[dict[str, Any], ...], expected: tuple[list[int], list[str]]
) -> None:
    webhook = hub.webhook(hub.add_channel("model_event", {}, "Shop"))
    for number, message in enumerate(order):
        headers = {"key": str(number), "topic": "t"}
        requests.post(webhook, json=message, headers=headers, timeout=10)
        hub.work()
    balances = [row.balance for row in hub.rows("SELECT balance FROM accounts WHERE balance <> 0")]
    suggested = [row.reason for row in hub.rows("SELECT reason FROM merge_suggestions")]
    assert (balances, suggested) == expected
    hub.assert_clean()
