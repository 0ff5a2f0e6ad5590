"""One hub per data directory: a pid file that is held by a lock, so that it cannot go stale."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub.errors import Refusal
from hub.i18n import gettext as _


class AlreadyHeld(Refusal):
    """Another process holds the directory; `pid` is its number, 0 when it did not say."""

    def __init__(self, pid: int, directory: Path) -> None:
        super().__init__(
            _(
                "another hub (pid {pid}) runs on {directory}; end it first (kill {pid}), or set HUB_DATA "
                "to another directory",
                pid=pid,
                directory=directory,
            )
        )
        self.pid = pid


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Hold `directory` while the block runs. Raises `AlreadyHeld`.

    The lock goes with the process that took it, however it ends: a pid left in the file by one
    that was killed means nothing."""
    with (directory / "hub.pid").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyHeld(_pid(directory / "hub.pid"), directory) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
        file.truncate(0)


def _pid(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0
