from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, text

from hub import migrate
from hub.db import libpq_url, make_engine
from hub.embedded import Servers
from hub.migrate import MigrationRefused
from tests.servers import named

FIRST = """
from alembic import op
revision, down_revision = "a1", None
def upgrade():
    op.execute("CREATE TABLE things (id bigint PRIMARY KEY)")
"""
SECOND = """
from alembic import op
revision, down_revision = "a2", "a1"
def upgrade():
    op.execute("ALTER TABLE things ADD COLUMN name text")
"""
BROKEN = """
from alembic import op
revision, down_revision = "a3", "a2"
def upgrade():
    op.execute("CREATE TABLE half (id bigint)")
    op.execute("SELECT no_such_function()")
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    shutil.copytree(migrate.DIRECTORY, tmp_path / "m", ignore=shutil.ignore_patterns("versions"))
    (tmp_path / "m" / "versions").mkdir()
    (tmp_path / "m" / "versions" / "first.py").write_text(FIRST)
    (tmp_path / "m" / "versions" / "second.py").write_text(SECOND)
    return tmp_path / "m"


@pytest.fixture
def empty(servers: Servers, worker_id: str) -> Iterator[str]:
    """The URL of a database in which nothing is."""
    name = f"empty_{worker_id}"
    with psycopg.connect(libpq_url(servers.database_url), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield named(servers, name).database_url
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_an_empty_database_gets_every_migration_in_order(empty: str, directory: Path) -> None:
    assert migrate.upgrade(empty, directory) == ["a1", "a2"]


def test_a_second_run_changes_nothing(empty: str, directory: Path) -> None:
    migrate.upgrade(empty, directory)
    before = _schema(empty)
    assert migrate.upgrade(empty, directory) == []
    assert _schema(empty) == before


def test_only_what_is_missing_runs(empty: str, directory: Path) -> None:
    (directory / "versions" / "second.py").unlink()
    migrate.upgrade(empty, directory)
    (directory / "versions" / "second.py").write_text(SECOND)
    assert migrate.upgrade(empty, directory) == ["a2"]


def test_two_starters_of_an_update_do_not_wait_for_each_other(empty: str, tmp_path: Path) -> None:
    """Raced: both find a database of the first release; indexes are built concurrently meanwhile."""
    shutil.copytree(migrate.DIRECTORY, tmp_path / "old")
    for file in (tmp_path / "old" / "versions").glob("0*.py"):
        if not file.name.startswith("0001"):
            file.unlink()
    assert migrate.upgrade(empty, tmp_path / "old") == ["0001"]
    with ThreadPoolExecutor(2) as pool:
        ran = [future.result() for future in [pool.submit(migrate.upgrade, empty) for _ in range(2)]]
    assert sorted(map(len, ran)) == [0, len(migrate.known_revisions()) - 1]


def test_two_starters_at_once_migrate_once(empty: str, directory: Path) -> None:
    ran: list[list[str]] = []
    starters = [
        threading.Thread(target=lambda: ran.append(migrate.upgrade(empty, directory))) for _ in range(2)
    ]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert sorted(ran) == [[], ["a1", "a2"]]


def test_a_broken_migration_leaves_nothing_half_done(empty: str, directory: Path) -> None:
    (directory / "versions" / "third.py").write_text(BROKEN)
    with pytest.raises(MigrationRefused, match="no_such_function"):
        migrate.upgrade(empty, directory)
    assert "half" not in _schema(empty)
    assert "name" in _schema(empty), "what came before it stays"


def test_a_database_newer_than_the_code_is_refused(empty: str, directory: Path) -> None:
    migrate.upgrade(empty, directory)
    (directory / "versions" / "second.py").unlink()
    with pytest.raises(MigrationRefused, match="does not know"):
        migrate.upgrade(empty, directory)


def test_a_process_refuses_a_database_that_lacks_a_migration(empty: str, directory: Path) -> None:
    (directory / "versions" / "second.py").unlink()
    migrate.upgrade(empty, directory)
    engine = make_engine(empty)
    migrate.refuse_outdated(engine, directory)
    (directory / "versions" / "second.py").write_text(SECOND)
    with pytest.raises(MigrationRefused, match="hub migrate"):
        migrate.refuse_outdated(engine, directory)
    engine.dispose()


def test_a_user_who_may_not_create_the_role_is_told_what_to_run(
    empty: str, directory: Path, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "APP_ROLE", "hub_missing")
    with psycopg.connect(libpq_url(servers.database_url), autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS poor")
        connection.execute("CREATE ROLE poor")
    url = empty + "&options=-c%20role%3Dpoor"
    with psycopg.connect(libpq_url(empty), autocommit=True) as connection:
        for extension in migrate.EXTENSIONS:
            connection.execute(f"CREATE EXTENSION {extension}")
    with pytest.raises(MigrationRefused, match="as a superuser run: CREATE ROLE hub_missing"):
        migrate.upgrade(url, directory)


def test_a_server_without_an_extension_is_refused_by_name(
    empty: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "EXTENSIONS", ("pg_nowhere",))
    with pytest.raises(MigrationRefused, match="pg_nowhere is not installed"):
        migrate.upgrade(empty, directory)


def test_a_database_that_is_not_there_is_a_sentence(servers: Servers) -> None:
    with pytest.raises(MigrationRefused, match="does not exist"):
        migrate.upgrade(named(servers, "nowhere").database_url)


def test_the_template_of_all_tests_is_up_to_date(owner: Engine) -> None:
    with owner.connect() as connection:
        assert migrate.pending(connection) == []


def _schema(url: str) -> set[str]:
    engine = make_engine(url, role=None)
    with engine.connect() as connection:
        found = connection.execute(
            text(
                "SELECT table_name FROM information_schema.columns WHERE table_schema = 'public'"
                " UNION SELECT column_name FROM information_schema.columns WHERE table_schema = 'public'"
            )
        )
        names = set(found.scalars())
    engine.dispose()
    return names
