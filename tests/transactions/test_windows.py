"""Caps and ordinals are targets over a member's sales: whatever the order of arrival, the same points."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.canonical import SaleState
from hub.desk import merging
from hub.desk.place import Desk, carry_out
from hub.runtime import Runtime
from hub.settings import Settings
from hub.sync import process
from hub.transactions import windows
from tests import forked
from tests.market import ANN, BOB, NOON, Market, Told, market, open_market
from tests.pace import paced

DOCUMENT = {
    "earn": [
        {"per": {"VND": "10000"}},
        {"id": "first", "type": "per_order", "points": 50, "orders": [1]},
        {"id": "third", "type": "per_order", "points": 30, "every_nth": 3},
    ],
    "points": {"most_per_day": 100, "most_per_month": 250, "most_per_member": 400},
}
PAID, CANCELLED = SaleState.PAID, SaleState.CANCELLED


@pytest.fixture
def place(database: str, redis_url: str, tmp_path: Path) -> Iterator[Market]:
    with market(database, redis_url, tmp_path, DOCUMENT) as opened:
        yield opened


def expected(sales: Sequence[Told]) -> dict[str, int]:
    """The rules told plainly, for one member's sales in their final states."""
    points, count = {}, 0
    sums: dict[Any, int] = defaultdict(int)
    for sale in sorted(sales, key=lambda s: (s.at, s.shop, s.name)):
        points[sale.name] = 0
        if sale.state is not PAID:
            continue
        count += 1
        worth = sale.amount // 10_000 + (50 if count == 1 else 0) + (30 if count % 3 == 0 else 0)
        caps = {"ever": 400, sale.at.strftime("%Y-%m"): 250, sale.at.strftime("%Y-%m-%d"): 100}
        points[sale.name] = min(worth, *(most - sums[w] for w, most in caps.items()))
        for window in caps:
            sums[window] += points[sale.name]
    return points


# --- one after the other -------------------------------------------------------------------------


def test_a_day_is_capped_and_a_cancelled_order_frees_what_the_cap_had_cut(place: Market) -> None:
    one, two, three = (
        Told(name, 600_000, at=NOON + timedelta(minutes=n)) for n, name in enumerate("abc")
    )
    place.sell(one, two, three)
    assert place.points() == {"a": 100, "b": 0, "c": 0}  # 60 and 50 for the first order, cut
    place.sell(replace(one, state=CANCELLED, version=2))
    assert place.points() == {"a": 0, "b": 100, "c": 0}
    place.sell(replace(two, state=CANCELLED, version=2))
    assert place.points() == {"a": 0, "b": 0, "c": 100}
    place.sell(replace(one, version=3))
    assert place.points() == {"a": 100, "b": 0, "c": 0}
    place.assert_clean()


def test_an_order_told_of_late_takes_its_place_and_a_replay_changes_nothing(place: Market) -> None:
    place.sell(Told("b", 100_000, at=NOON), Told("c", 100_000, at=NOON + timedelta(days=1)))
    assert place.points() == {"b": 60, "c": 10}
    place.sell(Told("a", 100_000, at=NOON - timedelta(days=1), shop=1))
    assert place.points() == {"a": 60, "b": 10, "c": 40}  # c is the third now
    entries = place.entries()
    place.sell(Told("a", 100_000, at=NOON - timedelta(days=1), shop=1, version=2))
    assert place.entries() == entries
    (shown,) = place.rows("SELECT explanation FROM transactions WHERE external_id = 'b'")
    assert [step["code"] for step in shown.explanation] == ["rate"]
    place.assert_clean()


def test_a_sale_that_turns_out_to_be_somebody_elses_frees_its_place(place: Market) -> None:
    place.sell(Told("a", 100_000), Told("b", 100_000, at=NOON + timedelta(days=1)))
    assert place.points() == {"a": 60, "b": 10}
    place.sell(Told("a", 100_000, BOB, version=2))
    assert place.points() == {"a": 60, "b": 60}
    assert (place.balance(ANN), place.balance(BOB)) == (60, 60)
    place.assert_clean()


def test_two_members_who_become_one_have_one_cap_and_taken_apart_two_again(place: Market) -> None:
    place.sell(Told("a", 900_000), Told("b", 900_000, BOB, at=NOON + timedelta(minutes=1)))
    assert place.points() == {"a": 100, "b": 100}
    ann, bob = place.member(ANN), place.member(BOB)

    def do(deed: Any) -> None:
        carry_out(place.runtime, place.program, "test", deed)

    def join(desk: Desk) -> None:
        merging.merge(desk, bob, ann)

    def part(desk: Desk) -> None:
        merging.unmerge(desk, bob, ann)

    do(join)
    assert (place.points(), place.balance()) == ({"a": 100, "b": 0}, 100)
    place.assert_clean()
    do(part)
    assert (place.points(), place.balance(ANN), place.balance(BOB)) == ({"a": 100, "b": 100}, 100, 100)
    place.assert_clean()


