"""Posting by target: what is written is the difference, on the right account, once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from hub.ledger import commands
from hub.ledger.book import Target, post_targets
from hub.ledger.commands import Command, NotEnoughPoints
from hub.ledger.verify import verify
from tests.people import KEY, Ground, new_ground, new_member, new_sale

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


@pytest.fixture
def ground(session: Session) -> Ground:
    return new_ground(session)


def target(transaction: int, member: int | None, points: int, **change: Any) -> Target:
    fields: dict[str, Any] = {
        "placed_at": NOON,
        "available_at": NOON,
        "expires_at": None,
        "context": "v1",
        "winners": ("aa",),
    }
    return Target(transaction, member, points, **(fields | change))


def post(
    session: Session, ground: Ground, *targets: Target, now: datetime | None = None
) -> dict[int, int]:
    changes = post_targets(session, ground.program, targets, chain_key=KEY, actor="test", now=now)
    session.commit()
    return changes


def balance(session: Session, member: int) -> int:
    found: int | None = session.execute(
        text("SELECT balance FROM accounts WHERE member_id = :m"), {"m": member}
    ).scalar()
    return found or 0


def command(ground: Ground, reference: str, now: datetime | None = None, member: int = 0) -> Command:
    return Command(ground.program, member or ground.ann, reference, "test", KEY, now)


def assert_clean(session: Session) -> None:
    report = verify(session, KEY)
    assert report.clean, report.findings


def entries(session: Session) -> int:
    count: int = session.execute(text("SELECT count(*) FROM entries")).scalar_one()
    return count


def test_a_sale_earns_its_points_once(session: Session, ground: Ground) -> None:
    sale = new_sale(session, ground, "1")
    assert post(session, ground, target(sale, ground.ann, 100)) == {sale: 100}
    before = entries(session)
    assert post(session, ground, target(sale, ground.ann, 100)) == {sale: 0}
    assert entries(session) == before
    assert balance(session, ground.ann) == 100
    assert_clean(session)


def test_paid_cancelled_paid_again_gives_100_0_100(session: Session, ground: Ground) -> None:
    sale = new_sale(session, ground, "1")
    seen = []
    for points in (100, 0, 100):
        post(session, ground, target(sale, ground.ann, points))
        seen.append(balance(session, ground.ann))
        assert_clean(session)
    assert seen == [100, 0, 100]


def test_a_sale_that_moves_to_another_customer_takes_its_points_along(
    session: Session, ground: Ground
) -> None:
    bob = new_member(session, ground.program, "Bob")
    sale = new_sale(session, ground, "1")
    post(session, ground, target(sale, ground.ann, 100))
    post(session, ground, target(sale, bob, 100))
    assert (balance(session, ground.ann), balance(session, bob)) == (0, 100)
    post(session, ground, target(sale, None, 100))
    assert (balance(session, ground.ann), balance(session, bob)) == (0, 0)
    assert_clean(session)


def test_a_claw_back_of_spent_points_is_a_debt_that_the_next_credit_pays(
    session: Session, ground: Ground
) -> None:
    first, second = new_sale(session, ground, "1"), new_sale(session, ground, "2")
    post(session, ground, target(first, ground.ann, 100))
    commands.hold(session, command(ground, "hold:1"), 80, "red:1")
    post(session, ground, target(first, ground.ann, 0))
    assert balance(session, ground.ann) == -80
    assert_clean(session)
    later = datetime.now(UTC)
    post(session, ground, target(second, ground.ann, 50, placed_at=later, available_at=later))
    assert balance(session, ground.ann) == -30
    open_lots = session.execute(text("SELECT coalesce(sum(remaining), 0) FROM lots")).scalar_one()
    assert open_lots == 0
    assert_clean(session)


def test_forgiven_points_are_no_pump(session: Session, ground: Ground) -> None:
    """C3: cancel and complete in turn, with the policy forgive, must not make points."""
    sale = new_sale(session, ground, "1")
    post(session, ground, target(sale, ground.ann, 100, negative="forgive"))
    commands.hold(session, command(ground, "hold:1"), 60, "red:1")
    session.commit()
    for _ in range(3):
        post(session, ground, target(sale, ground.ann, 0, negative="forgive"))
        assert balance(session, ground.ann) == 0
        assert_clean(session)
        post(session, ground, target(sale, ground.ann, 100, negative="forgive"))
        assert balance(session, ground.ann) == 40
        assert_clean(session)


def test_a_hold_larger_than_the_balance_changes_nothing(session: Session, ground: Ground) -> None:
    sale = new_sale(session, ground, "1")
    post(session, ground, target(sale, ground.ann, 50))
    before = entries(session)
    with pytest.raises(NotEnoughPoints) as refused:
        commands.hold(session, command(ground, "hold:1"), 51, "red:1")
    session.rollback()
    assert (refused.value.needed, refused.value.available) == (51, 50)
    assert entries(session) == before


def test_pending_points_cannot_be_spent_but_are_in_the_balance(session: Session, ground: Ground) -> None:
    sale = new_sale(session, ground, "1")
    later = NOON + timedelta(days=10)
    post(session, ground, target(sale, ground.ann, 50, available_at=later), now=NOON)
    assert balance(session, ground.ann) == 50
    with pytest.raises(NotEnoughPoints) as refused:
        commands.hold(session, command(ground, "hold:1", NOON), 10, "red:1")
    session.rollback()
    assert (refused.value.available, refused.value.pending, refused.value.vests_at) == (0, 50, later)
    assert not commands.hold(session, command(ground, "hold:1", later), 10, "red:1").repeated
    session.commit()
    assert_clean(session)


def test_an_expired_sale_that_is_refunded_takes_nothing_twice(session: Session, ground: Ground) -> None:
    """D2: the points expired; the refund takes back the earning and the expiry with it."""
    sale = new_sale(session, ground, "1")
    until = NOON + timedelta(days=1)
    post(session, ground, target(sale, ground.ann, 100, expires_at=until), now=NOON)
    after = until + timedelta(hours=1)
    commands.settle(session, ground.program, [ground.ann], chain_key=KEY, now=after)
    session.commit()
    assert balance(session, ground.ann) == 0
    post(session, ground, target(sale, ground.ann, 0, expires_at=until), now=after)
    assert balance(session, ground.ann) == 0
    assert_clean(session)
    kinds = session.execute(text("SELECT counter, sum(amount) FROM entries GROUP BY 1 ORDER BY 1")).all()
    assert [tuple(k) for k in kinds] == [("expired", 0), ("issued", 0)]


def test_a_released_hold_goes_back_to_its_lots(session: Session, ground: Ground) -> None:
    sale = new_sale(session, ground, "1")
    post(session, ground, target(sale, ground.ann, 100, expires_at=NOON + timedelta(days=9)), now=NOON)
    commands.hold(session, command(ground, "hold:1", NOON), 60, "red:1")
    commands.give_back(session, command(ground, "release:1", NOON), 60, "red:1", counter="held")
    session.commit()
    lot = session.execute(text("SELECT granted, remaining, expires_at FROM lots")).one()
    assert tuple(lot) == (100, 100, NOON + timedelta(days=9))
    again = commands.give_back(session, command(ground, "release:1", NOON), 60, "red:1", counter="held")
    assert again.repeated
    assert balance(session, ground.ann) == 100
    assert_clean(session)


@pytest.mark.parametrize(
    "statement", ["UPDATE entries SET amount = 1", "DELETE FROM entries", "TRUNCATE entries"]
)
def test_the_hub_cannot_change_an_entry(session: Session, ground: Ground, statement: str) -> None:
    post(session, ground, target(new_sale(session, ground, "1"), ground.ann, 100))
    with pytest.raises(DBAPIError):
        session.execute(text(statement))
