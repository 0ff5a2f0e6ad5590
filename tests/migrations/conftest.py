"""What a migration is tested on: a database in which nothing is, or as an earlier revision left it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from hub import migrate
from hub.db import libpq_url
from hub.embedded import Servers
from tests.servers import named


@pytest.fixture
def bare(servers: Servers, worker_id: str) -> Iterator[str]:
    """The URL of a database in which nothing is."""
    name = f"bare_{worker_id}"
    with psycopg.connect(libpq_url(servers.database_url), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield named(servers, name).database_url
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def left_at(bare: str, tmp_path: Path) -> Callable[[str], str]:
    """`left_at("0004")`: the URL of a database as that revision left it, still without rows."""

    def left_at(revision: str) -> str:
        earlier = tmp_path / "migrations"
        shutil.copytree(migrate.DIRECTORY, earlier)
        for version in (earlier / "versions").glob("*.py"):
            if version.name[:4] > revision:
                version.unlink()
        assert migrate.upgrade(bare, earlier)[-1] == revision
        return bare

    return left_at