def test_a_sale_that_comes_between_gathering_and_locking_is_judged_too(
    place: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker credits a later sale after this batch has looked for those that follow its own."""
    came: list[str] = []
    gather = windows.followers

    def gather_slowly(*args: Any) -> Any:
        found = gather(*args)
        if not came:
            came.append("b")
            place.sell(Told("b", 600_000, at=NOON))
        return found

    monkeypatch.setattr(windows, "followers", gather_slowly)
    place.sell(Told("a", 600_000, at=NOON - timedelta(hours=1)))
    assert place.points() == {"a": 100, "b": 0}
    place.assert_clean()


# --- in any order --------------------------------------------------------------------------------

SALE = st.builds(
    Told,
    name=st.just(""),
    amount=st.sampled_from([50_000, 400_000, 900_000]),
    phone=st.sampled_from([ANN, ANN, BOB]),
    at=st.integers(0, 200).map(lambda hours: NOON - timedelta(hours=6 * hours)),
    shop=st.integers(0, 1),
)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Told], list[Told], int]:
    """Messages in the order in which they come, the final states, and how many come at once."""
    sales = [
        replace(sale, name=f"s{n}")
        for n, sale in enumerate(draw(st.lists(SALE, min_size=1, max_size=7)))
    ]
    messages, ends = [], []
    for sale in sales:
        states = draw(st.lists(st.sampled_from([PAID, CANCELLED]), max_size=2))
        lives = [sale, *(replace(sale, state=s, version=n) for n, s in enumerate(states, 2))]
        messages += lives
        ends.append(lives[-1])
    return draw(st.permutations(messages)), ends, draw(st.integers(1, 4))


@settings(
    max_examples=paced(8, 40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(histories())
@pytest.mark.slow
def test_any_order_of_arrival_ends_with_the_same_capped_points(
    place: Market, history: tuple[list[Told], list[Told], int]
) -> None:
    messages, ends, at_once = history
    here = open_market(place.runtime, DOCUMENT)
    for start in range(0, len(messages), at_once):
        here.tell(*messages[start : start + at_once])
        here.work()
    wanted: dict[str, int] = {}
    for phone in (ANN, BOB):
        wanted |= expected([sale for sale in ends if sale.phone == phone])
    assert here.points() == wanted
    here.assert_clean()


CLIMBING: dict[str, Any] = {
    "earn": [{"per": {"VND": "10000"}}],
    "multipliers": [{"id": "gold", "factor": "2", "tiers": ["gold"]}],
    "points": {"most_per_day": 50},
    "tiers": {
        "by": "points_earned",
        "levels": [
            {"id": "member", "name": "Member", "from": "0"},
            {"id": "gold", "name": "Gold", "from": "100"},
        ],
    },
}


def test_a_tier_by_points_counts_what_the_cap_lets_through_at_once_or_one_by_one(place: Market) -> None:
    """Forty twice a day are capped to fifty: a hundred are reached with the fourth sale, not the third."""
    sales = [Told(f"s{n}", 400_000, at=NOON - timedelta(hours=60 - 12 * n)) for n in range(5)]
    slowly, at_once = open_market(place.runtime, CLIMBING), open_market(place.runtime, CLIMBING)
    slowly.sell(*sales)
    at_once.tell(*sales)
    at_once.work()
    for here in (slowly, at_once):
        tiers = here.rows(
            """SELECT c.tier FROM sale_contexts c JOIN transactions t ON t.id = c.transaction_id
               WHERE t.program_id = :program ORDER BY t.placed_at"""
        )
        assert [row.tier for row in tiers] == ["member", "member", "member", "member", "gold"]
        assert here.points() == {"s0": 40, "s1": 10, "s2": 40, "s3": 10, "s4": 50}
        here.assert_clean()


# --- raced ---------------------------------------------------------------------------------------


def _work(settings_: Settings, orders: Connection) -> None:
    """A worker process: drains when it is told to."""
    runtime = Runtime.start(settings_, "worker")
    while orders.recv() == "drain":
        orders.send(process.drain(runtime, seconds=60))
    runtime.engine.dispose()


@pytest.mark.slow
def test_two_workers_at_once_agree_with_one_after_the_other(place: Market) -> None:
    """Forty sales and their cancellations of one member, small batches: both take turns at one account."""
    chance = random.Random(7)
    sales = [
        Told(f"s{n}", chance.choice([50_000, 400_000]), at=NOON - timedelta(hours=7 * n), shop=n % 2)
        for n in range(40)
    ]
    gone = [replace(s, state=CANCELLED, version=2) for s in sales[::3]]
    messages = [*sales, *gone]
    chance.shuffle(messages)
    small = replace(place.runtime.settings, batch_size=5)
    pipes = [forked.beside(_work, small)[0] for _ in range(2)]
    place.tell(*messages)
    for _ in range(20):  # what was handed back is due a little later
        for pipe in pipes:
            pipe.send("drain")
        if not sum([pipe.recv() for pipe in pipes]):
            waiting = place.rows(
                "SELECT 1 FROM deliveries WHERE state = 'due' AND direction = 'inbound'"
            )
            if not waiting:
                break
            with place.runtime.sessions.begin() as session:
                session.connection().exec_driver_sql(
                    "UPDATE deliveries SET due_at = now() WHERE state = 'due'"
                )
    for pipe in pipes:
        pipe.send("end")
    ends = {s.name: s for s in sales} | {s.name: s for s in gone}
    assert place.points() == expected(list(ends.values()))
    place.assert_clean()
