from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from hub.users import sessions, store
from hub.users.store import User
from tests.conftest import Clock


@pytest.fixture
def linh(session: Session) -> User:
    return store.add(
        session, email="linh@example.com", name="Linh", password_hash="x", locale="vi", actor="test"
    )


def test_a_token_names_its_user_and_is_stored_nowhere(
    session: Session, linh: User, clock: Clock
) -> None:
    token = sessions.begin(session, linh, clock())
    assert sessions.user_of(session, token, clock()) == linh
    assert sessions.user_of(session, token + "x", clock()) is None
    assert token not in str(session.connection().exec_driver_sql("SELECT * FROM user_sessions").all())


def test_a_session_that_is_not_used_ends(session: Session, linh: User, clock: Clock) -> None:
    token = sessions.begin(session, linh, clock())
    assert sessions.user_of(session, token, clock.advance(hours=11)) is not None
    assert sessions.user_of(session, token, clock.advance(hours=11)) is not None
    assert sessions.user_of(session, token, clock.advance(hours=12, seconds=1)) is None


def test_a_session_that_is_used_all_the_time_ends_too(
    session: Session, linh: User, clock: Clock
) -> None:
    token, begun = sessions.begin(session, linh, clock()), clock()
    while clock() - begun < sessions.LONGEST:
        assert sessions.user_of(session, token, clock()) is not None
        clock.advance(hours=8)
    assert sessions.user_of(session, token, clock()) is None


def test_a_session_can_be_ended_and_others_go_on(session: Session, linh: User, clock: Clock) -> None:
    one, other = (sessions.begin(session, linh, clock()) for _ in range(2))
    sessions.end(session, one, clock())
    assert sessions.user_of(session, one, clock()) is None
    assert sessions.user_of(session, other, clock()) is not None


@pytest.mark.parametrize("deed", ["password", "disable"])
def test_another_password_and_being_disabled_end_every_session(
    session: Session, linh: User, clock: Clock, deed: str
) -> None:
    tokens = [sessions.begin(session, linh, clock()) for _ in range(2)]
    if deed == "password":
        store.set_password(session, linh, "y", actor="test")
    else:
        store.set_able(session, linh, able=False, actor="test")
        store.set_able(session, linh, able=True, actor="test")
    assert [sessions.user_of(session, token, clock()) for token in tokens] == [None, None]


def test_reading_a_page_again_costs_no_write(session: Session, linh: User, clock: Clock) -> None:
    token = sessions.begin(session, linh, clock())
    sessions.user_of(session, token, clock.advance(seconds=30))
    row = session.connection().exec_driver_sql("SELECT seen_at FROM user_sessions").one()
    assert row.seen_at == clock() - timedelta(seconds=30)
