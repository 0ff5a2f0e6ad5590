"""A step in a transaction of its own, kept or rolled back, tried again when another process came between."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.db import AWAY
from hub.ledger.accounts import RootChanged
from hub.members.resolve import Collision
from hub.runtime import Runtime

T = TypeVar("T")

AGAIN = 5
"""How often."""


def again(runtime: Runtime, step: Callable[[Session], T], *, seconds: float | None = None) -> T:
    """What the step returns; whatever it refuses with is raised, and what still came between at the last try.
    `seconds`: after which no further try is begun."""
    began = time.monotonic()
    for attempt in range(AGAIN):
        try:
            with runtime.sessions.begin() as session:
                return step(session)
        except (Collision, RootChanged, *AWAY) as error:
            # a deadlock or a lock time-out is an OperationalError too: nothing was written
            late = seconds is not None and time.monotonic() - began > seconds
            if attempt == AGAIN - 1 or late or is_too_large(error):
                raise
            time.sleep(0.02 * 2**attempt)
    raise AssertionError("unreachable")


def rolled_back(runtime: Runtime, step: Callable[[Session], T], *, times: int, seconds: int) -> T:
    """What the step returns; all that it wrote is undone. It waits for nobody's locks longer than 300 ms and for no
    statement longer than `seconds`, and is tried so many times when another process came between."""
    for attempt in range(times):
        with runtime.sessions() as session:
            try:
                run(session, "SET LOCAL lock_timeout = '300ms'")
                run(session, f"SET LOCAL statement_timeout = '{seconds}s'")
                return step(session)
            except (Collision, RootChanged, *AWAY):
                if attempt == times - 1:
                    raise
            finally:
                session.rollback()
        time.sleep(0.02 * 2**attempt)
    raise AssertionError("unreachable")


def is_too_large(error: Exception) -> bool:
    """A limit of the database that what is written itself breaks (class 54), which no waiting mends:
    https://www.postgresql.org/docs/current/errcodes-appendix.html"""
    found = getattr(getattr(error, "orig", None), "sqlstate", None)
    return isinstance(found, str) and found.startswith("54")
