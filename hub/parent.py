"""A child that ends when its parent is gone, however the parent ended (kill -9 included)."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

VARIABLE = "HUB_PARENT_PID"
_PR_SET_PDEATHSIG = 1
_WATCH_SECONDS = 0.5


def end_with_parent() -> None:
    """End this process when the process named in HUB_PARENT_PID is gone; do nothing without one.

    Killed outright: what was not committed is rolled back, what was leased is taken over. Call it
    from the main thread, before anything else is started."""
    expected = int(os.environ.get(VARIABLE) or 0)
    if not expected:
        return
    if sys.platform == "linux":
        # prctl(2): also ends us when only the parent's thread that started us ends
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(expected,), daemon=True).start()
    if os.getppid() != expected:
        os._exit(1)  # it was gone before we began to watch


def _watch(expected: int) -> None:
    while os.getppid() == expected:
        time.sleep(_WATCH_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
