"""Where Chromium is: CHROMIUM, chromium, google-chrome; Debian's package where we may install it."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache

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
            raise NoBrowser(f"CHROMIUM={named} is no program")
        return named
    return _found() or _installed()


def _found() -> str | None:
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def _installed() -> str:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise NoBrowser(
            "BROWSER TESTS SKIPPED: no Chromium; install one, or name it with CHROMIUM=/path/to/chromium"
        )
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "-y", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run(
            ["apt-get", "-qq", *words],
            check=False,
            env=quiet,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [""])[-1]
            raise NoBrowser(f"BROWSER TESTS SKIPPED: apt-get {words[0]} failed: {last}")
    found = _found()
    if found is None:
        raise NoBrowser("BROWSER TESTS SKIPPED: Debian's package brought no Chromium")
    return found
