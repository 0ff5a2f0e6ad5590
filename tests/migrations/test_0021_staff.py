"""0021 on a database where a cashier is known: they were so from the beginning, and may now be so until a day."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from hub import migrate
from hub.db import libpq_url, make_engine, make_sessions
from hub.embedded import Servers
from hub.members import staff
from tests.people import new_ground
from tests.servers import named


@pytest.fixture
def bare(servers: Servers, worker_id: str) -> Iterator[str]:
    """The URL of a database in which nothing is."""
    name = f"bare_staff_{worker_id}"
    with psycopg.connect(libpq_url(servers.database_url), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield named(servers, name).database_url
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_cashier_from_before_was_so_from_the_beginning(bare: str, tmp_path: Path) -> None:
    earlier = tmp_path / "migrations"
    shutil.copytree(migrate.DIRECTORY, earlier)
    for file in (earlier / "versions").glob("*.py"):
        if file.name >= "0021":
            file.unlink()
    migrate.upgrade(bare, earlier)
    engine = make_engine(bare)
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
    assert "0021" in migrate.upgrade(bare)
    with make_sessions(engine).begin() as session:
        assert session.execute(text("SELECT since FROM staff")).scalar_one() is None
        now = datetime(2026, 12, 1, tzinfo=UTC)
        assert staff.drop(session, ground.program, "lan", now)
        row = session.execute(text("SELECT ref, since, until FROM staff_before")).one()
        assert tuple(row) == ("lan", None, now)
        assert not staff.drop(session, ground.program, "lan", now)
    engine.dispose()
