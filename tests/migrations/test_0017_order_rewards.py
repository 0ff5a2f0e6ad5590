"""0017 on a database with sales: none of them has brought anything, and what is noted of them now is due."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from hub import migrate
from hub.bulk import run
from hub.db import make_engine, make_sessions
from hub.transactions import order_rewards
from tests.people import add, new_ground


def test_a_sale_from_before_has_brought_nothing_until_it_is_told_of_again(
    left_at: Callable[[str], str],
) -> None:
    before = left_at("0016")
    engine = make_engine(before)
    with make_sessions(engine)() as session:
        ground = new_ground(session)
        sale = add(
            session, "transactions", public_id="txn_1", program_id=ground.program, channel_id=ground.channel,
            external_id="1", state="paid", member_id=ground.ann, placed_at=datetime(2026, 11, 2, tzinfo=UTC),
        )  # fmt: skip
        session.commit()
    assert "0017" in migrate.upgrade(before)
    with make_sessions(engine).begin() as session:
        assert order_rewards.due(session, 10) == []
        sql = "INSERT INTO order_rewards (transaction_id, reward, wanted) VALUES (:id, 'r', true)"
        run(session, sql, {"id": sale})
        (row,) = order_rewards.due(session, 10)
        assert (row.public_id, row.wanted, row.given, row.is_out) == ("txn_1", True, 0, False)
        order_rewards.done(session, row)
        assert order_rewards.due(session, 10) == []
    engine.dispose()
