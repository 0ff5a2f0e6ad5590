"""Budgets of campaigns: never overdrawn, whoever comes at once; refunds free them for later orders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.canonical import SaleState
from hub.program import document as documents
from hub.program.document import DocumentRefused
from hub.program.earn import evaluate
from hub.program.rules import Basket, BasketLine, Buyer
from tests import forked
from tests.market import ANN, BOB, NOON, Market, Told, market
from tests.transactions.test_windows import _work

DOCUMENT: dict[str, Any] = {
    "earn": [{"per": {"VND": "10000"}}],
    "multipliers": [{"id": "tet", "factor": "2", "budget": 100, "budget_per_member": 60}],
}
CANCELLED = SaleState.CANCELLED


@pytest.fixture
def place(database: str, redis_url: str, tmp_path: Path) -> Iterator[Market]:
    with market(database, redis_url, tmp_path, DOCUMENT) as opened:
        yield opened


def given(place: Market) -> int:
    """What the campaign has given, as its row and as its uses say."""
    (row,) = place.rows(
        """SELECT b.given, (SELECT coalesce(sum(points), 0) FROM budget_uses WHERE program_id = :program)
                  AS used FROM budgets b WHERE b.program_id = :program"""
    )
    assert row.given == row.used
    return int(row.given)


def phone(number: int) -> str:
    return f"+8491234{number:04}"


def test_a_member_gets_no_more_than_theirs_and_all_no_more_than_all(place: Market) -> None:
    place.sell(Told("a", 500_000, ANN), Told("b", 500_000, ANN, NOON + timedelta(hours=1)))
    assert place.points() == {"a": 100, "b": 60}
    place.sell(Told("c", 500_000, BOB))
    assert place.points() == {"a": 100, "b": 60, "c": 90}
    assert given(place) == 100
    (shown,) = place.rows("SELECT explanation FROM transactions WHERE external_id = 'c'")
    assert [(s["code"], s["points"]) for s in shown.explanation] == [
        ("rate", "50"), ("multiplier", "50"), ("budget", "-10"),
    ]  # fmt: skip
    place.assert_clean()


def test_a_refund_frees_the_budget_for_orders_that_come_later_alone(place: Market) -> None:
    one, two = Told("a", 600_000, ANN), Told("b", 600_000, BOB, NOON + timedelta(hours=1))
    place.sell(one, two)
    assert place.points() == {"a": 120, "b": 100}
    place.sell(replace(one, state=CANCELLED, version=2))
    assert (place.points(), given(place)) == ({"a": 0, "b": 100}, 40)
    place.sell(replace(two, version=2))
    assert place.points()["b"] == 100  # it was credited before, and keeps what it has
    place.sell(Told("c", 300_000, phone(1)))
    assert (place.points()["c"], given(place)) == (60, 70)
    place.assert_clean()


def test_an_order_that_grows_takes_what_is_left_and_a_replay_takes_nothing(place: Market) -> None:
    one, two = Told("a", 200_000, ANN), Told("b", 500_000, BOB, NOON + timedelta(hours=1))
    place.sell(one, two)
    assert (place.points(), given(place)) == ({"a": 40, "b": 100}, 70)
    entries = place.entries()
    place.sell(replace(two, version=2))
    assert (place.entries(), given(place)) == (entries, 70)
    place.sell(replace(one, amount=900_000, version=2))
    assert (place.points()["a"], given(place)) == (90 + 50, 100)
    place.sell(replace(one, amount=100_000, version=3))
    assert (place.points()["a"], given(place)) == (20, 60)
    place.assert_clean()


def test_a_guests_order_reserves_nothing(place: Market) -> None:
    place.sell(Told("a", 500_000, "12"))
    assert place.rows("SELECT 1 FROM budget_uses") == []


def test_a_version_with_another_budget_goes_on_with_what_was_given() -> None:
    of = documents.rules(DOCUMENT, number=1, effective_from=NOON, time_zone="UTC")
    line = BasketLine("goods", 1_005_000, 0, sold=1_005_000)
    judged = evaluate(of, Basket("paid", "VND", (line,)), Buyer(allowed={"tet": 7}))
    assert (judged.points, judged.campaigns) == (108, {"tet": 7})  # 100.5 and 7 of the campaign
    free = evaluate(of, Basket("paid", "VND", (line,)))
    assert free.campaigns == {"tet": 101}  # what is given is never more than what is reserved


@pytest.mark.parametrize("where", ["earn", "multipliers"])
def test_a_rule_with_a_budget_needs_a_name(where: str) -> None:
    document: dict[str, Any] = {"earn": [{"per": {"VND": "10000"}}], "multipliers": [{"factor": "2"}]}
    document[where][0]["budget"] = 5
    with pytest.raises(DocumentRefused, match="a rule with a budget needs an id"):
        documents.check(document)


@pytest.mark.slow
def test_two_processes_at_once_give_exactly_the_budget(place: Market) -> None:
    """Sixty members, each of whom would get ten: there are a hundred."""
    place.tell(*(Told(f"s{n}", 100_000, phone(n)) for n in range(60)))
    small = replace(place.runtime.settings, batch_size=3)
    pipes = [forked.beside(_work, small)[0] for _ in range(2)]
    for _ in range(20):
        for pipe in pipes:
            pipe.send("drain")
        if not sum([pipe.recv() for pipe in pipes]):
            break
        with place.runtime.sessions.begin() as session:
            session.connection().exec_driver_sql(
                "UPDATE deliveries SET due_at = now() WHERE state = 'due'"
            )
    for pipe in pipes:
        pipe.send("end")
    assert given(place) == 100
    assert sorted(place.points().values()) == [10] * 50 + [20] * 10
    place.assert_clean()
