"""What is sent to the database by the driver, statement by statement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import psycopg

PING = "SELECT 1"
"""What the pool asks of a connection that lay idle: nobody's statement."""

Asked = list[tuple[str, Any]]


@contextmanager
def statements() -> Iterator[Asked]:
    """All statements of this process inside the block with their parameters, in their order."""
    sent: Asked = []
    through = psycopg.Cursor.execute

    def execute(cursor: Any, query: Any, params: Any = None, **named: Any) -> Any:
        if query != PING:
            sent.append((query, params))
        return through(cursor, query, params, **named)

    with mock.patch.object(psycopg.Cursor, "execute", execute):
        yield sent


@contextmanager
def counted() -> Iterator[list[str]]:
    """Their texts alone, each on one line; complete when the block has ended."""
    texts: list[str] = []
    with statements() as asked:
        yield texts
    texts.extend(" ".join(str(query).split()) for query, _ in asked)
