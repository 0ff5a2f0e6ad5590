"""The short way of a spend: from the lots as stored, and never where a replay would say something else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from hub.ledger import commands, returning
from hub.ledger import spending as spend
from hub.ledger.commands import Command
from hub.ledger.entry import Draft
from hub.ledger.lots import Book, Grant, Return, Spend, add_last, replay
from hub.ledger.spending import Present
from tests.market import Told
from tests.spending import DOCUMENT, Spending, spending

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAYS = st.integers(0, 20)


def day(number: float) -> datetime:
    return NOON + timedelta(days=number)


@st.composite
def pasts(draw: st.DrawFn) -> tuple[list[Grant], list[Spend]]:
    """What happened to an account until day 20: grants that wait and expire, spends that came back in part."""
    grants = [
        Grant(f"g{n}", draw(st.integers(1, 50)), day(at), day(at + draw(st.integers(0, 9))),
              draw(st.none() | st.integers(at, 45).map(day)))
        for n, at in enumerate(draw(st.lists(DAYS, max_size=6)))
    ]  # fmt: skip
    spends = []
    for n, at in enumerate(draw(st.lists(DAYS, max_size=4))):
        amount = draw(st.integers(1, 40))
        back = draw(st.lists(st.tuples(st.integers(1, 20), st.integers(at, 20)), max_size=2))
        grace = draw(st.none() | st.integers(20, 40).map(day))
        returns = tuple(Return(some, day(when), grace) for some, when in back)
        spends.append(Spend(f"s{n}", amount, day(at), returns))
    return grants, spends


@given(past=pasts(), later=st.integers(0, 10), points=st.integers(1, 80))
def test_d1_a_spend_after_all_else_takes_what_a_replay_of_everything_would_take(
    past: tuple[list[Grant], list[Spend]], later: int, points: int
) -> None:
    grants, spends = past
    now = day(20 + later) + timedelta(hours=1)
    before = replay(grants, spends, now)
    stored = Book({key: replace(lot) for key, lot in before.lots.items() if lot.remaining})
    if before.debt or stored.available(now) < points:
        return  # the short way is not taken
    last = Spend("last", points, now)
    add_last(stored, last)
    whole = replay(grants, [*spends, last], now)
    assert {k: lot.remaining for k, lot in whole.lots.items() if k in stored.lots} == {
        key: lot.remaining for key, lot in stored.lots.items()
    }
    assert sorted(u for u in _uses(whole) if u[1] == "last") == sorted(_uses(stored))
    assert whole.balance == stored.balance


@given(past=pasts(), later=st.integers(0, 10), points=st.integers(1, 80))
def test_d1_the_last_spend_that_came_back_whole_is_as_if_it_had_never_been(
    past: tuple[list[Grant], list[Spend]], later: int, points: int
) -> None:
    """What `hub.ledger.returning` writes: what it used is in its lots again, and nothing else has changed; also where
    more was earned since."""
    grants, spends = past
    at = day(20 + later) + timedelta(hours=1)
    now = at + timedelta(hours=2)
    if replay(grants, spends, at).debt or replay(grants, spends, at).available(at) < points:
        return  # there would be no such hold
    grants = [*grants, Grant("since", 7, at + timedelta(hours=1), at + timedelta(hours=1), None)]
    held = replay(grants, [*spends, Spend("last", points, at)], now)
    back = replay(grants, [*spends, Spend("last", points, at, (Return(points, now),))], now)
    stored = {key: replace(lot) for key, lot in held.lots.items()}
    for use in held.uses:
        if use.spend == "last":
            if stored[use.lot].is_expired(now):
                return  # the long way: it comes back to a lot that has ended
            stored[use.lot].remaining += use.amount
    assert back.lots == stored
    assert sorted(_uses(back)) == sorted(use for use in _uses(held) if use[1] != "last")
    assert (back.debt, held.debt) == (0, 0)


def _uses(book: Book) -> list[tuple[str, str, int]]:
    return [(use.lot, use.spend, use.amount) for use in book.uses]


@pytest.fixture
def rig(database: str, redis_url: str, tmp_path: Path) -> Iterator[Spending]:
    with spending(database, redis_url, tmp_path) as rig:  # the book verifies at the end of each test
        yield rig


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The points that went the short way."""
    went: list[int] = []
    through = spend.take

    def take(session: Session, present: Present, draft: Draft) -> None:
        went.append(-draft.amount)
        through(session, present, draft)

    monkeypatch.setattr(spend, "take", take)
    return went


