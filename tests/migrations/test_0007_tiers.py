"""0007 on the schema before it, with a sale in it: the sale stays, and the hub's role may store who bought."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hub import migrate
from hub.db import make_engine, make_sessions
from tests import people


@pytest.fixture
def before(left_at: Callable[[str], str]) -> str:
    """The URL of a database as version 0006 left it."""
    return left_at("0006")


def test_a_sale_that_is_there_stays_and_may_get_its_context(before: str) -> None:
    engine = make_engine(before)
    sessions = make_sessions(engine)
    with sessions() as session:
        ground = people.new_ground(session)
        sale = people.new_sale(session, ground, "o1")
        session.commit()
    assert "0007" in migrate.upgrade(before)
    with sessions.begin() as session:
        session.connection().exec_driver_sql(
            f"""INSERT INTO sale_contexts (program_id, transaction_id, member_id, segments, birthday, late, resolved_at)
                VALUES ({ground.program}, {sale}, {ground.ann}, '{{}}', '{{month}}', false, now())"""
        )
        found = session.connection().exec_driver_sql(
            "SELECT t.external_id, c.birthday FROM transactions t JOIN sale_contexts c ON c.transaction_id = t.id"
        )
        assert [tuple(row) for row in found] == [("o1", ["month"])]
    engine.dispose()
