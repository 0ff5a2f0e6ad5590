"""0003 on the released schema, with people in it: they stay, and the hub's role may use what is new."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import psycopg
import pytest

from hub import migrate
from hub.db import libpq_url, make_engine, make_sessions
from hub.users import first, sessions, store, throttle

NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
ROWS = """
INSERT INTO programs (public_id, slug, name, currency, time_zone, region, starts_at)
VALUES ('prg_1', 'corner', 'Corner', 'VND', 'UTC', 'VN', now());
"""
LINH = "INSERT INTO users (public_id, email, password_hash) VALUES ('usr_1', 'linh@example.com', 'x')"
OWNS = "INSERT INTO memberships (program_id, user_id, role) SELECT p.id, u.id, 'owner' FROM programs p, users u"


@pytest.fixture
def released(left_at: Callable[[str], str]) -> str:
    """The URL of a database as version 0001 left it, with a program."""
    url = left_at("0001")
    with psycopg.connect(libpq_url(url), autocommit=True) as own:
        own.execute(ROWS)
    return url


def test_people_who_are_there_stay_and_can_log_in(released: str) -> None:
    with psycopg.connect(libpq_url(released), autocommit=True) as own:
        own.execute(LINH)
        own.execute(OWNS)
    assert "0003" in migrate.upgrade(released)
    engine = make_engine(released)
    with make_sessions(engine).begin() as session:
        linh = store.by_email(session, "linh@example.com")
        assert linh is not None
        assert [m.role for m in store.memberships(session, linh.id)] == ["owner"]
        assert throttle.admit(session, {throttle.account(linh.email): throttle.ACCOUNT}, NOW) is None
        token = sessions.begin(session, linh, NOW)
        assert sessions.user_of(session, token, NOW) == linh
        sessions.end(session, token, NOW)
        assert first.first_owner(session, locale="en", actor="test") is None, "nobody else is made"
    engine.dispose()


def test_a_hub_that_never_had_users_gets_an_owner_of_its_programs(released: str) -> None:
    migrate.upgrade(released)
    engine = make_engine(released)
    with make_sessions(engine).begin() as session:
        made = first.first_owner(session, locale="vi", actor="test")
        assert made is not None
        assert [m.slug for m in store.memberships(session, made[0].id)] == ["corner"]
    engine.dispose()
