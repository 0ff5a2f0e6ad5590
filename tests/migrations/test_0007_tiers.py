"""0007 on the schema before it, with a sale in it: the sale stays, and the hub's role may store who bought."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from hub import migrate
from hub.db import libpq_url, make_engine, make_sessions
from hub.embedded import Servers
from tests import people
from tests.servers import named


@pytest.fixture
def before(servers: Servers, worker_id: str, tmp_path: Path) -> Iterator[str]:
    """The URL of a database as version 0006 left it."""
    name, directory = f"before_0007_{worker_id}", tmp_path / "m"
    shutil.copytree(migrate.DIRECTORY, directory)
    for version in (directory / "versions").glob("*.py"):
        if version.name >= "0007":
            version.unlink()
    with psycopg.connect(libpq_url(servers.database_url), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        url = named(servers, name).database_url
        assert migrate.upgrade(url, directory)[-1] == "0006"
        yield url
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


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
