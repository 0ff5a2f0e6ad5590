"""What the long-running commands share: settings, logs, a current database, an end with the parent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from hub import log, migrate, parent
from hub.attach import attached
from hub.db import Process, make_engine
from hub.settings import Settings, load

NICE = 10
"""Of workers and the sweeper. Whoever waits for an answer goes first: orders that came in, and what channels are to
be told, can wait for a moment in which the machine has nothing better to do."""


@contextmanager
def process(kind: Process) -> Iterator[Settings]:
    """Settings with the servers' addresses, for a process that runs until it is told to end.
    Raises a `Refusal`: among others when the database lacks migrations."""
    parent.end_with_parent()
    settings = load()
    log.configure(settings.log_level, settings.log_format, process=kind)
    with attached(settings) as reached:
        engine = make_engine(reached.database_url)
        migrate.refuse_outdated(engine)
        engine.dispose()
        # processes of its own (the web's) load the settings again
        os.environ |= {"DATABASE_URL": reached.database_url, "REDIS_URL": reached.redis_url}
        yield reached
