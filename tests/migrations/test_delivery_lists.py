"""0004 on a database that is in use: its rows stay, its writers go on, a broken-off run is made good."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import psycopg
import pytest

from hub import migrate
from hub.db import libpq_url

ROWS = """
INSERT INTO programs (public_id, slug, name, currency, time_zone, region, starts_at)
VALUES ('prg_1', 'corner', 'Corner', 'VND', 'UTC', 'VN', now());
INSERT INTO channels (public_id, program_id, kind, name, token, secrets)
SELECT 'chn_1', id, 'generic_pos', 'Till', 't', '' FROM programs;
INSERT INTO deliveries (program_id, channel_id, direction, topic, key, number, body, body_hash, state, code, fault)
SELECT c.program_id, c.id, 'inbound', 't', n, '#' || n, 'x', 'x', 'failed', 'no_currency', 'payload'
FROM channels c, generate_series(1, 500) n;
"""


@pytest.fixture
def old(left_at: Callable[[str], str]) -> str:
    """The URL of a database at the version before, with rows."""
    url = left_at("0003")
    with psycopg.connect(libpq_url(url), autocommit=True) as own:
        own.execute(ROWS)
    return url


def invalid_indexes(url: str) -> list[str]:
    with psycopg.connect(libpq_url(url)) as connection:
        found = connection.execute(
            "SELECT CAST(indexrelid AS regclass) FROM pg_index WHERE NOT indisvalid OR NOT indisready"
        )
        return [str(row[0]) for row in found]


def test_rows_stay_and_the_lists_find_them(old: str) -> None:
    assert "0004" in migrate.upgrade(old)
    with psycopg.connect(libpq_url(old)) as connection:
        found = connection.execute("SELECT count(*) FROM deliveries WHERE code IS NOT NULL").fetchone()
        assert found == (500,)
        connection.execute("SET enable_seqscan = off")
        plan = connection.execute(
            "EXPLAIN SELECT id FROM deliveries WHERE program_id = 1 AND number = '#7' AND number <> ''"
        ).fetchall()
        assert "deliveries_of_number" in str(plan)
    assert invalid_indexes(old) == []


def test_an_index_left_half_built_is_built_anew(old: str) -> None:
    with psycopg.connect(libpq_url(old), autocommit=True) as connection:
        connection.execute("CREATE INDEX deliveries_of_code ON deliveries (id)")
        connection.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = CAST('deliveries_of_code' AS regclass)"
        )
    migrate.upgrade(old)
    assert invalid_indexes(old) == []


def test_a_writer_in_the_middle_of_a_transaction_is_waited_for_and_not_stopped(old: str) -> None:
    """The indexes are built beside it: the migration ends after the writer, and neither fails."""

    def write() -> None:
        with psycopg.connect(libpq_url(old)) as connection:
            connection.execute("UPDATE deliveries SET attempts = 1")
            began.set()
            time.sleep(1.5)
            connection.execute("UPDATE deliveries SET attempts = 2")

    began = threading.Event()
    writer = threading.Thread(target=write)
    writer.start()
    began.wait()
    migrate.upgrade(old)
    writer.join()
    with psycopg.connect(libpq_url(old)) as connection:
        assert connection.execute("SELECT DISTINCT attempts FROM deliveries").fetchall() == [(2,)]
    assert invalid_indexes(old) == []
