"""A backtest tells what a programme with those rules from the beginning would have given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.canonical import SaleState
from hub.program import document as documents
from hub.program import store
from hub.program.rules import Rules
from hub.sync.ground import ground_of_all
from hub.transactions.backtest import Affected, Backtest, backtest, size
from tests.market import ANN, BOB, EVE, NOON, Market, Told, market, open_market
from tests.pace import paced

PLAIN = {"earn": {"per": {"VND": "10000"}}}
RICH = {
    "earn": [
        {"per": {"VND": "10000"}},
        {"id": "third", "type": "per_order", "points": 30, "every_nth": 3},
    ],
    "multipliers": [{"id": "gold", "factor": "2", "tiers": ["gold"]}],
    "points": {"most_per_day": 120, "most_per_month": 300},
    "tiers": {
        "levels": [
            {"id": "new", "name": "New", "from": "0"},
            {"id": "gold", "name": "Gold", "from": "900000"},
        ],
        "currency": "VND",
    },
}
LATER = NOON + timedelta(days=90)


@pytest.fixture
def place(database: str, redis_url: str, tmp_path: Path) -> Iterator[Market]:
    with market(database, redis_url, tmp_path, PLAIN) as opened:
        yield opened


def rules_of(place: Market, document: Mapping[str, Any]) -> Rules:
    return documents.rules(document, number=0, effective_from=place.program.starts_at, time_zone="UTC")


def run_through(place: Market, document: Mapping[str, Any], *, days: int = 0) -> Backtest:
    """A backtest of the sales placed from so many days after noon on."""
    since = NOON + timedelta(days=days) if days else place.program.starts_at
    seen: list[int] = []
    with place.runtime.sessions() as session:
        program = store.by_id(session, place.program.id)
        ground = ground_of_all(place.runtime, session, program, actor="test")
        found = backtest(
            session, ground, rules_of(place, document), since=since, now=LATER, progress=seen.append
        )
        assert sum(seen) == size(session, program.id, since)
    return found


def test_the_rules_in_force_change_nothing(place: Market) -> None:
    place.sell(Told("a", 600_000), Told("b", 250_000, BOB, shop=1))
    before = place.entries()
    found = run_through(place, PLAIN)
    assert (found.orders, found.changed, found.unjudged) == (2, 0, 0)
    assert (found.points, found.drafted, found.liability, found.drafted_liability) == (85, 85, 85, 85)
    assert (found.members, found.gain, found.lose, found.most) == (2, 0, 0, [])
    assert place.entries() == before


def test_those_most_affected_come_first(place: Market) -> None:
    place.sell(Told("a", 600_000), Told("b", 250_000, BOB), Told("c", 40_000, EVE))
    found = run_through(
        place, {"earn": {"points": 2, "per": {"VND": "10000"}, "minimum": {"VND": "50000"}}}
    )
    assert (found.points, found.drafted, found.gain, found.lose) == (89, 170, 2, 1)
    assert [(m.balance, m.drafted) for m in found.most] == [(60, 120), (25, 50), (4, 0)]
    assert found.most[0].difference == 60
    assert found.most == sorted(found.most, key=_weight)


def _weight(one: Affected) -> tuple[int, str]:
    return -abs(one.difference), one.member


def test_only_sales_since_then_are_judged_and_the_others_keep_what_they_have(place: Market) -> None:
    place.sell(Told("a", 600_000), Told("b", 250_000, at=NOON + timedelta(days=2)))
    found = run_through(place, {"earn": {"points": 3, "per": {"VND": "10000"}}}, days=1)
    assert (found.orders, found.points, found.drafted) == (1, 25, 75)
    assert (found.liability, found.drafted_liability) == (85, 135)


def test_points_that_the_draft_lets_expire_are_no_liability(place: Market) -> None:
    place.sell(Told("a", 600_000))
    found = run_through(place, PLAIN | {"points": {"expire_after_days": 30}})
    assert (found.drafted, found.liability, found.drafted_liability) == (60, 60, 0)


def test_what_waits_for_a_person_is_left_as_it_is(place: Market) -> None:
    place.sell(Told("a", 600_000))
    with place.runtime.sessions.begin() as session:
        session.connection().exec_driver_sql("UPDATE transactions SET review = 'needed'")
    found = run_through(place, {"earn": {"points": 9, "per": {"VND": "10000"}}})
    assert (found.orders, found.unjudged, found.liability, found.drafted_liability) == (0, 1, 60, 60)


@settings(
    max_examples=paced(6, 40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 10**6))
def test_it_is_what_a_programme_with_the_draft_from_the_beginning_gives(
    place: Market, seed: int
) -> None:
    """Tiers, caps over days and months, every third order: one programme lives by plain rules and is
    backtested by rich ones, another lives by the rich ones. Sales come in the order they were placed, as
    the context of late ones is by nature of the order they are told in (rules.md B2)."""
    chance = Random(seed)
    plain, rich = open_market(place.runtime, PLAIN), open_market(place.runtime, RICH)
    told = [
        Told(
            f"s{number}",
            chance.choice([90_000, 300_000, 450_000]),
            chance.choice([ANN, BOB]),
            at=NOON + timedelta(hours=7 * number),
            shop=chance.randrange(2),
        )
        for number in range(10)
    ]
    for one in (plain, rich):
        one.sell(*told)
    found = run_through(plain, RICH)
    assert found.drafted == sum(rich.points().values())
    assert found.drafted_liability == rich.balance(ANN) + rich.balance(BOB)
    assert found.points == sum(plain.points().values())
    same = run_through(rich, RICH)
    assert (same.changed, same.gain, same.lose) == (0, 0, 0)


def test_what_is_cancelled_earns_nothing_in_a_backtest_either(place: Market) -> None:
    place.sell(Told("a", 600_000), Told("a", 600_000, version=2, state=SaleState.CANCELLED))
    found = run_through(place, {"earn": {"points": 9, "per": {"VND": "10000"}}})
    assert (found.drafted, found.drafted_liability) == (0, 0)
