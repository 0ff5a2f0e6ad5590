"""Where Chromium is: CHROMIUM, chromium, google-chrome; Debian's package where we may install it."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

NAMES = ("chromium", "google-chrome", "google-chrome-stable", "chromium-browser")
PACKAGES = ("chromium", "fonts-noto-core")


class NoBrowser(Exception):
    """There is none, and none can be installed; the message is one line that says what to do."""


@cache
def path() -> str:
    """The browser's program. Raises `NoBrowser`."""
    named = os.environ.get("CHROMIUM")
    if named:
        if shutil.which(named) is None:
            raise NoBrowser(f"BROWSER TESTS SKIPPED: CHROMIUM={named} is no program")
        return named
    return _found() or _installed()


def _found() -> str | None:
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def _installed() -> str:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise NoBrowser(
            "BROWSER TESTS SKIPPED: no Chromium; install one, or name it with CHROMIUM=/path/to/chromium"
        )
    with (Path(tempfile.gettempdir()) / "hub-tests-apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes come here at once
        if _found() is None:
            _apt_get("update")
            _apt_get("install", "-y", "--no-install-recommends", *PACKAGES)
    found = _found()
    if found is None:
        raise NoBrowser("BROWSER TESTS SKIPPED: Debian's package brought no Chromium")
    return found


def _apt_get(*words: str) -> None:
    done = subprocess.run(
        ["apt-get", "-qq", *words],
        check=False,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        raise NoBrowser(f"BROWSER TESTS SKIPPED: apt-get {words[0]} failed: {last}")
