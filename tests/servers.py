"""The servers of a test run: one embedded PostgreSQL and Valkey for all its processes, started by
the first test that needs them, and a migrated template every test's own database is copied from."""

from __future__ import annotations

import fcntl
import itertools
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from hub import embedded, migrate
from hub.db import libpq_url
from hub.embedded import Servers

Connection = psycopg.Connection[tuple[object, ...]]
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


class Database:
    """One test process's database: copied from the template once (a tenth of a second), emptied
    between tests (a hundredth), and copied anew when a test changed more than rows."""

    def __init__(self, servers: Servers, label: str) -> None:
        self._servers = servers
        self._label = label
        self._name = ""
        self._made = ""
        self._inside: Connection | None = None

    @contextmanager
    def lent(self) -> Iterator[str]:
        """The owner's URL of a migrated, empty database."""
        if not self._name:
            self._copy()
        try:
            yield named(self._servers, self._name).database_url
        finally:
            self._clean()

    def drop(self) -> None:
        self._leave()
        if self._name:
            with _administer(self._servers) as connection:
                connection.execute(f"DROP DATABASE {self._name} WITH (FORCE)")
        self._name = ""

    def _copy(self) -> None:
        self._name = f"t_{self._label}_{os.getpid()}_{next(_numbers)}"
        with _administer(self._servers) as connection:
            connection.execute(f"CREATE DATABASE {self._name} TEMPLATE {TEMPLATE}")
        self._made = self._shape(self._enter())

    def _clean(self) -> None:
        try:
            unchanged = self._emptied(self._enter())
        except psycopg.OperationalError:  # the test ended all sessions, this one too
            self._leave()
            unchanged = self._emptied(self._enter())
        if not unchanged:
            self.drop()

    def _emptied(self, connection: Connection) -> bool:
        """Whether the test changed nothing but rows; then they are gone."""
        _end_sessions(connection)
        if self._shape(connection) != self._made:
            return False
        _empty(connection)
        return True

    def _enter(self) -> Connection:
        """The connection that cleans up. It stays open: one that has not met the tables yet takes longer
        to get to know them than to empty them."""
        if self._inside is None or self._inside.closed:
            self._inside = _administer(named(self._servers, self._name))
        return self._inside

    def _leave(self) -> None:
        if self._inside is not None:
            self._inside.close()
        self._inside = None

    def _shape(self, connection: Connection) -> str:
        return str(connection.execute(_SHAPE, prepare=True).fetchone())


def _end_sessions(connection: Connection) -> None:
    """Send everybody else away and wait until they are gone: most are on their way out already, which the
    server's own waiting would notice a tenth of a second later."""
    ends = time.monotonic() + 5
    while connection.execute(_END_SESSIONS, prepare=True).fetchone() != (0,):
        assert time.monotonic() < ends, "sessions of the test before do not end"
        time.sleep(0.001)


def _empty(connection: Connection) -> None:
    """Remove all rows and start all numbers anew, triggers or not; the schema stays."""
    (tables,) = connection.execute(_TABLES, prepare=True).fetchone() or ((),)
    used = " UNION ALL ".join(f"SELECT '{t}' WHERE EXISTS (SELECT FROM {t})" for t in _names(tables))
    rows = connection.execute(used.encode(), prepare=True).fetchall()
    deletes = "".join(f"DELETE FROM {name};" for (name,) in rows)
    connection.execute(
        f"BEGIN; SET LOCAL session_replication_role = replica; {deletes} {_ANEW}; COMMIT".encode()
    )


def _names(found: object) -> list[str]:
    return [str(name) for name in found] if isinstance(found, list) else []


@contextmanager
def copied_database(servers: Servers, label: str) -> Iterator[str]:
    """The owner's URL of one more database, for tests that need two; dropped afterwards."""
    database = Database(servers, label)
    try:
        with database.lent() as url:
            yield url
    finally:
        database.drop()


_END_SESSIONS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_TABLES = """
SELECT array_agg(oid::regclass::text ORDER BY oid) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'
"""
_ANEW = """
SELECT setval(seqrelid, seqstart, false) FROM pg_sequence WHERE pg_sequence_last_value(seqrelid) IS NOT NULL
"""
_SHAPE = """
SELECT md5(string_agg(what, ',' ORDER BY what)) FROM (
    SELECT concat_ws(' ', relname, relkind, relacl, relowner) FROM pg_class
        WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT concat_ws(' ', tgrelid, tgname, tgenabled) FROM pg_trigger
    UNION ALL SELECT concat_ws(' ', conrelid, conname, convalidated) FROM pg_constraint
    UNION ALL SELECT concat_ws(' ', attrelid, attname, atttypid, attnotnull) FROM pg_attribute
        JOIN pg_class ON pg_class.oid = attrelid WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT concat_ws(' ', oid, md5(prosrc)) FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT version_num FROM alembic_version
) AS everything (what)
"""


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
