"""0022 on a database where history waits: it is kept, and says of nobody that it is about them."""

from __future__ import annotations

from collections.abc import Callable

from hub import migrate
from hub.bulk import run
from hub.db import make_engine, make_sessions
from tests.people import new_ground
from tests.shops import delivery


def test_history_that_waited_before_is_kept_and_what_is_fetched_now_may_say_whom_it_is_about(
    left_at: Callable[[str], str],
) -> None:
    database = left_at("0021")
    engine = make_engine(database)
    insert = """INSERT INTO backfills (public_id, program_id, channel_id, actor, since, until, counts)
                SELECT 'bfl_1', program_id, id, 'test', now(), now(), 'points' FROM channels WHERE id = :channel
                RETURNING id"""
    with make_sessions(engine)() as session:
        ground = new_ground(session)
        waiting = delivery(session, ground.program, ground.channel, state="waiting", outcome=None)
        backfill = run(session, insert, {"channel": ground.channel})[0].id
        item = "INSERT INTO backfill_items (backfill_id, delivery_id, who) VALUES (:backfill, :delivery, 'ann')"
        run(session, item, {"backfill": backfill, "delivery": waiting})
        session.commit()
    assert migrate.upgrade(database)[0] == "0022"
    with make_sessions(engine).begin() as session:
        kept = run(session, "SELECT who, about FROM backfill_items")
        assert [tuple(row) for row in kept] == [("ann", [])]
        run(session, "UPDATE backfill_items SET about = ARRAY['a digest']")
        about = "SELECT 1 FROM backfill_items WHERE about && ARRAY['a digest', 'another']"
        assert len(run(session, about)) == 1
    engine.dispose()
