"""Statements go straight through the driver, and errors and lost connections are SQLAlchemy's all the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from hub.bulk import run
from hub.db import make_engine, make_looks, make_sessions

PID = "SELECT pg_backend_pid() AS pid"


@pytest.fixture
def web(database: str) -> Iterator[Engine]:
    engine = make_engine(database, "web")
    yield engine
    engine.dispose()


@pytest.fixture
def sessions(web: Engine) -> sessionmaker[Session]:
    return make_sessions(web)


def test_rows_have_names_places_and_a_mapping(sessions: sessionmaker[Session]) -> None:
    sql = "SELECT CAST(:n AS bigint) AS n, 'x' AS word, CAST('{\"a\": [1]}' AS jsonb) AS \"two words\", '50%' AS p"
    with sessions() as session:
        (row,) = run(session, sql, {"n": 7})
        assert (row.n, list(row)[1], row._mapping["two words"], row.p) == (7, "x", {"a": [1]}, "50%")
        assert [
            r.n for r in run(session, "SELECT n FROM unnest(CAST(:of AS bigint[])) AS n", {"of": [3, 4]})
        ] == [3, 4]
        assert run(session, "SELECT 1 WHERE false") == []
        assert run(session, "SET LOCAL work_mem = '5MB'") == []


def test_what_the_database_refuses_is_an_error_of_sqlalchemy(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        with pytest.raises(IntegrityError) as caught, session.begin_nested():
            run(
                session,
                "INSERT INTO audit (actor, action, subject, detail) VALUES (:who, NULL, '', '{}')",
                {"who": "Ann"},
            )
        assert "parameters hidden" in str(caught.value)  # they are people's data, and errors end in logs
        assert run(session, "SELECT 1 AS one")[0].one == 1  # the savepoint kept the transaction


def test_a_database_that_only_reads_counts_as_away(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        run(session, "SET TRANSACTION READ ONLY")
        with pytest.raises(OperationalError, match="read-only"):
            run(session, "UPDATE programs SET name = name")


def test_a_connection_that_was_ended_leaves_the_pool(
    database: str, web: Engine, sessions: sessionmaker[Session]
) -> None:
    owner = make_engine(database, role=None)
    with sessions() as session, sessions() as idle, make_sessions(owner)() as ending:
        gone, before = run(session, PID)[0].pid, run(idle, PID)[0].pid
        run(ending, "SELECT pg_terminate_backend(:pid)", {"pid": gone})
        with pytest.raises(OperationalError) as caught:
            run(session, PID)
    owner.dispose()
    assert caught.value.connection_invalidated
    with sessions() as session, sessions() as other:  # what was opened before is given up too
        assert {run(session, PID)[0].pid, run(other, PID)[0].pid} & {gone, before} == set()


def test_a_look_begins_no_transaction(web: Engine) -> None:
    with make_looks(web)() as session:
        first = run(session, "SELECT now() AS at, pg_current_xact_id_if_assigned() AS xact")[0]
        assert first.xact is None
        assert run(session, "SELECT now() AS at")[0].at > first.at
