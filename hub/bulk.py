"""Many rows in one statement: columns travel as arrays, so a batch costs one round trip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import CursorResult, Row, TextClause, text
from sqlalchemy.orm import Session


def unnest(columns: Mapping[str, str], alias: str = "r") -> str:
    """SQL of a row source over array parameters: `unnest({"id": "bigint"})` is
    `unnest(cast(:id as bigint[])) AS r(id)`. Names are the caller's own, never input."""
    arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in columns.items())
    return f"unnest({arrays}) AS {alias}({', '.join(columns)})"


def arrays(columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The parameters for `unnest`: one list a column."""
    return {name: [row[name] for row in rows] for name in columns}


def run(
    session: Session, statement: str | TextClause, parameters: Mapping[str, Any] | None = None
) -> Sequence[Row[Any]]:
    """Execute and fetch all; an empty list when the statement returns no rows."""
    clause = text(statement) if isinstance(statement, str) else statement
    result = cast("CursorResult[Any]", session.execute(clause, parameters or {}))
    return result.all() if result.returns_rows else []
