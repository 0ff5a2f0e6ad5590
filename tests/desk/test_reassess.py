"""What sales would have earned had all been told of in their order: shown, and posted on request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.desk import reassess
from hub.desk.place import carry_out
from hub.desk.reassess import Difference
from tests.counter import Counter
from tests.hubs import Hub, running_hub

PHONE = "+84912345678"
DOCUMENT: dict[str, Any] = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "tiers": {
        "currency": "VND",
        "levels": [
            {"id": "member", "name": "Member", "from": 0},
            {"id": "gold", "name": "Gold", "from": "1000000", "multiplier": "2"},
        ],
    },
}


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        yield hub


@pytest.fixture
def late(hub: Hub) -> Counter:
    """A till that tells of the first sale last."""
    till = Counter(hub)
    for number in (2, 3, 1):
        till.sell(number, 1_000_000, f"2026-03-0{number}T05:00:00Z")
        till.work()
    return till


def ask(hub: Hub, *, post: bool) -> list[tuple[str, bool, str | None, str | None, int, int]]:
    with hub.runtime.sessions() as session:
        (member,) = reassess.members(session, hub.program.id)
    deed = reassess.reassess if post else reassess.preview
    found: list[Difference] = carry_out(hub.runtime, hub.program, "test", lambda d: deed(d, member))
    return [(d.number, d.late, d.tier_before, d.tier, d.points_before, d.points) for d in found]


EXPECTED = [
    ("1", True, "member", "member", 100, 100),
    ("2", False, "member", "gold", 100, 200),
]


def test_differences_are_shown_and_nothing_is_changed(hub: Hub, late: Counter) -> None:
    entries = hub.rows("SELECT id FROM entries")
    contexts = hub.rows("SELECT xmin, * FROM sale_contexts ORDER BY transaction_id")
    assert ask(hub, post=False) == EXPECTED
    assert hub.rows("SELECT id FROM entries") == entries
    assert hub.rows("SELECT xmin, * FROM sale_contexts ORDER BY transaction_id") == contexts


def test_they_are_posted_on_request_and_then_nothing_is_late(hub: Hub, late: Counter) -> None:
    assert hub.balance(phone=PHONE) == 400
    assert ask(hub, post=True) == EXPECTED
    assert hub.balance(phone=PHONE) == 500
    assert hub.rows("SELECT 1 FROM sale_contexts WHERE late OR stale") == []
    with hub.runtime.sessions() as session:
        assert reassess.members(session, hub.program.id) == []
    (noted,) = hub.rows("SELECT detail FROM audit WHERE action = 'member.reassessed'")
    assert noted.detail == {"points": 100, "sales": 3}
    hub.assert_clean()


def test_a_second_time_finds_nothing(hub: Hub, late: Counter) -> None:
    (row,) = hub.rows("SELECT id FROM members")
    ask(hub, post=True)
    entries = hub.rows("SELECT id FROM entries")
    assert carry_out(hub.runtime, hub.program, "test", lambda d: reassess.reassess(d, row.id)) == []
    assert hub.rows("SELECT id FROM entries") == entries


def test_sales_before_the_late_one_are_left_alone(hub: Hub) -> None:
    till = Counter(hub)
    for number in (1, 3, 2):
        till.sell(number, 1_000_000, f"2026-03-0{number}T05:00:00Z")
        till.work()
    assert ask(hub, post=True) == [("2", True, "gold", "gold", 200, 200)]
    (noted,) = hub.rows("SELECT detail FROM audit WHERE action = 'member.reassessed'")
    assert noted.detail == {"points": 0, "sales": 2}


def test_a_refund_meanwhile_counts_as_it_is_today(hub: Hub, late: Counter) -> None:
    """The late sale was given back in full: nothing is left that could have made anybody gold."""
    late.take_back(1, 1_000_000)
    late.work()
    assert ask(hub, post=False) == [("1", True, "member", "member", 0, 0)]
