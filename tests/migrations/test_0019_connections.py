"""0019 on a database with channels and messages: each gets a row when the sweeper comes, and what came counts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from hub import migrate
from hub.bulk import run
from hub.db import make_engine, make_sessions
from hub.outbox import connections
from hub.sync import silence
from tests.people import new_ground
from tests.shops import delivery


def test_channels_from_before_are_tended_and_their_messages_count(left_at: Callable[[str], str]) -> None:
    database = left_at("0018")
    engine = make_engine(database)
    came = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=2)
    with make_sessions(engine)() as session:
        ground = new_ground(session)
        for minutes in (0, 0, 7):
            at = came + timedelta(minutes=minutes)
            delivery(session, ground.program, ground.channel, received_at=at)
        delivery(session, ground.program, ground.channel, received_at=came, source="fetch")
        session.commit()
    assert "0019" in migrate.upgrade(database)
    with make_sessions(engine).begin() as session:
        connections.ensure(session)
        assert ground.channel in connections.due(session, datetime.now(UTC))
        assert silence.count(session) == 4
        assert silence.count(session) == 0
        rows = run(session, "SELECT sum(bit_count(minutes)) AS n FROM arrivals")
        assert rows[0].n == 2
    engine.dispose()
