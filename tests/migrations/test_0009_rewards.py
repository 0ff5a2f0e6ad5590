"""0009 on a database with redemptions: what was bought before stays, and is counted."""

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
from hub.program.rewards import Reward
from hub.redemption import limits
from tests.people import add, new_ground
from tests.servers import named


@pytest.fixture
def bare(servers: Servers, worker_id: str) -> Iterator[str]:
    """The URL of a database in which nothing is."""
    name = f"bare_rewards_{worker_id}"
    with psycopg.connect(libpq_url(servers.database_url), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield named(servers, name).database_url
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_redemptions_from_before_count_against_a_stock_that_is_set_after_it(
    bare: str, tmp_path: Path
) -> None:
    earlier = tmp_path / "migrations"
    shutil.copytree(migrate.DIRECTORY, earlier)
    for file in (earlier / "versions").glob("*.py"):
        if file.name >= "0007":
            file.unlink()
    migrate.upgrade(bare, earlier)
    engine = make_engine(bare)
    with make_sessions(engine)() as session:
        ground = new_ground(session)
        account = add(session, "accounts", program_id=ground.program, member_id=ground.ann)
        add(
            session, "redemptions", public_id="red_1", program_id=ground.program, account_id=account,
            member_id=ground.ann, reward="r", reward_terms="{}", points=5, state="committed",
            input_hash="h", actor="test",
        )  # fmt: skip
        session.commit()
    assert "0009" in migrate.upgrade(bare)
    with make_sessions(engine)() as session:
        reward = Reward("r", "R", 5, stock=3)
        assert limits.left(session, ground.program, reward) == 2
        limits.lock_stock(session, ground.program, reward)
        assert session.execute(text("SELECT count(*) FROM reward_stock")).scalar_one() == 1
    engine.dispose()
