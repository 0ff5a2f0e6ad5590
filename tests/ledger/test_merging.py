"""Members merged and taken apart again: points follow their sales, spends stay (rules.md D8)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from hub.ledger import commands
from hub.ledger.merging import Merge, NotMergeable, Shortfall, merge, unmerge
from tests.ledger.test_book import NOON, assert_clean, balance, command, post, target
from tests.people import KEY, Ground, new_ground, new_member, new_sale


@pytest.fixture
def ground(session: Session) -> Ground:
    return new_ground(session)


@pytest.fixture
def bob(session: Session, ground: Ground) -> int:
    member = new_member(session, ground.program, "Bob")
    session.commit()
    return member


def order(ground: Ground, gone: int, kept: int) -> Merge:
    return Merge(ground.program, gone, kept, "test", KEY)


def do_merge(session: Session, ground: Ground, gone: int, kept: int) -> None:
    merge(session, order(ground, gone, kept))
    session.commit()


def test_points_lots_and_debts_of_both_become_one_book(
    session: Session, ground: Ground, bob: int
) -> None:
    mine, his = new_sale(session, ground, "1"), new_sale(session, ground, "2")
    until = NOON + timedelta(days=3650)
    post(session, ground, target(mine, ground.ann, 100))
    post(session, ground, target(his, bob, 50, expires_at=until))
    commands.hold(session, command(ground, "hold:1", member=bob), 30, "red:1")
    commands.adjust(session, command(ground, "adjust:1", member=bob), 7)
    session.commit()
    do_merge(session, ground, bob, ground.ann)
    assert (balance(session, ground.ann), balance(session, bob)) == (127, 0)
    lots = session.execute(text("SELECT remaining, expires_at FROM lots WHERE remaining > 0 ORDER BY 1"))
    assert [tuple(row) for row in lots] == [(7, None), (20, until), (100, None)]
    assert_clean(session)


def test_a_refund_after_a_merge_takes_the_points_once_from_the_survivor(
    session: Session, ground: Ground, bob: int
) -> None:
    his = new_sale(session, ground, "2")
    post(session, ground, target(his, bob, 50))
    do_merge(session, ground, bob, ground.ann)
    assert post(session, ground, target(his, bob, 50)) == {his: 0}
    post(session, ground, target(his, bob, 20))
    assert (balance(session, ground.ann), balance(session, bob)) == (20, 0)
    assert_clean(session)


def test_an_expired_lot_moves_without_coming_back_to_life(
    session: Session, ground: Ground, bob: int
) -> None:
    his = new_sale(session, ground, "2")
    until = NOON + timedelta(days=1)
    post(session, ground, target(his, bob, 50, expires_at=until), now=NOON)
    commands.settle(session, ground.program, [bob], chain_key=KEY, now=until)
    session.commit()
    do_merge(session, ground, bob, ground.ann)
    assert (balance(session, ground.ann), balance(session, bob)) == (0, 0)
    assert_clean(session)


def test_taken_apart_each_has_the_sales_attributed_to_it(
    session: Session, ground: Ground, bob: int
) -> None:
    mine, his = new_sale(session, ground, "1"), new_sale(session, ground, "2")
    for sale, member in ((mine, ground.ann), (his, bob)):
        session.execute(
            text("UPDATE transactions SET member_id = :m WHERE id = :t"), {"m": member, "t": sale}
        )
    post(session, ground, target(mine, ground.ann, 100))
    post(session, ground, target(his, bob, 50))
    do_merge(session, ground, bob, ground.ann)
    unmerge(session, order(ground, bob, ground.ann))
    session.commit()
    assert (balance(session, ground.ann), balance(session, bob)) == (100, 50)
    assert_clean(session)
    do_merge(session, ground, bob, ground.ann)
    assert (balance(session, ground.ann), balance(session, bob)) == (150, 0)
    assert_clean(session)


def test_a_shortfall_becomes_a_debt_only_when_it_is_accepted(
    session: Session, ground: Ground, bob: int
) -> None:
    his = new_sale(session, ground, "2")
    session.execute(text("UPDATE transactions SET member_id = :m WHERE id = :t"), {"m": bob, "t": his})
    post(session, ground, target(his, bob, 50))
    do_merge(session, ground, bob, ground.ann)
    commands.hold(session, command(ground, "hold:1"), 40, "red:1")
    session.commit()
    with pytest.raises(Shortfall) as short:
        unmerge(session, order(ground, bob, ground.ann))
    session.rollback()
    assert short.value.points == 40
    assert balance(session, ground.ann) == 10
    unmerge(session, order(ground, bob, ground.ann), accept_shortfall=True)
    session.commit()
    assert (balance(session, ground.ann), balance(session, bob)) == (-40, 50)
    assert_clean(session)


def test_merging_twice_or_with_oneself_is_refused(session: Session, ground: Ground, bob: int) -> None:
    with pytest.raises(NotMergeable):
        merge(session, order(ground, bob, bob))
    do_merge(session, ground, bob, ground.ann)
    with pytest.raises(NotMergeable):
        merge(session, order(ground, bob, ground.ann))
