"""The servers of a test run: one embedded PostgreSQL and Valkey for all its processes, started by
the first test that needs them, and a migrated template every test's own database is copied from."""

from __future__ import annotations

import fcntl
import itertools
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from hub import embedded, migrate
from hub.db import libpq_url
from hub.embedded import Servers

TEMPLATE = "template_hub"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Run:
    """One test run's directory. `short`: Unix sockets live in it, and root's servers must be able
    to enter it, which pytest's own temporary directories do not allow."""

    root: Path

    @classmethod
    def new(cls) -> Run:
        return cls(_temporary() / f"hub-test-{os.getuid()}-{os.getpid()}")

    @property
    def data(self) -> Path:
        return self.root / "data"

    def servers(self) -> Servers:
        """The servers of this run, started by whichever process comes first."""
        self.root.mkdir(mode=0o711, exist_ok=True)
        with (self.root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            servers = embedded.start(self.data, durable=False)
            _make_template(servers)
        return servers

    def end(self) -> None:
        """Stop the servers and forget their data."""
        if self.data.exists():
            embedded.stop(self.data)
        shutil.rmtree(self.root, ignore_errors=True)


def end_left_behind() -> None:
    """Stop servers of test runs that were killed before they could."""
    for root in _temporary().glob(f"hub-test-{os.getuid()}-*"):
        pid = re.fullmatch(r"\d+", root.name.rsplit("-", 1)[-1])
        if pid and not _alive(int(pid[0])):
            Run(root).end()


@contextmanager
def copied_database(servers: Servers, label: str) -> Iterator[str]:
    """The owner's URL of a fresh copy of the template (about 40 ms), dropped afterwards."""
    name = f"t_{label}_{os.getpid()}_{next(_numbers)}"
    with _administer(servers) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    yield named(servers, name).database_url
    with _administer(servers) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def own_servers(*, durable: bool = True) -> Iterator[Servers]:
    """Servers of a test's own, durable like an operator's: for kills, restarts and measurements."""
    root = _temporary() / f"hub-test-own-{os.getpid()}-{next(_numbers)}"
    root.mkdir(mode=0o711)
    try:
        yield embedded.start(root / "data", durable=durable)
    finally:
        Run(root).end()


def named(servers: Servers, database: str) -> Servers:
    """The same servers, another database."""
    path, query = servers.database_url.split("?", 1)
    return replace(servers, database_url=f"{path.rsplit('/', 1)[0]}/{database}?{query}")


def _make_template(servers: Servers) -> None:
    with _administer(servers) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (TEMPLATE,))
        if found.fetchone() is not None:
            return
        connection.execute("CREATE DATABASE template_new")
        migrate.upgrade(named(servers, "template_new").database_url)
        connection.execute(f"ALTER DATABASE template_new RENAME TO {TEMPLATE}")


def _administer(servers: Servers) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(libpq_url(servers.database_url), autocommit=True)


def _temporary() -> Path:
    return Path(os.path.realpath(tempfile.gettempdir()))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
