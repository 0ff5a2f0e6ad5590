"""Which points are spent first, and when idle members lose them: functions of what happened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.canonical import SaleState
from hub.desk import merging
from hub.desk.place import carry_out
from hub.ledger import commands
from hub.ledger.commands import Command
from hub.ledger.lots import Book, Grant, Spend, replay
from hub.ledger.policies import Policies, Policy
from hub.program import store
from tests.market import ANN, BOB, Market, Told, market

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
SAIGON = ZoneInfo("Asia/Ho_Chi_Minh")


def at(month: int, day: int, year: int = 2026) -> datetime:
    return datetime(year, month, day, 12, tzinfo=UTC)


def grant(key: str, amount: int, when: datetime, until: datetime | None = None) -> Grant:
    return Grant(key, amount, when, when, until)


def left(book: Book) -> dict[str, int]:
    return {key: lot.remaining for key, lot in book.lots.items()}


# --- which points first --------------------------------------------------------------------------

LOTS = [grant("old", 10, at(1, 1)), grant("new", 10, at(2, 1), until=at(12, 1))]


def test_earned_first_takes_the_oldest_whatever_expires() -> None:
    policies = Policies((Policy(LONG_AGO, consume="earned"),))
    spend = [Spend("s", 12, at(3, 1))]
    assert left(replay(LOTS, spend, at(4, 1), policies)) == {"old": 0, "new": 8}
    assert left(replay(LOTS, spend, at(4, 1))) == {"old": 8, "new": 0}


def test_each_spend_goes_by_the_policy_of_its_moment() -> None:
    policies = Policies((Policy(at(3, 15), consume="earned"),))
    spends = [Spend("s", 5, at(3, 1)), Spend("t", 5, at(4, 1))]
    assert left(replay(LOTS, spends, at(5, 1), policies)) == {"old": 5, "new": 5}


# --- inactivity ----------------------------------------------------------------------------------


def idle(days: int | None = None, *, year: bool = False, bought: tuple[datetime, ...] = ()) -> Policies:
    return Policies((Policy(LONG_AGO, idle_days=days, idle_year=year),), bought)


def test_all_points_are_lost_after_so_many_days_without_anything() -> None:
    grants = [grant("a", 10, at(1, 1)), grant("b", 10, at(1, 20))]
    assert replay(grants, [], at(2, 18), idle(30)).balance == 20
    gone = replay(grants, [], datetime(2026, 2, 19, tzinfo=UTC), idle(30))
    assert (gone.balance, gone.lots["a"].expired, gone.lots["b"].expired) == (0, 10, 10)


def test_a_purchase_that_earned_nothing_and_a_spend_keep_all_points_alive() -> None:
    grants = [grant("a", 10, at(1, 1))]
    assert replay(grants, [], at(2, 15), idle(30, bought=(at(1, 20),))).balance == 10
    assert replay(grants, [Spend("s", 1, at(1, 20))], at(2, 15), idle(30)).balance == 9
    assert replay(grants, [], at(2, 15), idle(30)).balance == 0


def test_what_comes_after_the_loss_is_not_lost_with_it() -> None:
    grants = [grant("a", 10, at(1, 1)), grant("b", 10, at(6, 1))]
    assert left(replay(grants, [], at(6, 2), idle(30))) == {"a": 0, "b": 10}


def test_a_rule_that_comes_later_counts_from_its_beginning() -> None:
    policies = Policies((Policy(at(6, 1), idle_days=30),))
    grants = [grant("a", 10, at(1, 1))]
    assert replay(grants, [], at(6, 30), policies).balance == 10
    assert replay(grants, [], at(7, 2), policies).balance == 0


def test_points_go_at_the_end_of_a_year_without_a_purchase() -> None:
    grants = [grant("a", 40, at(3, 1, 2025))]
    policies = idle(year=True, bought=(at(3, 1, 2025),))
    assert replay(grants, [], at(1, 1, 2026), policies).balance == 40
    assert replay(grants, [], datetime(2027, 1, 1, tzinfo=UTC), policies).balance == 0
    gift = idle(year=True)
    assert replay(grants, [], at(1, 1, 2026), gift).balance == 0


def test_a_year_is_the_programmes_year() -> None:
    policies = Policies((Policy(LONG_AGO, idle_year=True, time_zone="Asia/Ho_Chi_Minh"),))
    lost = policies.lost_at(datetime(2025, 12, 31, 18, tzinfo=UTC), ())
    assert lost == datetime(2027, 1, 1, tzinfo=SAIGON)  # it was 2026 in Saigon


MOMENTS = st.integers(0, 700).map(lambda day: LONG_AGO + timedelta(days=day))


@given(
    st.lists(MOMENTS, min_size=1, max_size=8), st.lists(MOMENTS, max_size=5), st.integers(5, 90), MOMENTS
)
def test_points_are_there_exactly_while_no_gap_has_passed(
    granted: list[datetime], bought: list[datetime], days: int, now: datetime
) -> None:
    """Told plainly: walk from the grant from one activity to the next."""
    grants = [grant(f"g{n}", 1, when) for n, when in enumerate(granted)]
    book = replay(grants, [], now, idle(days, bought=tuple(sorted(bought))))
    active = sorted({*granted, *bought})
    for one in grants:
        last = one.placed_at
        for moment in [m for m in active if m > last]:
            if moment >= last + timedelta(days=days):
                break
            last = moment
        assert book.lots[one.key].expires_at == last + timedelta(days=days)


# --- through the hub -----------------------------------------------------------------------------

IDLE = {
    "earn": {"per": {"VND": "10000"}, "minimum": {"VND": "50000"}},
    "points": {"expire_after_idle_days": 30},
}


@pytest.fixture
def place(database: str, redis_url: str, tmp_path: Path) -> Iterator[Market]:
    with market(database, redis_url, tmp_path, IDLE) as opened:
        yield opened


def settle(place: Market, now: datetime, *phones: str) -> None:
    with place.runtime.sessions.begin() as session:
        members = [place.member(phone) for phone in phones or (ANN,)]
        commands.settle(session, place.program.id, members, chain_key=place.runtime.chain_key, now=now)


NEWS = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
"""The market's messages are told of now: their sales lie shortly before."""


