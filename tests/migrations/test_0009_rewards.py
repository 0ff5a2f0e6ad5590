"""0009 on a database with redemptions: what was bought before stays, and is counted."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import text

from hub import migrate
from hub.db import make_engine, make_sessions
from hub.program.rewards import Reward
from hub.redemption import limits
from tests.people import add, new_ground


def test_redemptions_from_before_count_against_a_stock_that_is_set_after_it(
    left_at: Callable[[str], str],
) -> None:
    before = left_at("0006")
    engine = make_engine(before)
    with make_sessions(engine)() as session:
        ground = new_ground(session)
        account = add(session, "accounts", program_id=ground.program, member_id=ground.ann)
        add(
            session, "redemptions", public_id="red_1", program_id=ground.program, account_id=account,
            member_id=ground.ann, reward="r", reward_terms="{}", points=5, state="committed",
            input_hash="h", actor="test",
        )  # fmt: skip
        session.commit()
    assert "0009" in migrate.upgrade(before)
    with make_sessions(engine)() as session:
        reward = Reward("r", "R", 5, stock=3)
        assert limits.left(session, ground.program, reward) == 2
        limits.lock_stock(session, ground.program, reward)
        assert session.execute(text("SELECT count(*) FROM reward_stock")).scalar_one() == 1
    engine.dispose()
