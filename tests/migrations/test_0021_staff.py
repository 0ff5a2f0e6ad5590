"""0021 on a database where a cashier is known: they were so from the beginning, and may now be so until a day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import text

from hub import migrate
from hub.db import make_engine, make_sessions
from hub.members import staff
from tests.people import new_ground


def test_a_cashier_from_before_was_so_from_the_beginning(left_at: Callable[[str], str]) -> None:
    database = left_at("0020")
    engine = make_engine(database)
    with make_sessions(engine)() as session:
        ground = new_ground(session)
        session.execute(
            text(
                """INSERT INTO staff (public_id, program_id, ref, member_id)
                   SELECT 'stf_1', program_id, 'lan', id FROM members WHERE program_id = :program LIMIT 1"""
            ),
            {"program": ground.program},
        )
        session.commit()
    assert "0021" in migrate.upgrade(database)
    with make_sessions(engine).begin() as session:
        assert session.execute(text("SELECT since FROM staff")).scalar_one() is None
        now = datetime(2026, 12, 1, tzinfo=UTC)
        assert staff.drop(session, ground.program, "lan", now)
        row = session.execute(text("SELECT ref, since, until FROM staff_before")).one()
        assert tuple(row) == ("lan", None, now)
        assert not staff.drop(session, ground.program, "lan", now)
    engine.dispose()
