"""How long the long tests are: short at a desk, in full where a change lands (`HUB_TESTS_FULL=1`)."""

from __future__ import annotations

import os
from typing import TypeVar

Number = TypeVar("Number", int, float)

FULL = os.environ.get("HUB_TESTS_FULL", "") not in ("", "0")


def paced(short: Number, full: Number) -> Number:
    """`full` in a full run, else `short`."""
    return full if FULL else short
