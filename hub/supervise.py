"""`hub up`: everything the hub needs in one process tree, started in order and kept alive."""

from __future__ import annotations

import http.client
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import IO

import structlog

from hub import embedded, migrate, parent, sandboxes
from hub.attach import Say, revive, servers
from hub.db import make_engine, make_sessions
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.i18n import language, ngettext
from hub.pidfile import held
from hub.secrets import load_keys
from hub.settings import Settings
from hub.users.first import first_owner

STOP_SECONDS = 4
"""Children that have not ended by then are killed; with the servers it stays below ten."""
READY_SECONDS = 60
LOOK_SECONDS = 0.5
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
HEALTHY_SECONDS = 30
"""A child that ran this long starts again without a pause when it dies."""

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class CannotStart(Refusal):
    """The hub cannot start as things are; the message is a sentence that names what to do."""


@dataclass(slots=True)
class Child:
    """One process kept alive: what to run, and how its last lives went."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = 0.0
    due: float = 0.0
    """Monotonic time of the next start, while it is not running."""
    unfinished: bytes = b""

    def ended(self) -> int | None:
        """Its exit code when it has just ended (negative: the signal), else None."""
        return self.process.poll() if self.process else None


@dataclass(slots=True)
class Tree:
    """The running children and the door their lines come through."""

    settings: Settings
    children: list[Child]
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    prefix: bool = False
    """Lines for people carry the child's name; JSON lines say it themselves."""

    def add(self, children: Iterable[Child]) -> None:
        """Start further ones, and keep them alive like the others."""
        for child in children:
            self.children.append(child)
            self.start(child)

    def start(self, child: Child) -> None:
        child.process = subprocess.Popen(  # noqa: S603 - our own interpreter and words
            child.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_child_environment(self.settings),
            process_group=0,  # a Ctrl-C in the terminal reaches us alone; we end them in order
        )
        child.started = time.monotonic()
        output = _pipe(child.process)
        os.set_blocking(output.fileno(), False)
        self.selector.register(output, selectors.EVENT_READ, child)

    def listen(self, seconds: float) -> None:
        """Pass on what children print, for at most `seconds` or until something came."""
        for key, _events in self.selector.select(seconds):
            self._read(key.data)

    def restart_dead(self) -> None:
        """Note who ended, and start who is due: at once after a healthy life, else after a pause
        that doubles with each short one."""
        now = time.monotonic()
        for child in self.children:
            code = child.ended()
            if code is not None:
                self._bury(child, code, now)
            if child.process is None and now >= child.due:
                self.start(child)

    def stop(self) -> None:
        """Ask everybody to end, and kill who does not in time."""
        for child in self.children:
            if child.process:
                child.process.terminate()
        ends = time.monotonic() + STOP_SECONDS
        while self._alive() and time.monotonic() < ends:
            self.listen(0.05)
        for child in self._alive():
            _log.warning("a child did not end in time and is killed", child=child.name)
        for child in self.children:
            if child.process:
                _kill_group(child)
                child.process.wait()
                self._close(child)

    def _alive(self) -> list[Child]:
        return [c for c in self.children if c.process and c.process.poll() is None]

    def _bury(self, child: Child, code: int, now: float) -> None:
        _kill_group(child)
        self._close(child)
        healthy = now - child.started >= HEALTHY_SECONDS
        child.pause = FIRST_PAUSE if healthy or not child.pause else min(child.pause * 2, LONGEST_PAUSE)
        child.process, child.due = None, now + child.pause
        _log.warning(
            "a child ended and is started again",
            child=child.name,
            how=_how(code),
            in_seconds=round(child.pause, 1),
        )

    def _read(self, child: Child) -> None:
        """Pass on the whole lines that have arrived."""
        if child.process is None or _pipe(child.process).closed:
            return
        arrived = b"-"
        while arrived:
            try:
                arrived = os.read(_pipe(child.process).fileno(), 65536)
            except BlockingIOError:
                return
            *lines, child.unfinished = (child.unfinished + arrived).split(b"\n")
            for line in lines:
                self._pass_on(child, line)
        self._end_output(child)

    def _close(self, child: Child) -> None:
        """Pass on what a child that has ended still said, and close its output."""
        self._read(child)
        self._end_output(child)

    def _end_output(self, child: Child) -> None:
        output = _pipe(child.process)
        if output.closed:
            return
        if child.unfinished:
            self._pass_on(child, child.unfinished)
        child.unfinished = b""
        self.selector.unregister(output)
        output.close()

    def _pass_on(self, child: Child, line: bytes) -> None:
        text = line.decode("utf-8", "replace")
        try:
            sys.stderr.write(f"{child.name:9} | {text}\n" if self.prefix else f"{text}\n")
            sys.stderr.flush()
        except BrokenPipeError:
            return  # nobody reads any more: that must not keep us from ending children in order


