"""Brings a database to the newest schema: forward only, one starter at a time, refusals as sentences."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from hub.db import APP_ROLE, database_url
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.i18n import ngettext

DIRECTORY = Path(__file__).parent / "migrations"
EXTENSIONS = ("btree_gin", "pg_trgm", "unaccent")
OLDEST_SERVER = 15
_LOCK = 0x6C6F79616C7479
"""Key of the advisory lock that one migrating process holds ("loyalty")."""
_RESTORING = "loyalty-hub: restore unfinished"
_WAIT = 120.0
"""How long to wait for another migrating process (seconds)."""
_WORK = "set lock_timeout = '5s'; set statement_timeout = '15min'"


class MigrationRefused(Refusal):
    """The database cannot be migrated as it is; the message is a sentence that names what to do."""


def upgrade(url: str, directory: Path = DIRECTORY, *, restoring: bool = False) -> list[str]:
    """Run what is missing, as the owner the URL names; returns the revisions that ran, oldest first
    (none: it was up to date). Creates the role and the extensions first where they are missing.
    A second caller waits for the first. Raises `MigrationRefused`, also on a database whose restore
    was broken off, except when it is the restore that asks."""
    with _locked(url) as connection:
        if not restoring:
            _refuse_half_restored(connection)
        _prepare(connection)
        before = set(pending(connection, directory))
        connection.commit()  # within an open transaction all migrations would be one
        _run(connection, directory)
        if before:
            connection.execute(text(f"GRANT SELECT ON alembic_version TO {APP_ROLE}"))
            connection.commit()
        missing = set(pending(connection, directory))
        return [r for r in _revisions(directory) if r in before - missing]


def prepare(url: str) -> None:
    """Create the role and the extensions alone: what a dump takes for granted. Raises
    `MigrationRefused`."""
    with _locked(url) as connection:
        _prepare(connection)


def known_revisions(directory: Path = DIRECTORY) -> list[str]:
    """Every revision of this code, oldest first."""
    return _revisions(directory)


def mark_restoring(connection: Connection, *, restoring: bool) -> None:
    """Mark, or unmark, the database as half restored; the mark outlives the schema."""
    name = connection.dialect.identifier_preparer.quote(connection.engine.url.database or "")
    mark = f"'{_RESTORING}'" if restoring else "NULL"
    connection.execute(text(f"COMMENT ON DATABASE {name} IS {mark}"))


def is_restoring(connection: Connection) -> bool:
    """Whether a restore into this database was begun and not finished."""
    mark = connection.execute(
        text(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database"
            " WHERE datname = current_database()"
        )
    ).scalar_one()
    return bool(mark == _RESTORING)


def pending(connection: Connection, directory: Path = DIRECTORY) -> list[str]:
    """Revisions this database lacks, oldest first. Raises `MigrationRefused` when it is newer than
    this code: a hub of an older version must not write into it."""
    current = MigrationContext.configure(connection).get_current_revision()
    known = _revisions(directory)
    if current is None:
        return known
    if current not in known:
        raise MigrationRefused(
            _(
                "the database is at revision {current}, which this version of the hub does not know: "
                "install the version that migrated it, or a newer one",
                current=current,
            )
        )
    return known[known.index(current) + 1 :]


def refuse_outdated(engine: Engine, directory: Path = DIRECTORY) -> None:
    """Raise `MigrationRefused` unless the database is exactly at this code's schema: what every
    long-running process asks before it starts."""
    try:
        with engine.connect() as connection:
            _refuse_half_restored(connection)
            missing = pending(connection, directory)
    except OperationalError as error:
        raise MigrationRefused(
            _("the database does not answer: {error}", error=_first_line(error))
        ) from None
    if missing:
        raise MigrationRefused(
            ngettext(
                "the database lacks {n} migration; run `hub migrate`",
                "the database lacks {n} migrations; run `hub migrate`",
                len(missing),
                n=len(missing),
            )
        )


@contextmanager
def _locked(url: str) -> Iterator[Connection]:
    """A connection as owner that holds the advisory lock until it is closed."""
    engine = create_engine(
        database_url(url),
        poolclass=NullPool,
        connect_args={"application_name": "hub migrate", "connect_timeout": 5},
    )
    try:
        with engine.connect() as connection:
            _await_turn(connection)
            connection.execute(text(_WORK))
            connection.commit()
            yield connection
    except OperationalError as error:
        raise MigrationRefused(_("the database refused: {error}", error=_first_line(error))) from None


def _await_turn(connection: Connection) -> None:
    """Ask again and again, in transactions of their own: whoever waits inside a statement holds a
    snapshot, and an index that the other builds concurrently would wait for that in turn."""
    ends = time.monotonic() + _WAIT
    while True:
        mine = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK}).scalar_one()
        connection.commit()
        if mine:
            return
        if time.monotonic() > ends:
            raise MigrationRefused(
                _("another process has been migrating this database for {n} seconds", n=int(_WAIT))
            )
        time.sleep(0.1)


def _prepare(connection: Connection) -> None:
    _refuse_unfit(connection)
    _create_extensions(connection)
    _create_role(connection)
    connection.commit()


def _refuse_half_restored(connection: Connection) -> None:
    if is_restoring(connection):
        raise MigrationRefused(
            _("a restore into this database was broken off; run the same `hub restore FILE` again")
        )


def _refuse_unfit(connection: Connection) -> None:
    version, encoding = connection.execute(
        text("SELECT current_setting('server_version_num')::int, current_setting('server_encoding')")
    ).one()
    if version < OLDEST_SERVER * 10000:
        raise MigrationRefused(
            _(
                "the database is PostgreSQL {version}; the hub needs {least} or newer",
                version=version // 10000,
                least=OLDEST_SERVER,
            )
        )
    if encoding != "UTF8":
        raise MigrationRefused(
            _(
                "the database's encoding is {encoding}; create one with CREATE DATABASE ... ENCODING "
                "'UTF8'",
                encoding=encoding,
            )
        )


def _create_extensions(connection: Connection) -> None:
    """Both are trusted: the owner of a database may create them
    (https://www.postgresql.org/docs/current/sql-createextension.html)."""
    for name in EXTENSIONS:
        found = connection.execute(
            text("SELECT installed_version FROM pg_available_extensions WHERE name = :name"),
            {"name": name},
        ).one_or_none()
        if found is None:
            raise MigrationRefused(
                _(
                    "the extension {name} is not installed on the database server; install "
                    "PostgreSQL's contrib package (Debian: postgresql-contrib)",
                    name=name,
                )
            )
        if found.installed_version is None:
            _owner_command(connection, f"CREATE EXTENSION {name}", f"create the extension {name}")


def _create_role(connection: Connection) -> None:
    """The role the hub's processes run as, and the right of the URL's user to become it."""
    exists, member = connection.execute(
        text(
            "SELECT r.oid IS NOT NULL, coalesce(pg_has_role(current_user, r.oid, 'MEMBER'), false)"
            " FROM (SELECT to_regrole(:role) AS oid) r"
        ),
        {"role": APP_ROLE},
    ).one()
    if not exists:
        _owner_command(connection, f"CREATE ROLE {APP_ROLE} NOLOGIN", f"create the role {APP_ROLE}")
    if not member:
        _owner_command(connection, f"GRANT {APP_ROLE} TO CURRENT_USER", f"become the role {APP_ROLE}")
    connection.execute(text(f"GRANT USAGE ON SCHEMA public TO {APP_ROLE}"))


def _owner_command(connection: Connection, statement: str, what: str) -> None:
    try:
        connection.execute(text(statement))
    except ProgrammingError:
        connection.rollback()
        user = connection.execute(text("SELECT current_user")).scalar_one()
        asked = statement.replace("CURRENT_USER", f'"{user}"')
        raise MigrationRefused(
            _(
                "the database user {user} may not {what}; as a superuser run: {asked};",
                user=user,
                what=what,
                asked=asked,
            )
        ) from None


def _run(connection: Connection, directory: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(directory).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except DBAPIError as error:
        raise MigrationRefused(
            _("a migration failed and was rolled back: {error}", error=_first_line(error))
        ) from error


def _revisions(directory: Path) -> list[str]:
    config = Config()
    config.set_main_option("script_location", str(directory).replace("%", "%%"))
    scripts: Sequence[str] = [s.revision for s in ScriptDirectory.from_config(config).walk_revisions()]
    return list(reversed(scripts))


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0]
