"""0020 on a database with channels and messages: nobody has said what their history counts for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from hub import migrate
from hub.bulk import run
from hub.db import libpq_url, make_engine, make_sessions
from hub.embedded import Servers
from hub.outbox import channels
from hub.sync.ground import history_of
from tests.people import new_ground
from tests.servers import named


@pytest.fixture
def bare(servers: Servers, worker_id: str) -> Iterator[str]:
    """The URL of a database in which nothing is."""
    name = f"bare_backfills_{worker_id}"
    with psycopg.connect(libpq_url(servers.database_url), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield named(servers, name).database_url
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_channels_from_before_have_no_history_and_one_backfill_at_a_time(
    bare: str, tmp_path: Path
) -> None:
    earlier = tmp_path / "migrations"
    shutil.copytree(migrate.DIRECTORY, earlier)
    for file in (earlier / "versions").glob("*.py"):
        if file.name >= "0020":
            file.unlink()
    migrate.upgrade(bare, earlier)
    engine = make_engine(bare)
    with make_sessions(engine).begin() as session:
        ground = new_ground(session)
    assert "0020" in migrate.upgrade(bare)
    insert = """INSERT INTO backfills (public_id, program_id, channel_id, actor, since, until, counts)
                SELECT :id, program_id, id, 'test', now(), now(), 'points' FROM channels WHERE id = :channel"""
    with make_sessions(engine).begin() as session:
        channel = channels.by_ids(session, [ground.channel])[ground.channel]
        assert history_of(channel) is None
        run(session, f"{insert} RETURNING id", {"id": "bfl_1", "channel": ground.channel})
        again = f"{insert} ON CONFLICT (channel_id) WHERE state NOT IN ('done', 'stopped') DO NOTHING RETURNING id"
        assert run(session, again, {"id": "bfl_2", "channel": ground.channel}) == []
    engine.dispose()
