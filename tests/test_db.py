from __future__ import annotations

import time

import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from hub.db import BadDatabaseUrl, Process, database_url, libpq_url, make_engine


def test_a_process_runs_as_a_role_that_owns_nothing(engine: Engine) -> None:
    with engine.connect() as connection:
        assert connection.execute(text("SELECT current_user")).scalar_one() == "hub_app"
        owned = "SELECT count(*) FROM pg_class WHERE relowner = 'hub_app'::regrole"
        assert connection.execute(text(owned)).scalar_one() == 0


def test_resetting_the_role_does_not_make_a_process_the_owner(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("RESET ROLE"))
        assert connection.execute(text("SELECT current_user")).scalar_one() == "hub_app"


@pytest.mark.parametrize(("process", "statement"), [("web", "6s"), ("worker", "1min")])
def test_each_kind_of_process_has_its_own_patience(
    database: str, process: Process, statement: str
) -> None:
    engine = make_engine(database, process)
    names = ("TimeZone", "statement_timeout", "application_name")
    with engine.connect() as connection:
        shown = [connection.execute(text(f"SHOW {name}")).scalar_one() for name in names]
    engine.dispose()
    assert shown == ["UTC", statement, f"hub {process}"]


def test_a_web_request_gives_up_on_a_lock_before_the_platform_gives_up(database: str) -> None:
    engine = make_engine(database, "web")
    with engine.connect() as first, engine.connect() as second:
        first.execute(text("SELECT pg_advisory_xact_lock(1)"))
        with pytest.raises(OperationalError, match="lock timeout"):
            second.execute(text("SELECT pg_advisory_xact_lock(1)"))
    engine.dispose()


def test_options_of_the_url_are_kept_beside_ours(database: str) -> None:
    engine = make_engine(database + "&options=-c%20work_mem%3D5MB")
    with engine.connect() as connection:
        shown = connection.execute(text("SELECT current_setting('work_mem'), current_user")).one()
    engine.dispose()
    assert tuple(shown) == ("5MB", "hub_app")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_a_postgresql_url_works(scheme: str) -> None:
    url = f"{scheme}://ann:secret@db.example:5433/hub"
    assert database_url(url).drivername == "postgresql+psycopg"
    assert libpq_url(url) == "postgresql://ann:secret@db.example:5433/hub"


def test_a_blank_in_a_socket_path_is_kept_for_libpq() -> None:
    read = conninfo_to_dict(libpq_url("postgresql://hub@/hub?host=/my%20data/run"))
    assert read["host"] == "/my data/run"


@pytest.mark.parametrize("url", ["mysql://ann:secret@h/d", "sqlite:///x", "nonsense secret", ""])
def test_another_kind_of_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(BadDatabaseUrl) as refusal:
        database_url(url)
    assert "secret" not in str(refusal.value)


def test_a_transaction_that_stood_still_for_too_long_counts_as_a_database_that_is_away(
    database: str,
) -> None:
    engine = make_engine(database, "web")
    with engine.connect() as connection:
        connection.execute(text("SET idle_in_transaction_session_timeout = '50ms'"))
        time.sleep(0.5)
        with pytest.raises(OperationalError) as caught:
            connection.execute(text("SELECT 1"))
    engine.dispose()
    assert caught.value.connection_invalidated


def test_a_database_that_only_reads_counts_as_away(database: str) -> None:
    engine = make_engine(database, "web")
    with engine.connect() as connection:
        connection.execute(text("SET TRANSACTION READ ONLY"))
        with pytest.raises(OperationalError, match="read-only"):
            connection.execute(text("UPDATE programs SET name = name"))
    engine.dispose()
