"""0019 on a database with channels and messages: each gets a row when the sweeper comes, and what came counts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from hub import migrate
from hub.bulk import run
from hub.db import libpq_url, make_engine, make_sessions
from hub.embedded import Servers
from hub.outbox import connections
from hub.sync import silence
from tests.people import new_ground
from tests.servers import named
from tests.shops import delivery


@pytest.fixture
def bare(servers: Servers, worker_id: str) -> Iterator[str]:
    """The URL of a database in which nothing is."""
    name = f"bare_connections_{worker_id}"
    with psycopg.connect(libpq_url(servers.database_url), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield named(servers, name).database_url
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_channels_from_before_are_tended_and_their_messages_count(bare: str, tmp_path: Path) -> None:
    earlier = tmp_path / "migrations"
    shutil.copytree(migrate.DIRECTORY, earlier)
    for file in (earlier / "versions").glob("*.py"):
        if file.name >= "0019":
            file.unlink()
    migrate.upgrade(bare, earlier)
    engine = make_engine(bare)
    came = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=2)
    with make_sessions(engine)() as session:
        ground = new_ground(session)
        for minutes in (0, 0, 7):
            at = came + timedelta(minutes=minutes)
            delivery(session, ground.program, ground.channel, received_at=at)
        delivery(session, ground.program, ground.channel, received_at=came, source="fetch")
        session.commit()
    assert "0019" in migrate.upgrade(bare)
    with make_sessions(engine).begin() as session:
        connections.ensure(session)
        assert ground.channel in connections.due(session, datetime.now(UTC))
        assert silence.count(session) == 4
        assert silence.count(session) == 0
        rows = run(session, "SELECT sum(bit_count(minutes)) AS n FROM arrivals")
        assert rows[0].n == 2
    engine.dispose()
