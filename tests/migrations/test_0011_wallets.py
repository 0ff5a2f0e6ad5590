"""0011 on a database with accounts: points stay where they are, and money gets accounts of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from hub import migrate
from hub.db import libpq_url, make_engine, make_sessions
from hub.embedded import Servers
from hub.ledger import commands
from hub.ledger.commands import Command
from hub.ledger.verify import verify
from tests.people import KEY, add, new_ground
from tests.servers import named


@pytest.fixture
def bare(servers: Servers, worker_id: str) -> Iterator[str]:
    """The URL of a database in which nothing is."""
    name = f"bare_wallets_{worker_id}"
    with psycopg.connect(libpq_url(servers.database_url), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield named(servers, name).database_url
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_accounts_from_before_stay_points_and_each_member_gets_one_for_a_currency(
    bare: str, tmp_path: Path
) -> None:
    earlier = tmp_path / "migrations"
    shutil.copytree(migrate.DIRECTORY, earlier)
    for file in (earlier / "versions").glob("*.py"):
        if file.name >= "0010":
            file.unlink()
    migrate.upgrade(bare, earlier)
    engine = make_engine(bare)
    with make_sessions(engine)() as session:
        ground = new_ground(session)
        gift = Command(ground.program, ground.ann, "gift", "test", KEY)
        add(session, "accounts", program_id=ground.program, member_id=ground.ann)
        session.commit()
    assert "0011" in migrate.upgrade(bare)
    with make_sessions(engine)() as session:
        commands.adjust(session, gift, 70)
        commands.adjust(session, replace(gift, reference="money", currency="VND"), 5_000)
        session.commit()
        rows = session.execute(text("SELECT balance, currency FROM accounts ORDER BY id")).all()
        assert [tuple(row) for row in rows] == [(70, None), (5_000, "VND")]
        assert verify(session, KEY).clean
        for strange in (
            {"holder_id": ground.ann, "currency": "VND"},
            {"member_id": ground.ann, "currency": "USD"},
            {"holder_id": ground.ann},
        ):
            with pytest.raises(IntegrityError), session.begin_nested():
                add(session, "accounts", program_id=ground.program, **strange)
    engine.dispose()
