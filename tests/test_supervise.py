from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hub import embedded, supervise
from hub.embedded import postgres, valkey
from hub.settings import Settings
from hub.supervise import Child, Tree
from tests.pace import FULL, paced
from tests.ups import Up, a_home, a_hub, free_port, half_sent, wait_for

pytestmark = pytest.mark.slow


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
@pytest.mark.parametrize("word", ["web", "worker", "sweep"][: paced(1, 3)])
def test_a_child_that_is_killed_is_started_again(running: Up, word: str) -> None:
    before = running.child(word)
    os.kill(before, signal.SIGKILL)
    assert running.child(word, besides=before) != before
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
    wait_for(lambda: running.can("SELECT 1"))
    wait_for(running.answers, said=running.log)


@linux
def test_logs_of_a_hub_without_a_terminal_are_json(running: Up) -> None:
    os.kill(running.child("sweep"), signal.SIGKILL)
    wait_for(lambda: "a child ended" in running.log())
    for line in running.log().splitlines():
        assert line.startswith("error: ") or json.loads(line)["process"]


# --- ends and new beginnings -----------------------------------------------------------------------


@linux
def test_after_kill_9_the_next_start_takes_over_and_whatever_was_half_sent_does_not_hold_up_its_end() -> (
    None
):
    with a_home() as home, a_hub(home) as up:
        place = embedded.prepare(up.data)
        up.ask("CREATE TABLE kept (n) AS SELECT 7")
        assert len(up.children()) >= 4
        up.process.kill()
        up.process.communicate()
        wait_for(lambda: up.children() == [])
        began = time.monotonic()
        with a_hub(home, up.port) as again, ExitStack() as senders:
            print(f"up again in {time.monotonic() - began:.1f} s")  # not asserted: machines differ
            assert "left running and is taken over" in " ".join(again.lines)
            assert again.ask("SELECT n FROM kept") == 7
            assert again.answers()
            for _ in range(20):
                senders.enter_context(half_sent(again.port))
            assert again.end(signal.SIGINT) < 10
        assert_nothing_is_left(again)

        command = again.run("migrate", "--json")  # which starts the servers for itself, and ends them
        out, _ = command.communicate(timeout=60)
        assert (command.returncode, out) == (0, "")
        assert (postgres.running_pid(place), valkey.running_pid(place)) == (None, None)


@linux
@pytest.mark.skipif(not FULL, reason="at a desk Ctrl-C is tried, above")
def test_a_hub_that_is_told_to_terminate_ends_everything() -> None:
    with a_home() as home, a_hub(home) as up:
        up.end(signal.SIGTERM)
        assert_nothing_is_left(up)


def assert_nothing_is_left(up: Up) -> None:
    place = embedded.prepare(up.data)
    assert up.process.returncode == 0
    assert up.children() == []
    assert (postgres.running_pid(place), valkey.running_pid(place)) == (None, None)
    assert "Stopped." in up.lines
    assert "Traceback" not in up.log()


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