@pytest.fixture
def back(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The points that came back the short way."""
    went: list[int] = []
    through = returning.give_back

    def give_back(session: Session, present: Present, draft: Draft) -> None:
        went.append(draft.amount)
        through(session, present, draft)

    monkeypatch.setattr(returning, "give_back", give_back)
    return went


def test_holds_one_after_the_other_go_the_short_way(
    rig: Spending, short: list[int], back: list[int]
) -> None:
    rig.gift(30, lives=timedelta(days=9))
    rig.gift(30)
    held = [rig.hold() for _ in range(3)]
    assert (short, [left for left, _ in rig.lots()]) == ([20, 20, 20], [])
    rig.release(held[1].id)  # the third would have been paid by other lots without it: all is replayed
    assert ([left for left, _ in rig.lots()], back) == ([20], [])  # as if it had never been
    rig.hold()
    assert (short, rig.balance()) == ([20, 20, 20, 20], 0)


def test_the_last_hold_comes_back_the_short_way_to_all_its_lots(rig: Spending, back: list[int]) -> None:
    rig.gift(15, lives=timedelta(days=9))
    rig.gift(30)
    before = rig.lots()
    for times in (1, 2):  # once more when it has come back: the second hold is the last then
        held = rig.hold()
        assert [left for left, _ in rig.lots()] == [25]
        rig.market.sell(Told(f"since-{times}", 0))
        rig.release(held.id)
        assert (rig.lots(), rig.balance(), back) == (before, 45, [20] * times)
        assert rig.release(held.id).repeated
    assert (rig.lots(), rig.balance(), back) == (before, 45, [20, 20])


def test_what_was_given_by_hand_since_a_hold_sends_its_return_the_long_way(
    rig: Spending, back: list[int]
) -> None:
    rig.gift(30)
    held = rig.hold()
    rig.gift(5)
    rig.release(held.id)
    assert (rig.balance(), back) == (35, [])


def test_a_hold_comes_back_to_an_account_that_earned_meanwhile(rig: Spending, back: list[int]) -> None:
    rig.gift(30)
    held = rig.hold()
    rig.market.sell(Told("since", 500_000, at=datetime.now(UTC)))
    assert rig.balance() == 60
    rig.release(held.id)
    assert (rig.balance(), sorted(left for left, _ in rig.lots()), back) == (80, [30, 50], [20])


def test_points_that_come_back_to_a_lot_that_has_ended_expire(rig: Spending, back: list[int]) -> None:
    rig.gift(20, lives=timedelta(seconds=0.5))
    held = rig.hold()
    time.sleep(0.6)
    rig.release(held.id)
    assert (rig.balance(), rig.lots(), back) == (0, [], [])


def test_a_lot_of_a_clock_that_is_ahead_is_replayed(rig: Spending, short: list[int]) -> None:
    rig.gift(30)
    rig.market.sell(Told("ahead", 500_000, at=datetime.now(UTC) + timedelta(minutes=4)))
    assert rig.balance() == 80
    rig.hold()
    assert (short, rig.balance()) == ([], 60)


def test_what_has_expired_is_settled_first(rig: Spending, short: list[int]) -> None:
    rig.gift(30, lives=timedelta(seconds=0.2))
    rig.gift(30)
    time.sleep(0.3)
    rig.hold()
    assert (short, rig.balance()) == ([], 10)


def test_where_points_are_lost_by_idleness_all_is_replayed(
    database: str, redis_url: str, tmp_path: Path, short: list[int]
) -> None:
    document = {**DOCUMENT, "points": {"expire_after_idle_days": 30}}
    with spending(database, redis_url, tmp_path, document) as rig:
        rig.gift(30)
        rig.hold()
        assert (short, rig.balance()) == ([], 10)


def test_store_credit_goes_the_short_way_too(rig: Spending, short: list[int]) -> None:
    with rig.runtime.sessions.begin() as session:
        key, member = rig.runtime.chain_key, rig.market.member()
        order = Command(rig.program.id, member, "credit", "test", key, currency="VND")
        commands.adjust(session, order, 50_000)
        order = replace(order, reference="hold:c")
        assert commands.hold(session, order, 20_000, "red:c").available == 30_000
        assert commands.hold(session, order, 20_000, "red:c").repeated
    assert short == [20_000]
