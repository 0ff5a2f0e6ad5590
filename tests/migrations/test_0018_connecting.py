"""0018 on a database with a channel: its memory stays readable, and the hub's role may begin handshakes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from hub import migrate
from hub.db import libpq_url, make_engine, make_sessions
from hub.embedded import Servers
from tests.people import new_ground
from tests.servers import named


@pytest.fixture
def bare(servers: Servers, worker_id: str) -> Iterator[str]:
    """The URL of a database in which nothing is."""
    name = f"bare_connecting_{worker_id}"
    with psycopg.connect(libpq_url(servers.database_url), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield named(servers, name).database_url
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_channel_from_before_keeps_its_memory_until_it_is_saved_anew(
    bare: str, tmp_path: Path
) -> None:
    earlier = tmp_path / "migrations"
    shutil.copytree(migrate.DIRECTORY, earlier)
    for file in (earlier / "versions").glob("*.py"):
        if file.name >= "0018":
            file.unlink()
    migrate.upgrade(bare, earlier)
    engine = make_engine(bare)
    with make_sessions(engine)() as session:
        ground = new_ground(session)
        session.execute(text("""UPDATE channels SET state = '{"currency": "VND"}'"""))
        session.commit()
    assert "0018" in migrate.upgrade(bare)
    with make_sessions(engine).begin() as session:
        row = session.execute(
            text("SELECT state, sealed_state, previous_secret_until FROM channels")
        ).one()
        assert (row.state, bytes(row.sealed_state), row.previous_secret_until) == (
            {"currency": "VND"},
            b"",
            None,
        )
        assert session.execute(text("SELECT forgotten_at FROM members LIMIT 1")).scalar_one() is None
        session.execute(
            text(
                """INSERT INTO handshakes (state_hash, program_id, kind, way, name, sealed, actor, began_at, expires_at)
                   VALUES ('\\x01', :program, 'k', 'w', 'n', '', 'test', now(), now())"""
            ),
            {"program": ground.program},
        )
    engine.dispose()
