"""`hub web`: the WSGI server around `hub.app:create_app`."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels

from hub import log, parent
from hub.settings import Settings, load

STOP_SECONDS = 3
SWITCH_SECONDS = 0.0005
"""How long a thread may keep the interpreter while others wait (Python: 0.005): the thread that
commits for a group of requests must not stand behind each of them."""

_LOGS = {
    "loggers": {"_granian": {"handlers": [], "propagate": True}},
    "handlers": {},
}
"""The server's own lines go the way of all others."""


def run(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM.

    A sender that stops in the middle of a body holds one thread for as long as it likes (the
    server has no time-out for bodies, and its threads block): hence many threads, and the advice
    to put a proxy that buffers bodies in front."""
    os.environ[parent.VARIABLE] = str(os.getpid())
    importlib.import_module("hub.app")  # once, before the web processes are forked
    Granian(
        "hub.app",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=settings.web_processes,
        blocking_threads=settings.web_threads,
        backlog=2048,
        backpressure=settings.web_threads * 2,
        respawn_failed_workers=True,
        respawn_interval=0.1,
        workers_kill_timeout=STOP_SECONDS,
        log_level=LogLevels.error,
        log_dictconfig=_LOGS,
    ).serve(target_loader=load_app, wrap_loader=False)


def load_app() -> Callable[..., Any]:
    """The application, made inside each web process."""
    parent.end_with_parent()
    settings = load()
    log.configure(settings.log_level, settings.log_format, process="web")
    sys.setswitchinterval(SWITCH_SECONDS)
    from hub.app import create_app

    app: Callable[..., Any] = create_app()
    _collect_less()
    return app


def _collect_less() -> None:
    """What was loaded stays for good: looking through it for cycles again and again would hold up every request
    of the process. What requests leave behind is looked through as before, a little less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
