"""Points that partners pay for: told apart, spent like others, and taken back from their own alone."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from hub.ledger import commands, merging
from hub.ledger.commands import NotEnoughPoints
from hub.ledger.lots import Grant, Spend, payer_key, payer_of, replay
from hub.ledger.merging import Merge
from hub.ledger.verify import verify
from tests.ledger.test_book import balance, command
from tests.people import KEY, Ground, new_ground, new_member

NOON = datetime.fromisoformat("2026-11-02T12:00:00+00:00")


@pytest.fixture
def ground(session: Session) -> Ground:
    return new_ground(session)


def give(
    session: Session, ground: Ground, payer: str | None, points: int, name: str, member: int = 0
) -> None:
    commands.adjust(session, command(ground, name, member=member), points, payer=payer)
    session.commit()


def left(session: Session) -> dict[str | None, int]:
    rows = session.connection().exec_driver_sql("SELECT key, remaining FROM lots").all()
    found: dict[str | None, int] = {}
    for row in rows:
        found[payer_of(row.key)] = found.get(payer_of(row.key), 0) + row.remaining
    return found


def test_a_payer_takes_back_their_own_points_and_no_others(session: Session, ground: Ground) -> None:
    give(session, ground, "Sữa Xanh", 300, "a")
    give(session, ground, None, 500, "b")
    give(session, ground, "Sữa Xanh", -200, "c")
    assert left(session) == {"Sữa Xanh": 100, None: 500}
    with pytest.raises(NotEnoughPoints) as refused:
        give(session, ground, "Sữa Xanh", -101, "d")
    session.rollback()
    assert refused.value.available == 100
    assert balance(session, ground.ann) == 600
    assert verify(session, KEY).clean


def test_a_payer_can_make_nobody_owe_even_where_others_may(session: Session, ground: Ground) -> None:
    give(session, ground, None, 500, "b")
    with pytest.raises(NotEnoughPoints):
        commands.adjust(session, command(ground, "c"), -1, payer="Sữa Xanh", may_owe=True)


def test_a_payers_points_follow_their_member_through_a_merge(session: Session, ground: Ground) -> None:
    bob = new_member(session, ground.program, "Bob")
    give(session, ground, "Sữa Xanh", 300, "a", member=bob)
    merging.merge(session, Merge(ground.program, bob, ground.ann, "test", KEY))
    session.commit()
    give(session, ground, "Sữa Xanh", -300, "b")
    assert balance(session, ground.ann) == 0
    assert verify(session, KEY).clean


def test_what_a_payer_lacks_in_a_replay_is_taken_from_others_before_anybody_owes() -> None:
    """A lot that turned out smaller after the payer had taken from it: debt never stands beside points."""
    mine = Grant(payer_key("p", "1"), 10, NOON, NOON, None)
    other = Grant("sale:1", 50, NOON, NOON, None)
    spend = Spend(payer_key("p", "2"), 30, NOON + timedelta(days=1))
    book = replay([mine, other], [spend], NOON + timedelta(days=2))
    assert (book.debt, book.balance, book.lots["sale:1"].remaining) == (0, 30, 30)
