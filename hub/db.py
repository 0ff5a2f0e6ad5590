"""The door to PostgreSQL: engines that run as a role which owns nothing, sessions, the model base."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Literal, cast

import psycopg
from psycopg.errors import IdleInTransactionSessionTimeout, ReadOnlySqlTransaction
from sqlalchemy import (
    BigInteger,
    DateTime,
    Engine,
    LargeBinary,
    MetaData,
    Numeric,
    Text,
    create_engine,
    event,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from hub.errors import Refusal
from hub.i18n import gettext as _

APP_ROLE = "hub_app"
"""What every process of the hub runs as. It owns no table: REVOKE and triggers hold against it."""

Process = Literal["web", "worker", "sweep", "cli"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How long one kind of process may hold things up (seconds), and its connections."""

    lock: float
    statement: float
    idle_in_transaction: float
    pool: int
    pool_wait: float = 30.0


LIMITS: Mapping[Process, Limits] = {
    # Few connections and a patient queue before them: a hundred requests with a transaction each would
    # stand in each other's way, idle in it. Who cannot get a turn in time is answered 503.
    "web": Limits(lock=4, statement=6, idle_in_transaction=30, pool=8, pool_wait=10),
    "worker": Limits(lock=10, statement=60, idle_in_transaction=60, pool=4),
    "sweep": Limits(lock=5, statement=60, idle_in_transaction=60, pool=2),
    "cli": Limits(lock=10, statement=600, idle_in_transaction=600, pool=2),
}


AWAY = (OperationalError, PoolTimeout)
"""What is raised when the database did not do its part: away, a lock or a turn not to be had in time."""


class Base(DeclarativeBase):
    """Base of all rows. Constraints have names, so that migrations and errors can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[Mapping[Any, Any]] = {
        int: BigInteger,
        str: Text,
        bytes: LargeBinary,
        Decimal: Numeric,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
    }


class BadDatabaseUrl(Refusal):
    """DATABASE_URL is not the address of a PostgreSQL database; the message is a sentence."""


def database_url(text: str) -> URL:
    """Read a database URL as people write it (`postgres://`, `postgresql://`), with our driver.
    Raises `BadDatabaseUrl`, which never repeats the URL: it may hold a password."""
    try:
        url = make_url(text)
    except ArgumentError:
        raise BadDatabaseUrl(_("it is not a URL like postgresql://user:password@host/name")) from None
    if url.drivername not in ("postgres", "postgresql", "postgresql+psycopg"):
        raise BadDatabaseUrl(
            _("{kind!r:.40} is not postgresql, the only kind there is", kind=url.drivername)
        )
    return url.set(drivername="postgresql+psycopg")


def make_engine(url: str, process: Process = "cli", *, role: str | None = APP_ROLE) -> Engine:
    """An engine whose sessions run as `role` from their first statement on (RESET ROLE comes back
    to it), in UTC, with the time-outs and the pool of this kind of process.

    `role=None` stays the user of the URL, the owner: for migrations alone."""
    limits = LIMITS[process]
    options = {
        "timezone": "UTC",
        "lock_timeout": _milliseconds(limits.lock),
        "statement_timeout": _milliseconds(limits.statement),
        "idle_in_transaction_session_timeout": _milliseconds(limits.idle_in_transaction),
    } | ({"role": role} if role else {})
    address = database_url(url)
    given = address.query.get("options", "")
    engine = create_engine(
        address.difference_update_query(["options"]),
        connect_args={
            "options": " ".join([str(given), *(f"-c {k}={v}" for k, v in options.items())]).strip(),
            "application_name": f"hub {process}",
            "connect_timeout": 5,
        },
        pool_size=limits.pool,
        max_overflow=0,
        pool_timeout=limits.pool_wait,
        pool_recycle=1800,
        hide_parameters=True,  # an error's text ends in logs, and parameters are people's data
    )
    event.listen(engine, "handle_error", _as_away)
    event.listen(engine, "checkin", _put_back)
    event.listen(engine, "checkout", _ask_if_idle)
    return engine


PING_AFTER = 1.0
"""A connection that lay idle for longer (seconds) is asked whether it still lives before it is used; a busy
one tells by itself, and asking each time was a fifth of a short request's statements."""


def _put_back(_connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
    record.info["put_back"] = time.monotonic()


def _ask_if_idle(
    connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: PoolProxiedConnection
) -> None:
    """Raises what makes the pool drop this connection, and all from before, and take a new one."""
    put_back = record.info.get("put_back")
    if put_back is None or time.monotonic() - put_back < PING_AFTER:
        return
    driver = cast("psycopg.Connection[Any]", connection)
    before = driver.autocommit
    try:
        driver.autocommit = True
        driver.execute("SELECT 1")
        driver.autocommit = before
    except psycopg.OperationalError:
        raise InvalidatePoolError from None


def _as_away(context: ExceptionContext) -> None:
    """A standby, a disk so full that writing was switched off, a transaction that was ended because this
    process stood still: nothing was written, and the next attempt may succeed. The driver calls them
    internal errors."""
    found = context.original_exception
    if isinstance(found, ReadOnlySqlTransaction | IdleInTransactionSessionTimeout):
        raise OperationalError(
            context.statement,
            None,
            found,
            hide_parameters=True,
            connection_invalidated=context.is_disconnect,
        ) from found


def make_sessions(engine: Engine) -> sessionmaker[Session]:
    """Sessions whose rows stay readable after a commit: reloading them on touch would open a
    transaction unseen, and it might stay open during network I/O."""
    return sessionmaker(engine, expire_on_commit=False)


def make_looks(engine: Engine) -> sessionmaker[Session]:
    """Sessions for single looks, each a statement of its own that sees what is committed by then: no
    transaction is begun or ended for it. What belongs together is asked in one statement."""
    return sessionmaker(engine.execution_options(isolation_level="AUTOCOMMIT"), expire_on_commit=False)


def libpq_url(url: str) -> str:
    """The URL as PostgreSQL's own tools (pg_dump, psql, pgbench) take it."""
    shown = database_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    address, mark, query = shown.partition("?")
    return address + mark + query.replace("+", "%20")  # libpq reads + as a plus


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))
