"""A coupon that each order brings for the next one: given once, taken back with its order, never sold."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hub.desk import rewards
from hub.desk.place import carry_out
from hub.program import document as documents
from hub.program.document import DocumentRefused
from hub.redemption.limits import NotOffered
from hub.sync.bringing_codes import bring_in_line
from tests.counter import Counter
from tests.histories import count_history
from tests.hubs import Hub, running_hub

NEXT: dict[str, Any] = {
    "id": "next", "name": "Next time", "cost": 0, "percent": "10", "every_order": True, "per_member": 2,
    "order_minimum": {"VND": "50000"},
}  # fmt: skip
DOCUMENT: dict[str, Any] = {"earn": {"points": 1, "per": {"VND": "10000"}}, "rewards": [NEXT]}
BOB = "0912345679"


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        yield hub


@pytest.fixture
def till(hub: Hub) -> Counter:
    return Counter(hub)


def round_(till: Counter) -> list[tuple[str, str]]:
    """Everything sent is worked, the sweeper comes by twice; (order, state of its code) by order."""
    till.work()
    for _ in range(2):
        bring_in_line(till.hub.runtime)
    found = till.hub.rows(
        """SELECT t.number, v.state FROM order_rewards o JOIN transactions t ON t.id = o.transaction_id
           JOIN redemptions r ON r.id = o.redemption_id JOIN vouchers v ON v.redemption_id = r.id
           ORDER BY t.number, r.id"""
    )
    assert till.hub.rows("SELECT 1 FROM order_rewards WHERE due") == []
    return [(row.number, STATES[row.state]) for row in found]


STATES = {"planned": "out", "live": "out", "revoking": "gone", "revoked": "gone", "used": "used"}


def day(number: int) -> str:
    return f"2026-11-{number:02}T03:00:00Z"


def test_each_order_brings_one_up_to_the_limit_and_no_round_brings_another(
    hub: Hub, till: Counter
) -> None:
    for number in (1, 2, 3):
        till.sell(number, 60_000, day(number))
    till.sell(4, 60_000, day(4), phone=BOB)
    till.sell(5, 49_999, day(5), phone=BOB)
    till.sell(6, 60_000, day(6), phone="")
    brought = round_(till)
    assert brought == [("1", "out"), ("2", "out"), ("4", "out")]
    assert round_(till) == brought
    assert len(hub.rows("SELECT 1 FROM vouchers")) == 3
    actors = {row.actor for row in hub.rows("SELECT actor FROM audit WHERE action = 'redemption.made'")}
    assert actors == {"hub:orders"}
    hub.assert_clean()


def test_orders_that_count_history_alone_bring_none_and_what_they_brought_goes(
    hub: Hub, till: Counter
) -> None:
    till.sell(1, 60_000, day(1))
    assert round_(till) == [("1", "out")]
    count_history(hub.runtime, hub.program, until=datetime(2026, 11, 5, tzinfo=UTC))
    till.sell(1, 60_000, day(1))
    till.sell(2, 60_000, day(2), phone=BOB)
    till.sell(3, 60_000, day(6), phone=BOB)
    brought = [("1", "gone"), ("3", "out")]
    assert round_(till) == brought
    assert round_(till) == brought
    hub.assert_clean()


def test_what_is_cancelled_takes_its_code_with_it_and_what_is_paid_again_brings_another(
    hub: Hub, till: Counter
) -> None:
    till.sell(1, 60_000, day(1))
    ((number, _),) = round_(till)
    till.sell(1, 60_000, day(1), state="cancelled")
    assert round_(till) == [(number, "gone")]
    till.sell(1, 60_000, day(1))
    assert round_(till) == [(number, "out")]
    assert len(hub.rows("SELECT 1 FROM vouchers")) == 2
    hub.assert_clean()


def test_a_refund_below_the_minimum_takes_it_and_one_that_leaves_enough_does_not(
    hub: Hub, till: Counter
) -> None:
    till.sell(1, 60_000, day(1))
    till.sell(2, 60_000, day(2), phone=BOB)
    round_(till)
    till.take_back(1, 10_000)
    till.take_back(2, 10_001)
    assert sorted(state for _, state in round_(till)) == ["gone", "out"]
    hub.assert_clean()


def test_an_order_that_came_and_went_before_the_round_brings_none(hub: Hub, till: Counter) -> None:
    till.sell(1, 60_000, day(1))
    till.work()
    till.sell(1, 60_000, day(1), state="cancelled")
    assert round_(till) == []
    assert hub.rows("SELECT 1 FROM vouchers") == []


def test_a_code_that_was_used_stays_used_when_its_order_is_cancelled(hub: Hub, till: Counter) -> None:
    till.sell(1, 60_000, day(1))
    round_(till)
    (code,) = hub.rows("SELECT code FROM vouchers")
    till.sell(2, 10_000, day(2), codes=[code.code])
    till.sell(1, 60_000, day(1), state="cancelled")
    assert [state for _, state in round_(till)] == ["used"]
    hub.assert_clean()


def test_two_sweepers_at_once_give_one_code(hub: Hub, till: Counter) -> None:
    for number in range(1, 5):
        till.sell(number, 60_000, day(number), phone=f"091234567{number}")
    till.work()
    sweepers = [threading.Thread(target=bring_in_line, args=(hub.runtime,)) for _ in range(4)]
    for one in sweepers:
        one.start()
    for one in sweepers:
        one.join()
    round_(till)
    assert len(hub.rows("SELECT 1 FROM vouchers")) == 4
    hub.assert_clean()


def test_nobody_can_ask_for_it(hub: Hub, till: Counter) -> None:
    till.sell(1, 60_000, day(1))
    till.work()
    (ann,) = hub.rows("SELECT id FROM members")

    def ask(desk: Any) -> Any:
        assert rewards.offers(desk, 1000, ann.id) == []
        return rewards.redeem(desk, ann.id, "next", key="k")

    with pytest.raises(NotOffered, match="comes_with_orders"):
        carry_out(hub.runtime, hub.program, "test", ask)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cost": 5}, "what orders bring costs nothing"),
        ({"every_order": False}, "belongs to every_order"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(DocumentRefused, match=said):
        documents.check({**DOCUMENT, "rewards": [{**NEXT, **change}]})
