"""Tiers over random histories: batches do not matter, and reassessing makes order of arrival not matter."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.desk import reassess
from hub.desk.place import carry_out
from hub.program import store
from tests.counter import Counter
from tests.hubs import START, Hub, running_hub
from tests.pace import paced

PHONES = ("0912345678", "0912345679")
FIRST = datetime(2025, 1, 10, 5, tzinfo=UTC)
LEVELS: list[dict[str, Any]] = [
    {"id": "member", "name": "Member", "from": 0},
    {"id": "silver", "name": "Silver", "from": "100", "multiplier": "2"},
    {"id": "gold", "name": "Gold", "from": "400", "multiplier": "3"},
]
LADDERS: dict[str, dict[str, Any]] = {
    "spend": {"currency": "VND"},
    "year": {"currency": "VND", "over": "calendar_year", "drop": "one_step"},
    "rolling": {"currency": "VND", "over": "rolling", "rolling_months": 2, "leave": "at_once"},
    "points": {"by": "points_earned"},
    "entry": {"currency": "VND", "over": "membership_year", "year_from": "entry", "year_days": 40},
}


@dataclass(frozen=True)
class Sold:
    number: int
    phone: str
    amount: int
    day: int

    @property
    def at(self) -> str:
        return (FIRST + timedelta(days=self.day, minutes=self.number)).isoformat()


def document(ladder: str) -> dict[str, Any]:
    return {
        "earn": {"points": 1, "per": {"VND": "1"}},
        "tiers": {**LADDERS[ladder], "levels": LEVELS},
        "segments": [{"id": "regulars", "least_orders": 2, "within_days": 30}],
        "multipliers": [{"factor": "1.5", "segments": ["regulars"]}],
    }


SALES = st.lists(
    st.tuples(st.sampled_from(PHONES), st.integers(1, 300), st.integers(0, 500)), min_size=2, max_size=7
).map(lambda told: [Sold(n, *one) for n, one in enumerate(told)])
_slugs = (f"p{n}" for n in itertools.count())


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path) as hub:
        yield hub


def played(hub: Hub, ladder: str, batches: Sequence[Sequence[Sold]]) -> tuple[Hub, list[Any]]:
    """The points of each sale and the history of each member after these batches, in a program of its own."""
    with hub.runtime.sessions.begin() as session:
        program = store.create(
            session, slug=next(_slugs), name="P", currency="VND", time_zone="Asia/Ho_Chi_Minh", region="VN",
            starts_at=START, document=document(ladder), actor="test",
        )  # fmt: skip
    here = Hub(hub.runtime, program, hub.address)
    till = Counter(here)
    for batch in batches:
        for sold in batch:
            till.sell(sold.number, sold.amount, sold.at, phone=sold.phone)
        till.work()
    return here, seen(here)


def seen(hub: Hub) -> list[Any]:
    ours = {"program": hub.program.id}
    points = hub.rows(
        "SELECT external_id, points FROM transactions WHERE program_id = :program ORDER BY 1", **ours
    )
    history = hub.rows(
        """SELECT i.value, h.at, h.tier, h.why, h.count AS counted FROM tier_history h
           JOIN identities i ON i.member_id = h.member_id
           WHERE h.program_id = :program AND i.kind = 'phone' ORDER BY i.value, h.n""",
        **ours,
    )
    balances = hub.rows(
        """SELECT i.value, a.balance FROM accounts a JOIN identities i ON i.member_id = a.member_id
           WHERE a.program_id = :program AND i.kind = 'phone' ORDER BY 1""",
        **ours,
    )
    return [[tuple(row) for row in rows] for rows in (points, history, balances)]


def in_order(sales: Sequence[Sold]) -> list[Sold]:
    return sorted(sales, key=lambda one: one.at)


@settings(
    max_examples=paced(4, 12), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(sorted(LADDERS)), SALES, st.data())
def test_how_sales_are_put_into_batches_does_not_matter(
    hub: Hub, ladder: str, sales: list[Sold], data: Any
) -> None:
    ordered = in_order(sales)
    cut = data.draw(st.integers(0, len(ordered)))
    _, one_by_one = played(hub, ladder, [[sold] for sold in ordered])
    for batches in ([ordered[:cut], ordered[cut:]], [ordered[::-1]]):
        here, found = played(hub, ladder, batches)
        assert found == one_by_one
        assert (
            here.rows("SELECT 1 FROM sale_contexts WHERE late AND program_id = :p", p=here.program.id)
            == []
        )
    hub.assert_clean()


@settings(
    max_examples=paced(4, 12), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(sorted(LADDERS)), SALES, st.randoms(use_true_random=False))
def test_in_any_order_of_arrival_reassessing_ends_where_order_would_have(
    hub: Hub, ladder: str, sales: list[Sold], dice: Any
) -> None:
    shuffled = list(sales)
    dice.shuffle(shuffled)
    _, ordered = played(hub, ladder, [[sold] for sold in in_order(sales)])
    here, _ = played(hub, ladder, [[sold] for sold in shuffled])
    with hub.runtime.sessions() as session:
        late = reassess.members(session, here.program.id)
    for member in late:
        carry_out(hub.runtime, here.program, "test", partial(reassess.reassess, member_id=member))
    assert seen(here) == ordered
    hub.assert_clean()
