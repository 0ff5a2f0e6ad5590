"""0017 on a database with sales: none of them has brought anything, and what is noted of them now is due."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from hub import migrate
from hub.bulk import run
from hub.db import libpq_url, make_engine, make_sessions
from hub.embedded import Servers
from hub.transactions import order_rewards
from tests.people import add, new_ground
from tests.servers import named


@pytest.fixture
def bare(servers: Servers, worker_id: str) -> Iterator[str]:
    """The URL of a database in which nothing is."""
    name = f"bare_orders_{worker_id}"
    with psycopg.connect(libpq_url(servers.database_url), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield named(servers, name).database_url
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_sale_from_before_has_brought_nothing_until_it_is_told_of_again(
    bare: str, tmp_path: Path
) -> None:
    earlier = tmp_path / "migrations"
    shutil.copytree(migrate.DIRECTORY, earlier)
    for file in (earlier / "versions").glob("*.py"):
        if file.name >= "0017":
            file.unlink()
    migrate.upgrade(bare, earlier)
    engine = make_engine(bare)
    with make_sessions(engine)() as session:
        ground = new_ground(session)
        sale = add(
            session, "transactions", public_id="txn_1", program_id=ground.program, channel_id=ground.channel,
            external_id="1", state="paid", member_id=ground.ann, placed_at=datetime(2026, 11, 2, tzinfo=UTC),
        )  # fmt: skip
        session.commit()
    assert "0017" in migrate.upgrade(bare)
    with make_sessions(engine).begin() as session:
        assert order_rewards.due(session, 10) == []
        sql = "INSERT INTO order_rewards (transaction_id, reward, wanted) VALUES (:id, 'r', true)"
        run(session, sql, {"id": sale})
        (row,) = order_rewards.due(session, 10)
        assert (row.public_id, row.wanted, row.given, row.is_out) == ("txn_1", True, 0, False)
        order_rewards.done(session, row)
        assert order_rewards.due(session, 10) == []
    engine.dispose()
