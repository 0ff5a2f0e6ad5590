"""0020 on a database with channels and messages: nobody has said what their history counts for."""

from __future__ import annotations

from collections.abc import Callable

from hub import migrate
from hub.bulk import run
from hub.db import make_engine, make_sessions
from hub.outbox import channels
from hub.sync.ground import history_of
from tests.people import new_ground


def test_channels_from_before_have_no_history_and_one_backfill_at_a_time(
    left_at: Callable[[str], str],
) -> None:
    database = left_at("0019")
    engine = make_engine(database)
    with make_sessions(engine).begin() as session:
        ground = new_ground(session)
    assert "0020" in migrate.upgrade(database)
    insert = """INSERT INTO backfills (public_id, program_id, channel_id, actor, since, until, counts)
                SELECT :id, program_id, id, 'test', now(), now(), 'points' FROM channels WHERE id = :channel"""
    with make_sessions(engine).begin() as session:
        channel = channels.by_ids(session, [ground.channel])[ground.channel]
        assert history_of(channel) is None
        run(session, f"{insert} RETURNING id", {"id": "bfl_1", "channel": ground.channel})
        again = f"{insert} ON CONFLICT (channel_id) WHERE state NOT IN ('done', 'stopped') DO NOTHING RETURNING id"
        assert run(session, again, {"id": "bfl_2", "channel": ground.channel}) == []
    engine.dispose()
