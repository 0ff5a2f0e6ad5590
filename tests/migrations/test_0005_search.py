"""0005 on a database with data, and on one whose extensions live in a schema of their own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from hub import migrate
from hub.db import libpq_url, make_engine, make_sessions
from hub.members import search
from tests.people import add, new_ground


def test_members_and_orders_from_before_are_found_after_it(left_at: Callable[[str], str]) -> None:
    before = left_at("0004")
    engine = make_engine(before)
    with make_sessions(engine)() as session:
        ground = new_ground(session)
        add(
            session, "transactions", public_id="txn_1", program_id=ground.program,
            channel_id=ground.channel, external_id="1", number="#1001", goods_net=90, member_id=ground.ann,
        )  # fmt: skip
        session.commit()
    assert "0005" in migrate.upgrade(before)
    with make_sessions(engine)() as session:
        for words in ("ann", "1001"):
            assert [h.member_id for h in search.search(session, ground.program, "VN", words)]
    engine.dispose()


def test_extensions_may_live_in_any_schema(bare: str) -> None:
    with psycopg.connect(libpq_url(bare), autocommit=True) as connection:
        connection.execute('CREATE SCHEMA "Extra stuff"')
        for extension in migrate.EXTENSIONS:
            connection.execute(f'CREATE EXTENSION {extension} SCHEMA "Extra stuff"')
    migrate.upgrade(bare)
    engine = make_engine(bare)
    with make_sessions(engine)() as session:
        ground = new_ground(session)
        dau = add(session, "members", public_id="mem_1", program_id=ground.program, name="Nguyễn Đậu")
        (hit,) = search.search(session, ground.program, "VN", "dau nguyen")
    assert (hit.member_id, hit.by) == (dau, "name")
    engine.dispose()


def test_a_run_that_was_broken_off_is_made_good(bare: str, tmp_path: Path) -> None:
    earlier = tmp_path / "migrations"
    shutil.copytree(migrate.DIRECTORY, earlier)
    broken = earlier / "versions" / "0005_search.py"
    broken.write_text(
        broken.read_text().replace('"transactions_in_state": f"', '"transactions_in_state": f"nowhere.')
    )
    with pytest.raises(migrate.MigrationRefused):
        migrate.upgrade(bare, earlier)
    assert "0005" in migrate.upgrade(bare)
    with psycopg.connect(libpq_url(bare)) as connection:
        found = connection.execute(
            "SELECT count(*) FILTER (WHERE indisvalid), count(*) FROM pg_index i JOIN pg_class c"
            " ON c.oid = i.indexrelid WHERE c.relname LIKE 'transactions_%' OR c.relname LIKE 'members_by%'"
        ).fetchone()
    assert found is not None
    assert found[0] == found[1] >= 8
