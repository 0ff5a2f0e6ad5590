"""A whole hub of a test's own: `hub up` as an operator starts it, on servers and a port of its own."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from hub import embedded
from hub.db import libpq_url
from hub.embedded import postgres

_numbers = itertools.count(1)


class Up:
    """A `hub up` of this test's own, and what it said."""

    def __init__(self, home: Path, port: int, *options: str, **environment: str) -> None:
        self.data = home / "data"
        self._more = environment
        self.port = port
        self.home = home
        self.process = self.run("up", *options)
        self.lines: list[str] = []

    def run(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        with (self.home / "log").open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "hub", *words],
                env=self.environment | environment,
                cwd=self.home,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "REDIS_URL")}
        checkout = str(Path(__file__).parents[1])
        ours = {"HUB_DATA": str(self.data), "PORT": str(self.port), "HUB_WORKERS": "1"}
        return kept | ours | {"PYTHONPATH": checkout, "HUB_WEB_PROCESSES": "1"} | self._more

    def wait_until_ready(self) -> float:
        """Seconds until it said that it is ready."""
        began = time.monotonic()
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.strip())
            if "ready at" in line:
                return time.monotonic() - began
        raise AssertionError(f"it ended with {self.process.wait()}: {(self.home / 'log').read_text()}")

    def end(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Seconds until it had ended after a signal."""
        began = time.monotonic()
        self.process.send_signal(number)
        out, _ = self.process.communicate(timeout=30)
        self.lines += out.split("\n")
        return time.monotonic() - began

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=3) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def children(self, word: str = "") -> list[int]:
        """Pids of the processes `hub <word>` that belong to this hub, zombies left out."""
        entries = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        ours = [e for e in entries if f"-m hub {word}" in _command(e) and self._is_ours(e)]
        return sorted({int(entry.name) for entry in ours} - {self.process.pid})

    def child(self, word: str, besides: int = 0) -> int:
        """The pid of the `hub <word>` that the supervisor itself started, once there is one besides that one:
        a child that fell with its server, or was killed by the test before, is started again after a pause.
        The web's child has processes of its own, which end and come with it and are not meant."""
        wait_for(lambda: self._started(word) - {besides}, said=self.log)
        return min(self._started(word) - {besides})

    def _started(self, word: str) -> set[int]:
        return {pid for pid in self.children(word) if _parent(pid) == self.process.pid}

    def _is_ours(self, entry: Path) -> bool:
        try:
            return f"HUB_DATA={self.data}\0".encode() in (entry / "environ").read_bytes()
        except OSError:
            return False

    def log(self) -> str:
        return (self.home / "log").read_text()

    def can(self, statement: str) -> bool:
        """Whether the database answers; while it starts it may cut the line."""
        try:
            self.ask(statement)
        except psycopg.OperationalError:
            return False
        return True

    def ask(self, statement: str) -> object:
        url = libpq_url(postgres.url(embedded.prepare(self.data)))
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def _command(entry: Path) -> str:
    try:
        return (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _parent(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])  # the name before it may hold anything, spaces too


def wait_for(
    condition: Callable[[], object], seconds: float = 60, said: Callable[[], str] = lambda: ""
) -> float:
    """Seconds until the condition held; `said` is shown when it did not."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"it did not happen in time\n{said()[-3000:]}"
        time.sleep(0.05)
    return time.monotonic() - began


def half_sent(port: int) -> socket.socket:
    """A sender that announces a kilobyte, sends some of it and then nothing more."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    head = b"POST /webhooks/nobody HTTP/1.1\r\nHost: hub\r\nContent-Length: 1024\r\n\r\n"
    connection.sendall(head + b"half a body")
    return connection


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def a_home() -> Iterator[Path]:
    home = Path(tempfile.gettempdir()) / f"hub-test-up-{os.getpid()}-{next(_numbers)}"
    home.mkdir()
    home.chmod(0o755)
    try:
        yield home
    finally:
        if (home / "data").exists():
            embedded.stop(home / "data")
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def a_hub(home: Path, port: int | None = None) -> Iterator[Up]:
    up = Up(home, port or free_port())
    try:
        up.wait_until_ready()
        yield up
    finally:
        if up.process.poll() is None:
            up.end()