def up(settings: Settings, say: Say, *, demo: bool = False) -> None:
    """Start everything, keep it alive until SIGINT or SIGTERM, end everything. `say` gets one plain
    line a step. Raises `CannotStart`, `AlreadyHeld`, `EmbeddedError`, `MigrationRefused`,
    `SecretsError`."""
    stop = _Signals()
    if demo:
        settings = codes_into_the_log(settings)
    _make_data(settings)
    with held(settings.data):
        _refuse_taken_port(settings)
        if load_keys(settings.keys, settings.keys_path, create=True):
            say(
                _(
                    "Encryption keys: {source}",
                    source="HUB_KEYS" if settings.keys else settings.keys_path,
                )
            )
        with servers(settings, say) as reached:
            _migrate(reached, say)
            welcome = _first_owner(reached)
            _run(settings, reached, say, stop, welcome, demo=demo)
            say(_("Stopping..."))
        say(_("Stopped."))


def _run(
    given: Settings, settings: Settings, say: Say, stop: _Signals, welcome: str, *, demo: bool
) -> None:
    tree = Tree(settings, _children(settings), prefix=settings.log_format == "console")
    player: subprocess.Popen[bytes] | None = None
    try:
        tree.restart_dead()
        _wait_until_ready(tree, stop)
        if stop.seen:
            return
        say(_worker_words(settings.workers))
        say(_("The hub is ready at {address}", address=settings.public_url))
        greeting = [welcome] if welcome else []
        if demo:
            shops = sandboxes.stands(settings.data)
            tree.add(Child(f"shop-{shop.kind}", shop.command) for shop in shops)
            player = subprocess.Popen(  # noqa: S603 - our own interpreter and words
                _command("demo") + [f"--shop={shop.kind}={shop.address}" for shop in shops],
                env=_child_environment(settings),
            )
            greeting.append(_("The dashboard is at {address}", address=settings.public_url))
        _keep_alive(tree, given, stop, player, lambda: _say_all(say, greeting))
    finally:
        if player and player.poll() is None:
            player.terminate()
        tree.stop()


def _say_all(say: Say, lines: Sequence[str]) -> None:
    for line in lines:
        say(line)


def _worker_words(n: int) -> str:
    return ngettext("Web, sweeper and {n} worker are up", "Web, sweeper and {n} workers are up", n, n=n)


def _keep_alive(
    tree: Tree,
    given: Settings,
    stop: _Signals,
    player: subprocess.Popen[bytes] | None,
    greet: Callable[[], None],
) -> None:
    """Until somebody wants an end. Greets once, after the demo: what people need stands last."""
    looked, greeted = time.monotonic(), False
    while not stop.seen:
        if not greeted and (player is None or player.poll() is not None):
            greeted = True
            greet()
        tree.listen(LOOK_SECONDS)
        tree.restart_dead()
        if time.monotonic() - looked > 1:
            for name in revive(given):
                _log.warning("a server had ended and was started again", server=name)
            looked = time.monotonic()
    if not greeted:
        greet()  # a password that was never shown would be lost


def _children(settings: Settings) -> list[Child]:
    workers = [Child(f"worker-{n}", _command("worker")) for n in range(1, settings.workers + 1)]
    return [Child("web", _command("web")), *workers, Child("sweep", _command("sweep"))]


