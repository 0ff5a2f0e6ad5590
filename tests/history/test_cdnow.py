"""Eighteen months of a real shop: 69,659 orders of 23,570 customers, whose totals others have counted.

The data set (Fader and Hardie, CDNOW) comes with a package that is installed for its files alone. It has
no order ids: the line's number is one, so lines that are alike are different orders.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest

from hub.outbox.channels import Channel
from hub.program import document as documents
from hub.program import store
from hub.sync import process
from hub.sync.ground import ground_of_all
from hub.sync.receive import Message, insert
from hub.transactions.backtest import backtest, size
from tests import signed
from tests.hubs import START, Hub, running_hub
from tests.pace import paced

MASTER = ("CDNOW_master.txt", "eff6889ed364c5199d6eacbbeb7a6d559971df4406ac876f322c373f00a072ef")
SAMPLE = ("CDNOW_sample.txt", "6fae10155c0b0ba363c2c386e30f77990d22328220efd862a5edd1443420d94a")
DESK = 2_000
"""So many orders of the sample at a desk."""
FLOOR = {"earn": {"points": 1, "per": {"USD": "1"}}, "points": {"rounding": "down"}}
HALF_UP = {"earn": {"points": 1, "per": {"USD": "1"}}}
PUBLISHED = {"orders": 69_659, "members": 23_570, "floor": 2_453_159, "half_up": 2_498_114}
"""Counted by others, for the whole set."""


REPLAYED = """UPDATE deliveries SET state = 'due', due_at = now(), generation = generation + 1
    WHERE direction = 'inbound'"""


@dataclass(frozen=True)
class Order:
    """One line of the file."""

    number: int
    customer: str
    day: str
    dollars: Decimal


def orders(name: str, digest: str) -> list[Order]:
    """The lines of a data set; customer, day and dollars stand in its last columns."""
    files = importlib.metadata.files("lifetimes") or []
    found = next(file for file in files if file.name == name)
    raw = Path(str(found.locate())).read_bytes()
    assert hashlib.sha256(raw).hexdigest() == digest
    rows = [line.split() for line in raw.decode("ascii").splitlines()]
    rows = [row for row in rows if row and row[0].isdecimal()]
    return [Order(n, row[0], row[-3], Decimal(row[-1])) for n, row in enumerate(rows, 1)]


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(
        database, redis_url, tmp_path, document=FLOOR, currency="USD", time_zone="America/New_York"
    ) as hub:
        yield hub


@pytest.fixture
def history(hub: Hub) -> Sequence[Order]:
    """The orders, sold through a till; the program begins before them."""
    with hub.runtime.sessions.begin() as session:
        session.connection().exec_driver_sql("UPDATE programs SET starts_at = '1996-01-01'")
    return orders(*MASTER) if paced(0, 1) else orders(*SAMPLE)[:DESK]


def bring(hub: Hub, till: Channel, bought: Sequence[Order]) -> None:
    messages = [message(till, order) for order in bought]
    for start in range(0, len(messages), 500):
        with hub.runtime.sessions.begin() as session:
            insert(session, messages[start : start + 500])
    process.drain(hub.runtime, seconds=1800)


def message(till: Channel, order: Order) -> Message:
    placed = datetime.strptime(order.day, "%Y%m%d").replace(hour=17, tzinfo=UTC)
    line = {"id": "1", "quantity": 1, "net": str(order.dollars)}
    sale = {
        "type": "hub.sale/1", "id": str(order.number), "version": 1, "state": "paid", "currency": "USD",
        "placed_at": placed.isoformat(), "customer": {"id": order.customer}, "lines": [line],
    }  # fmt: skip
    body = json.dumps(sale).encode()
    return Message(
        till, "hub.sale/1", f"cdnow-{order.number}", "{}", body, hashlib.sha256(body).digest(), START
    )


def counted(bought: Sequence[Order]) -> dict[str, int]:
    """The totals by plain decimals, order by order."""
    return {
        "orders": len(bought),
        "members": len({order.customer for order in bought}),
        "floor": sum(int(order.dollars.to_integral_value(ROUND_FLOOR)) for order in bought),
        "half_up": sum(int(order.dollars.to_integral_value(ROUND_HALF_UP)) for order in bought),
    }


def told(hub: Hub) -> dict[str, int]:
    row = hub.rows(
        """SELECT (SELECT count(*) FROM transactions) AS orders, (SELECT count(*) FROM members) AS members,
                  (SELECT sum(balance) FROM accounts)::bigint AS floor, (SELECT count(*) FROM entries) AS entries"""
    )[0]
    return dict(row._mapping)


@pytest.mark.slow
def test_a_real_history_earns_what_others_have_counted_and_nothing_when_it_comes_again(
    hub: Hub, history: Sequence[Order]
) -> None:
    expected = counted(history)
    assert expected == PUBLISHED or len(history) < PUBLISHED["orders"]
    till = hub.add_channel("generic_pos", signed.SETTINGS["generic_pos"], "Till")
    bring(hub, till, history)
    first = told(hub)
    assert {name: first[name] for name in ("orders", "members", "floor")} == {
        name: expected[name] for name in ("orders", "members", "floor")
    }
    with hub.runtime.sessions.begin() as session:  # a replay of everything
        session.connection().exec_driver_sql(REPLAYED)
    process.drain(hub.runtime, seconds=1800)
    assert told(hub) == first
    hub.assert_clean()
    by_half_up(hub, expected)


def by_half_up(hub: Hub, expected: dict[str, int]) -> None:
    """The other published total comes out of a backtest, which changes nothing."""
    before = told(hub)
    seen: list[int] = []
    rules = documents.rules(HALF_UP, number=0, effective_from=START, time_zone="America/New_York")
    with hub.runtime.sessions() as session:
        program = store.by_id(session, hub.program.id)
        ground = ground_of_all(hub.runtime, session, program, actor="test")
        since = datetime(1996, 1, 1, tzinfo=UTC)
        whole = size(session, program.id, since)
        began = time.monotonic()
        result = backtest(session, ground, rules, since=since, now=START, progress=seen.append)
        print(f"{whole} orders in {time.monotonic() - began:.1f} s")
        later = backtest(session, ground, rules, since=since + timedelta(days=9999), now=START)
    assert (result.orders, result.unjudged, whole) == (expected["orders"], 0, sum(seen))
    assert (result.points, result.drafted) == (expected["floor"], expected["half_up"])
    assert (result.liability, result.drafted_liability) == (expected["floor"], expected["half_up"])
    assert result.members == expected["members"]
    assert (result.lose, len(result.most)) == (0, 20)
    assert later.orders == 0
    assert told(hub) == before
