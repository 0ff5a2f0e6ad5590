from __future__ import annotations

import itertools
import json
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
import pytest

from hub import embedded, supervise
from hub.db import libpq_url
from hub.embedded import postgres, valkey
from hub.settings import Settings
from hub.supervise import Child, Tree

pytestmark = pytest.mark.slow
_numbers = itertools.count(1)


class Up:
    """A `hub up` of this test's own, and what it said."""

    def __init__(self, home: Path, port: int) -> None:
        self.data = home / "data"
        self.port = port
        self.home = home
        self.process = self.run("up")
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
        return kept | ours | {"PYTHONPATH": checkout, "HUB_WEB_PROCESSES": "1"}

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

    def _is_ours(self, entry: Path) -> bool:
        try:
            return f"HUB_DATA={self.data}\0".encode() in (entry / "environ").read_bytes()
        except OSError:
            return False

    def log(self) -> str:
        return (self.home / "log").read_text()

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


def wait_for(
    condition: Callable[[], object], seconds: float = 10, said: Callable[[], str] = lambda: ""
) -> float:
    """Seconds until the condition held; `said` is shown when it did not."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"it did not happen in time\n{said()[-3000:]}"
        time.sleep(0.05)
    return time.monotonic() - began


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


@pytest.fixture(scope="module")
def running() -> Iterator[Up]:
    """A hub for the tests that leave it running."""
    with a_home() as home, a_hub(home) as up:
        yield up


linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


# --- beside a running hub --------------------------------------------------------------------------


def test_it_says_one_plain_line_a_step_and_ends_with_the_address(running: Up) -> None:
    said = " / ".join(running.lines)
    for word in ("Encryption keys", "PostgreSQL", "Valkey", "migration", "worker"):
        assert word in said
    assert running.lines[-1] == f"The hub is ready at http://localhost:{running.port}"
    assert running.answers()


def test_a_second_hub_on_the_same_data_refuses_and_names_the_pid(running: Up) -> None:
    second = running.run("up", PORT=str(free_port()))
    second.communicate(timeout=30)
    assert second.returncode == 1
    assert f"another hub (pid {running.process.pid}) runs on {running.data}" in running.log()
    assert running.answers()


def test_a_taken_port_is_named_with_the_way_out(running: Up) -> None:
    second = running.run("up", HUB_DATA=str(running.home / "other"))
    second.communicate(timeout=30)
    assert second.returncode == 1
    assert f"error: port {running.port} on 127.0.0.1 cannot be used" in running.log()


def test_a_command_beside_it_uses_its_servers(running: Up) -> None:
    pid = postgres.running_pid(embedded.prepare(running.data))
    command = running.run("migrate")
    out, _ = command.communicate(timeout=30)
    assert (command.returncode, out) == (0, "The database is up to date.\n")
    assert postgres.running_pid(embedded.prepare(running.data)) == pid


@linux
@pytest.mark.parametrize("word", ["worker", "sweep", "web"])
def test_a_child_that_is_killed_is_started_again(running: Up, word: str) -> None:
    before = running.children(word)
    os.kill(before[0], signal.SIGKILL)
    wait_for(lambda: running.children(word) and not set(before) & set(running.children(word)))
    wait_for(running.answers, said=running.log)
    assert "killed by signal 9" in running.log()


@linux
def test_a_server_that_is_killed_is_started_again(running: Up) -> None:
    place = embedded.prepare(running.data)
    for server in (postgres, valkey):
        pid = server.running_pid(place)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: postgres.running_pid(place) and valkey.running_pid(place))
    wait_for(lambda: running.ask("SELECT 1") == 1)
    wait_for(running.answers, said=running.log)


# --- ends and new beginnings -----------------------------------------------------------------------


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_everything_within_ten_seconds(number: signal.Signals) -> None:
    with a_home() as home, a_hub(home) as up:
        place = embedded.prepare(up.data)
        took = up.end(number)
        assert took < 10
        assert up.process.returncode == 0
        assert up.children() == []
        assert (postgres.running_pid(place), valkey.running_pid(place)) == (None, None)
        assert "Stopped." in up.lines
        assert "Traceback" not in up.log()


@linux
def test_after_kill_9_the_children_end_and_the_next_start_is_up_in_ten_seconds() -> None:
    with a_home() as home, a_hub(home) as up:
        up.ask("CREATE TABLE kept (n) AS SELECT 7")
        children = up.children()
        assert len(children) >= 4
        up.process.kill()
        up.process.communicate()
        wait_for(lambda: up.children() == [], seconds=2)
        began = time.monotonic()
        with a_hub(home, up.port) as again:
            assert time.monotonic() - began < 10
            assert "left running and is taken over" in " ".join(again.lines)
            assert again.ask("SELECT n FROM kept") == 7
            assert again.answers()


@linux
def test_a_command_on_its_own_starts_the_servers_and_ends_them() -> None:
    with a_home() as home, a_hub(home) as up:
        up.end()
        command = up.run("migrate", "--json")
        out, _ = command.communicate(timeout=60)
        place = embedded.prepare(up.data)
        assert (command.returncode, out) == (0, "")
        assert (postgres.running_pid(place), valkey.running_pid(place)) == (None, None)


# --- the tree of processes -------------------------------------------------------------------------


@pytest.fixture
def grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Tree]]:
    """A tree with one child that runs a shell script."""
    trees: list[Tree] = []
    monkeypatch.setattr(supervise, "STOP_SECONDS", 0.5)

    def tree(script: str) -> Tree:
        trees.append(Tree(Settings(data=tmp_path), [Child("child", ["sh", "-c", script])], prefix=True))
        trees[-1].restart_dead()
        return trees[-1]

    yield tree
    for grown in trees:
        grown.stop()


def listen(tree: Tree, seconds: float) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        tree.listen(0.02)
        tree.restart_dead()


def test_a_childs_lines_come_through_with_its_name(
    grow: Callable[[str], Tree], capsys: pytest.CaptureFixture[str]
) -> None:
    tree = grow("echo one; echo two >&2; printf 'no newline'; sleep 60")
    listen(tree, 0.5)
    tree.stop()
    shown = capsys.readouterr().err.splitlines()
    assert shown == ["child     | one", "child     | two", "child     | no newline"]


def test_a_child_that_keeps_dying_is_started_at_growing_intervals(
    grow: Callable[[str], Tree], tmp_path: Path
) -> None:
    tree = grow(f"date +%s.%N >> {tmp_path / 'starts'}; exit 3")
    listen(tree, 2.5)
    starts = [float(line) for line in (tmp_path / "starts").read_text().split()]
    pauses = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert 3 <= len(pauses) <= 5
    assert pauses == sorted(pauses)


def test_a_child_that_does_not_end_is_killed(grow: Callable[[str], Tree]) -> None:
    tree = grow("trap '' TERM; while true; do sleep 0.1; done")
    listen(tree, 0.3)
    began = time.monotonic()
    tree.stop()
    assert time.monotonic() - began < 2
    assert all(child.process and child.process.poll() is not None for child in tree.children)


def test_logs_of_a_hub_without_a_terminal_are_json(running: Up) -> None:
    lines = [line for line in running.log().splitlines() if not line.startswith("error: ")]
    assert lines
    for line in lines:
        assert json.loads(line)["process"]
