from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from hub.db import make_engine
from hub.embedded import Servers
from tests.servers import Database

A_PROGRAM = """
INSERT INTO programs (public_id, slug, name, currency, time_zone, region, starts_at)
VALUES ('prg_1', 'cafe', 'Cafe', 'VND', 'Asia/Ho_Chi_Minh', 'VN', '2026-01-01Z') RETURNING id
"""


@pytest.mark.parametrize("turn", [1, 2])
def test_every_test_begins_with_empty_tables_and_first_numbers(engine: Engine, turn: int) -> None:
    with engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM programs")).scalar_one() == 0
        assert connection.execute(text(A_PROGRAM)).scalar_one() == 1


@pytest.mark.parametrize(
    "tampering",
    [
        "ALTER TABLE entries DISABLE TRIGGER ALL",
        "GRANT DELETE ON entries TO hub_app",
        "ALTER TABLE programs ADD COLUMN colour text",
        "ALTER TABLE programs DROP CONSTRAINT programs_slug_key",
        "UPDATE alembic_version SET version_num = 'x'",
    ],
)
def test_a_test_that_changed_more_than_rows_does_not_touch_the_next(
    servers: Servers, worker_id: str, tampering: str
) -> None:
    database = Database(servers, f"{worker_id}_tampered")
    with database.lent() as url:
        first = url
        engine = make_engine(url, role=None)
        with engine.begin() as connection:
            connection.execute(text(tampering))
        engine.dispose()
    with database.lent() as url:
        assert url != first
    database.drop()


def test_a_session_a_test_forgot_does_not_hold_up_the_next(servers: Servers, worker_id: str) -> None:
    database = Database(servers, f"{worker_id}_forgotten")
    with database.lent() as url:
        engine = make_engine(url)
        forgotten = engine.connect()
        forgotten.execute(text("LOCK TABLE programs IN ACCESS EXCLUSIVE MODE"))
    with database.lent() as again:
        assert again == url
    forgotten.invalidate()
    engine.dispose()
    database.drop()