def ago(days: int) -> datetime:
    return NEWS - timedelta(days=days)


def test_a_bill_without_points_keeps_points_alive_and_its_refund_does_not(place: Market) -> None:
    small = Told("small", 40_000, at=ago(20))
    place.sell(Told("a", 100_000, at=ago(40)))
    assert place.balance() == 0  # thirty days are over
    place.sell(small)
    assert place.balance() == 10  # nobody had been idle so long after all
    place.assert_clean()
    place.sell(replace(small, state=SaleState.CANCELLED, version=2))
    assert place.balance() == 0
    place.assert_clean()


def test_points_of_the_sweeper_go_when_their_time_has_come(place: Market) -> None:
    place.sell(Told("a", 100_000, at=ago(10)))
    (account,) = place.rows("SELECT next_settle_at FROM accounts WHERE balance = 10")
    settle(place, account.next_settle_at - timedelta(seconds=1))
    assert place.balance() == 10
    settle(place, account.next_settle_at)
    assert place.balance() == 0
    place.assert_clean()


def test_what_one_bought_keeps_the_others_points_alive_once_they_are_one(place: Market) -> None:
    place.sell(Told("a", 100_000, at=ago(40)), Told("b", 40_000, BOB, at=ago(20)))
    assert place.balance() == 0
    carry_out(
        place.runtime, place.program, "test",
        lambda desk: merging.merge(desk, place.member(BOB), place.member(ANN)),
    )  # fmt: skip
    assert place.balance() == 10
    place.assert_clean()


def test_a_programme_may_take_up_a_policy_later(database: str, redis_url: str, tmp_path: Path) -> None:
    plain = {"earn": IDLE["earn"]}
    with market(database, redis_url, tmp_path, plain) as place:
        place.sell(Told("a", 100_000, at=ago(40)))
        assert place.balance() == 10
        assert place.rows("SELECT 1 FROM lot_policies") == []
        now = datetime.now(UTC) + timedelta(minutes=1)
        with place.runtime.sessions.begin() as session:
            store.add_version(session, place.program, IDLE, effective_from=now, now=now, actor="test")
        settle(place, now + timedelta(days=29))
        assert place.balance() == 10
        settle(place, now + timedelta(days=31))
        assert place.balance() == 0
        place.assert_clean()


def test_a_redemption_takes_the_oldest_points_where_that_is_the_policy(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    document = {"earn": IDLE["earn"], "points": {"spend_first": "earned"}}
    with market(database, redis_url, tmp_path, document) as place:
        place.sell(Told("a", 100_000, at=ago(9)))
        member, key = place.member(), place.runtime.chain_key
        with place.runtime.sessions.begin() as session:
            gift = Command(place.program.id, member, "gift", "test", key)
            commands.adjust(session, gift, 10, expires_at=datetime.now(UTC) + timedelta(days=1))
            commands.adjust(session, Command(place.program.id, member, "take", "test", key), -10)
        rows = place.rows("SELECT key, remaining FROM lots ORDER BY placed_at")
        assert [row.remaining for row in rows] == [0, 10]
        place.assert_clean()