def _command(word: str) -> list[str]:
    return [sys.executable, "-m", "hub", word]


def codes_into_the_log(settings: Settings) -> Settings:
    """In the demo one-time codes are read in the log, unless the operator says how they are sent."""
    return replace(settings, sms=settings.sms or {"send": "log"}, mail=settings.mail or {"send": "log"})


def _child_environment(settings: Settings) -> dict[str, str]:
    """Ours, and what we found out: where the servers are, how logs look, and how messages are sent."""
    senders = {"HUB_SMS": settings.sms, "HUB_MAIL": settings.mail}
    return (
        os.environ
        | {name: json.dumps(dict(told)) for name, told in senders.items() if told}
        | {
            "DATABASE_URL": settings.database_url,
            "REDIS_URL": settings.redis_url,
            "HUB_DATA": str(settings.data),
            "HUB_LOG_FORMAT": settings.log_format,
            "PYTHONUNBUFFERED": "1",
            parent.VARIABLE: str(os.getpid()),
        }
    )


def _make_data(settings: Settings) -> None:
    if settings.database_url and settings.redis_url:
        settings.data.mkdir(parents=True, exist_ok=True)
    else:
        embedded.prepare(settings.data)


def _migrate(settings: Settings, say: Say) -> None:
    ran = migrate.upgrade(settings.database_url)
    if ran:
        say(
            ngettext("Database: {n} migration ran", "Database: {n} migrations ran", len(ran), n=len(ran))
        )
    else:
        say(_("Database: up to date"))
    engine = make_engine(settings.database_url)
    migrate.refuse_outdated(engine)
    engine.dispose()


def _first_owner(settings: Settings) -> str:
    """On a hub that nobody can log in to: make its first user, and the line that says how."""
    engine = make_engine(settings.database_url)
    try:
        with make_sessions(engine).begin() as session:
            made = first_owner(session, locale=language(), actor="cli:up")
    finally:
        engine.dispose()
    if made is None:
        return ""
    user, password = made
    return _(
        "Log in as {email} with the password {password} (shown this once; `hub user password {email}` "
        "makes another)",
        email=user.email,
        password=password,
    )


def _refuse_taken_port(settings: Settings, patience: float = 3.0) -> None:
    """Patient for a moment: web processes of a hub that was just killed may still be ending."""
    ends = time.monotonic() + patience
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    while True:
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((settings.host, settings.port))
                return
        except PermissionError:
            raise CannotStart(
                _("port {port} needs root; choose one above 1023 (PORT=8080 hub up)", port=settings.port)
            ) from None
        except OSError as error:
            if time.monotonic() > ends:
                raise CannotStart(
                    _(
                        "port {port} on {host} cannot be used ({error}); end what uses it, or choose "
                        "another (PORT={other} hub up)",
                        port=settings.port,
                        host=settings.host,
                        error=error.strerror,
                        other=settings.port + 1,
                    )
                ) from None
            time.sleep(0.1)


def _wait_until_ready(tree: Tree, stop: _Signals) -> None:
    """Until the web answers anything at all."""
    ends = time.monotonic() + READY_SECONDS
    while not stop.seen and not _answers(tree.settings):
        tree.listen(0.05)
        if any(child.ended() is not None for child in tree.children):
            tree.listen(0.2)
            raise CannotStart(_("a process of the hub ended while starting; its last words are above"))
        if time.monotonic() > ends:
            raise CannotStart(
                _(
                    "the web server did not answer within {seconds} seconds",
                    seconds=READY_SECONDS,
                )
            )


def _answers(settings: Settings) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    connection = http.client.HTTPConnection(host, settings.port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


class _Signals:
    """Remembers that the operator wants an end; a second wish changes nothing."""

    def __init__(self) -> None:
        self.seen = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                signal.signal(number, self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.seen = True


def _kill_group(child: Child) -> None:
    """The child and whatever it started (web processes below their server)."""
    assert child.process is not None
    try:
        os.killpg(child.process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _how(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def _pipe(process: subprocess.Popen[bytes] | None) -> IO[bytes]:
    assert process is not None
    assert process.stdout is not None
    return process.stdout
