"""`own_sales = "refuse"`: what a cashier rings up for themselves gives nothing, however the hub came to know it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from hub import alerts, bulk
from hub.desk import merging, telling
from hub.desk.place import Desk
from hub.members import staff
from hub.program import store
from hub.runtime import Runtime
from hub.settings import Settings
from hub.sync import own_sales
from hub.transactions import own_sales as refusing
from tests.market import ANN, BOB, NOON, Market, Told, open_market
from tests.model_shop import CONNECTORS
from tests.pace import paced

EARN = {"per": {"VND": "10000"}}
REFUSE: dict[str, Any] = {"earn": EARN, "till": {"own_sales": "refuse"}}
OWN = Told("own", 200_000, cashier="lan")


@pytest.fixture
def runtime(database: str, redis_url: str, tmp_path: Path) -> Iterator[Runtime]:
    settings = Settings(data=tmp_path, database_url=database, redis_url=redis_url, connectors=CONNECTORS)
    found = Runtime.start(settings)
    yield found
    found.engine.dispose()


def name(market: Market, ref: str = "lan", phone: str = ANN) -> None:
    """Say who a cashier is."""
    with market.runtime.sessions.begin() as session:
        staff.put(session, market.program.id, ref, market.member(phone), market.runtime.clock())


def remove(market: Market, ref: str = "lan", *, mistaken: bool = False) -> None:
    with market.runtime.sessions.begin() as session:
        now = market.runtime.clock()
        assert staff.drop(session, market.program.id, ref, now, mistaken=mistaken)


def told(market: Market) -> list[str]:
    with market.runtime.sessions() as session:
        return telling.sentences(session, alerts.unsettled(session, market.program.id))


def why(market: Market, sale: str = "own") -> Any:
    sql = "SELECT why, explanation FROM transactions WHERE program_id = :program AND external_id = :sale"
    return market.rows(sql, sale=sale)[0]


def test_it_gives_nothing_says_why_and_is_told_once(runtime: Runtime) -> None:
    market = open_market(runtime, REFUSE)
    market.sell(Told("hello", 0))
    name(market)
    market.sell(
        OWN, Told("by-minh", 200_000, cashier="minh"), Told("of-bob", 200_000, BOB, cashier="lan")
    )
    assert market.points() == {"hello": 0, "own": 0, "by-minh": 20, "of-bob": 20}
    assert (why(market).why, why(market).explanation) == (
        "own_sale",
        [{"code": "own_sale", "points": "0"}],
    )
    (order,) = market.rows(
        "SELECT public_id FROM transactions WHERE program_id = :program AND external_id = 'own'"
    )
    for _ in range(2):
        own_sales.look(runtime)
        assert told(market) == [
            f"lan rang up a sale of their own ({order.public_id}); it gave no points."
        ]
    entries = market.entries()
    market.sell(OWN, Told("own", 200_000, version=2, cashier="lan"))
    assert (market.points()["own"], market.entries()) == (0, entries)
    market.assert_clean()


def test_it_brings_no_cashback_and_no_tier_either(runtime: Runtime) -> None:
    tiers = {
        "by": "spend",
        "currency": "VND",
        "levels": [{"id": "gold", "name": "Gold", "from": "100000"}],
    }
    market = open_market(runtime, {**REFUSE, "credit": {"cashback": [{"percent": "5"}]}, "tiers": tiers})
    market.sell(Told("hello", 0))
    name(market)
    credit = "SELECT balance FROM accounts WHERE program_id = :program AND holder_id = :ann"
    tier = "SELECT tier FROM tier_standings WHERE member_id = :ann"
    for sale, balances, stands in (
        (OWN, [], []),
        (Told("b", 200_000, cashier="minh"), [10_000], ["gold"]),
    ):
        market.sell(sale)
        ann = market.member()
        assert [row.balance for row in market.rows(credit, ann=ann)] == balances
        assert [row.tier for row in market.rows(tier, ann=ann) if row.tier] == stands


def test_who_the_cashier_is_may_be_said_first_last_or_between(runtime: Runtime) -> None:
    """Messages and what is known of the staff come in any order: the points are the same."""
    deeds: dict[str, Callable[[Market], None]] = {
        "sale": lambda m: m.sell(OWN),
        "other": lambda m: m.sell(Told("other", 100_000, cashier="minh")),
        "refund": lambda m: m.sell(Told("own", 200_000, version=2, returned=50_000, cashier="lan")),
        "named": name,
    }
    orders = list(permutations(deeds))
    for order in orders[:: paced(6, 1)]:
        market = open_market(runtime, REFUSE)
        market.sell(Told("hello", 0))
        for deed in order:
            deeds[deed](market)
        own_sales.look(runtime)
        assert market.points() == {"hello": 0, "own": 0, "other": 10}, order
        entries = market.entries()
        own_sales.look(runtime)
        assert market.entries() == entries, order
        market.assert_clean()


def test_a_name_that_passes_on_or_ends_leaves_what_was_and_a_mistake_is_put_right(
    runtime: Runtime,
) -> None:
    market = open_market(runtime, REFUSE)
    market.sell(Told("hello", 0), Told("hi", 0, BOB))
    name(market)
    market.sell(OWN)
    own_sales.look(runtime)
    name(market)  # said again: nothing changes
    name(market, phone=BOB)
    later = market.runtime.clock() + timedelta(minutes=1)
    market.sell(
        Told("anns", 100_000, at=later, cashier="lan"),
        Told("bobs", 100_000, BOB, at=later, cashier="lan"),
    )
    own_sales.look(runtime)
    assert market.points() == {"hello": 0, "hi": 0, "own": 0, "anns": 10, "bobs": 0}
    remove(market)
    own_sales.look(runtime)
    assert market.points()["bobs"] == 10, "it is dated after the removal"
    assert market.points()["own"] == 0, "she was the cashier then"
    market.assert_clean()


def test_a_mistake_gives_the_points_back(runtime: Runtime) -> None:
    market = open_market(runtime, REFUSE)
    market.sell(Told("hello", 0))
    name(market)
    market.sell(OWN)
    remove(market, mistaken=True)
    own_sales.look(runtime)
    assert (market.points()["own"], why(market).why) == (20, None)
    assert market.balance() == 20
    market.assert_clean()


def test_a_merge_makes_it_ones_own_and_taking_apart_undoes_that(runtime: Runtime) -> None:
    market = open_market(runtime, REFUSE)
    market.sell(Told("hello", 0), Told("own", 200_000, BOB, cashier="lan"))
    name(market)
    ann, bob = market.member(), market.member(BOB)
    assert market.points()["own"] == 20
    for deed, points in ((merging.merge, 0), (merging.unmerge, 20)):
        with runtime.sessions.begin() as session:
            deed(Desk(runtime, session, market.program, "test"), bob, ann)
        own_sales.look(runtime)
        assert market.points()["own"] == points
        market.assert_clean()


def test_the_rules_of_the_day_of_the_sale_count(runtime: Runtime) -> None:
    market = open_market(runtime, {"earn": EARN})
    market.sell(Told("hello", 0))
    name(market)
    market.sell(OWN)
    with runtime.sessions.begin() as session:
        now = runtime.clock()
        store.add_version(session, market.program, REFUSE, effective_from=now, now=now, actor="test")
    later = market.runtime.clock() + timedelta(minutes=1)
    market.sell(Told("later", 200_000, at=later, cashier="lan"))
    market.sell(Told("own", 200_000, version=2, returned=100_000, cashier="lan"))
    for _ in range(2):
        own_sales.look(runtime)
    assert market.points() == {"hello": 0, "own": 10, "later": 0}
    assert len(told(market)) == 2
    market.assert_clean()


def test_it_does_not_count_as_bought(runtime: Runtime) -> None:
    """The first order is the first that counts, and follows when that changes."""
    earn = [EARN, {"id": "first", "type": "per_order", "points": 100, "orders": [1]}]
    market = open_market(runtime, {**REFUSE, "earn": earn})
    market.sell(OWN, Told("second", 100_000, at=NOON + timedelta(hours=1), cashier="minh"))
    assert market.points() == {"own": 120, "second": 10}
    name(market)
    own_sales.look(runtime)
    assert market.points() == {"own": 0, "second": 110}
    market.assert_clean()


def test_a_programme_that_only_tells_looks_nobody_up(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    really = bulk.run

    def run(session: Session, statement: str, parameters: dict[str, Any]) -> Any:
        asked.append(statement)
        return really(session, statement, parameters)

    monkeypatch.setattr(refusing, "run", run)
    for document, times in (({"earn": EARN}, 0), (REFUSE, 1)):
        market = open_market(runtime, document)
        asked.clear()
        market.sell(OWN)
        assert len(asked) == times
