"""0018 on a database with a channel: its memory stays readable, and the hub's role may begin handshakes."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import text

from hub import migrate
from hub.db import make_engine, make_sessions
from tests.people import new_ground


def test_a_channel_from_before_keeps_its_memory_until_it_is_saved_anew(
    left_at: Callable[[str], str],
) -> None:
    database = left_at("0017")
    engine = make_engine(database)
    with make_sessions(engine)() as session:
        ground = new_ground(session)
        session.execute(text("""UPDATE channels SET state = '{"currency": "VND"}'"""))
        session.commit()
    assert "0018" in migrate.upgrade(database)
    with make_sessions(engine).begin() as session:
        row = session.execute(
            text("SELECT state, sealed_state, previous_secret_until FROM channels")
        ).one()
        assert (row.state, bytes(row.sealed_state), row.previous_secret_until) == (
            {"currency": "VND"},
            b"",
            None,
        )
        assert session.execute(text("SELECT forgotten_at FROM members LIMIT 1")).scalar_one() is None
        session.execute(
            text(
                """INSERT INTO handshakes (state_hash, program_id, kind, way, name, sealed, actor, began_at, expires_at)
                   VALUES ('\\x01', :program, 'k', 'w', 'n', '', 'test', now(), now())"""
            ),
            {"program": ground.program},
        )
    engine.dispose()
