"""Statements with named parameters, and many rows in one statement: columns travel as arrays.

Arrays are sent in PostgreSQL's binary format: seven times less work than their text form, which
has to quote every element (measured: 9 against 68 microseconds a row of twelve columns).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import Row
from sqlalchemy.orm import Session

_PARAMETER = re.compile(r"(?<!:):([a-z_][a-z0-9_]*)")


def unnest(columns: Mapping[str, str], alias: str = "r") -> str:
    """SQL of a row source over array parameters: `unnest({"id": "bigint"})` is
    `unnest(CAST(:id AS bigint[])) AS r(id)`. Names are the caller's own, never input."""
    arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in columns.items())
    return f"unnest({arrays}) AS {alias}({', '.join(columns)})"


def arrays(columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The parameters for `unnest`: one list a column."""
    return {name: [row[name] for row in rows] for name in columns}


def json_text(value: Any) -> str:
    """A value of plain JSON types as text for a jsonb column."""
    return orjson.dumps(value).decode()


def run(
    session: Session, statement: str, parameters: Mapping[str, Any] | None = None
) -> Sequence[Row[Any]]:
    """Execute a statement with `:name` parameters and fetch all; an empty list when it returns no
    rows. Values are bound by the driver, lists as arrays."""
    given = dict(parameters or {})
    lists = frozenset(name for name, value in given.items() if isinstance(value, list))
    result = session.connection().exec_driver_sql(_driver_sql(statement, lists), given)
    return result.all() if result.returns_rows else []


@lru_cache(maxsize=1024)
def _driver_sql(statement: str, lists: frozenset[str]) -> str:
    """The statement in the driver's form; parameters that are lists are sent in binary."""

    def placeholder(match: re.Match[str]) -> str:
        name = match[1]
        return f"%({name}){'b' if name in lists else 's'}"

    return _PARAMETER.sub(placeholder, statement.replace("%", "%%"))
