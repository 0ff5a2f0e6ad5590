"""What every test may ask for: a database of its own, a doorbell, a clock; and no way out."""

from __future__ import annotations

import gc
import ipaddress
import os
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import redis
import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from hub import i18n
from hub.db import make_engine, make_sessions
from hub.embedded import Servers
from tests import apps
from tests import servers as test_servers

_RUN = pytest.StashKey[test_servers.Run]()

# how long an example takes is no property of the code: two other test processes stand on the same cores
hypothesis.settings.register_profile("hub", deadline=None)
hypothesis.settings.load_profile("hub")
# `make mutants` asks thousands of times whether anything fails, not for the smallest case that does
hypothesis.settings.register_profile(
    "mutants",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=25,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)


# --- the servers of this run ---------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    handed = getattr(config, "workerinput", None)
    run = test_servers.Run(Path(handed["hub_run"])) if handed else test_servers.Run.new()
    config.stash[_RUN] = run


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["hub_run"] = str(node.config.stash[_RUN].root)


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and _RUN in config.stash:
        config.stash[_RUN].end()
        test_servers.end_left_behind()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was not looked at in a browser is said once, loudly."""
    found = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    unseen = [text for text in found if "BROWSER TESTS SKIPPED" in text]
    if unseen:
        why = unseen[0].partition("BROWSER TESTS SKIPPED: ")[2].rstrip("')")
        line = f"{len(unseen)} BROWSER TESTS SKIPPED, no page was opened: {why}"
        terminalreporter.write_line(line, red=True, bold=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each test process begins with its share of the slow ones, so that all end at about the same time. What
    stands in one file stays together: it may share a hub that is slow to start."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    slow = [item for item in items if item.get_closest_marker("slow")]
    rest = [item for item in items if not item.get_closest_marker("slow")]
    files = [list(group) for _, group in groupby(slow, key=lambda item: item.path)]
    shares: list[list[pytest.Item]] = [[] for _ in range(processes)]
    for file in sorted(files, key=len, reverse=True):
        min(shares, key=len).extend(file)
    size, order = len(items) // processes, []
    for own in shares:
        order += own + rest[: size - len(own)]
        del rest[: size - len(own)]
    items[:] = order + rest


def pytest_collection_finish() -> None:
    """What was imported and collected is there to stay: looking through it for garbage takes a tenth of a run."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> Servers:
    """This run's PostgreSQL (forgetful, for speed) and Valkey."""
    return pytestconfig.stash[_RUN].servers()


@pytest.fixture(scope="session")
def _own_database(servers: Servers, worker_id: str) -> Iterator[test_servers.Database]:
    database = test_servers.Database(servers, worker_id)
    yield database
    database.drop()


@pytest.fixture
def database(_own_database: test_servers.Database) -> Iterator[str]:
    """The owner's URL of a migrated, empty database for this test alone."""
    with _own_database.lent() as url:
        yield url


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    """An engine as the hub's processes have it: a role that owns nothing."""
    engine = make_engine(database)
    yield engine
    engine.dispose()


@pytest.fixture
def owner(database: str) -> Iterator[Engine]:
    """An engine as the owner of everything, for tampering."""
    engine = make_engine(database, role=None)
    yield engine
    engine.dispose()


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    return make_sessions(engine)


@pytest.fixture
def session(sessions: sessionmaker[Session]) -> Iterator[Session]:
    """A session whose transaction the test ends itself; what it leaves open is rolled back."""
    with sessions() as session:
        yield session


@pytest.fixture
def redis_url(servers: Servers, worker_id: str) -> Iterator[str]:
    """An empty Valkey database, one per test process."""
    number = 0 if worker_id == "master" else int(worker_id.removeprefix("gw")) + 1
    url = servers.redis_url.replace("db=0", f"db={number}")
    with redis.Redis.from_url(url) as client:
        client.flushdb()
        yield url
        client.flushdb()


@pytest.fixture(autouse=True)
def _lent_apps() -> Iterator[None]:
    """Applications made for a test serve the next one."""
    with apps.lending():
        yield


@pytest.fixture(autouse=True)
def _plain_logs() -> Iterator[None]:
    """Faults are logged by the hundred: a traceback with the values of variables takes seconds."""
    shown = structlog.dev.ConsoleRenderer(
        colors=False, exception_formatter=structlog.dev.plain_traceback
    )
    structlog.configure(
        processors=[structlog.stdlib.add_log_level, shown],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),  # what a command prints stays its own
    )
    yield
    structlog.reset_defaults()


# --- language, time and the outside world ------------------------------------------------------------------


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the terminal speaks, and whatever the test before left in force."""
    monkeypatch.setenv("LANGUAGE", i18n.SOURCE)
    i18n.speak(i18n.SOURCE)


class Clock:
    """A clock that stands still until it is told otherwise; call it for the time (aware UTC)."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **step: float) -> datetime:
        """Move on by `timedelta(**step)`."""
        self.now += timedelta(**step)
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime(2026, 11, 2, 3, 4, 5, tzinfo=UTC))


class OutsideSocket(AssertionError):
    """A test tried to reach another machine."""


def _is_here(host: object) -> bool:
    if host is None or host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True)
def no_outside_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections stay on this machine; names of the outside world do not resolve."""
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_here(address[0]):
            raise OutsideSocket(f"a test tried to connect to {address[0]}")
        connect(self, address)

    def guarded_resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if _is_here(name) or _is_address(name):
            return resolve(host, *args, **kwargs)
        raise socket.gaierror(socket.EAI_NONAME, f"tests do not resolve {name}")

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_resolve)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
