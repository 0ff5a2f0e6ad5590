"""0008 on a database of the release before, with members and entries in it, and after a broken-off run."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from hub import migrate
from hub.actions.record import Deed, record_action
from hub.db import libpq_url, make_engine, make_sessions
from hub.ledger import commands
from hub.ledger.commands import Command
from hub.ledger.verify import verify
from hub.program import document as documents
from tests.market import NOON
from tests.people import KEY, new_ground

DOCUMENT = {
    "earn": {"per": {"VND": "10000"}},
    "actions": [{"id": "review", "points": 20}],
}


@pytest.fixture
def before(left_at: Callable[[str], str]) -> str:
    """The URL of a database as the migration before left it."""
    return left_at("0007")


def test_a_member_from_before_earns_by_an_action_after_it(before: str) -> None:
    engine = make_engine(before)
    sessions = make_sessions(engine)
    with sessions.begin() as session:
        ground = new_ground(session)
    assert "0008" in migrate.upgrade(before)
    with sessions.begin() as session:  # today's commands need today's schema
        order = Command(ground.program, ground.ann, "start", "test", KEY)
        commands.adjust(session, order, 7)
    rules = documents.rules(DOCUMENT, number=1, effective_from=NOON, time_zone="UTC")
    with sessions.begin() as session:
        deed = Deed(ground.program, ground.ann, "review", "k", NOON, "test", KEY)
        assert record_action(session, deed, rules).points == 20
    with sessions() as session:
        assert verify(session, KEY).clean
    engine.dispose()


def test_an_index_that_a_broken_off_run_left_half_built_is_made_anew(before: str) -> None:
    with psycopg.connect(libpq_url(before), autocommit=True) as owner:
        owner.execute("CREATE INDEX members_by_arrival ON members (id)")
    migrate.upgrade(before)
    with psycopg.connect(libpq_url(before)) as connection:
        row = connection.execute(
            "SELECT indexdef FROM pg_indexes WHERE indexname = 'members_by_arrival'"
        ).fetchone()
    assert row is not None
    assert "created_at" in row[0]
