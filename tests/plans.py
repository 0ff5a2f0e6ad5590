"""What PostgreSQL really did for a statement: which tables it read from end to end, and how many rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy.orm import Session

from tests.statements import Asked


def reading(session: Session, asked: Asked) -> Iterator[tuple[str, str, int, str]]:
    """(kind of step, table, rows it touched, statement) of every step that reads or sorts."""
    for statement, parameters in asked:
        explained = session.connection().exec_driver_sql(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters
        )
        plan = explained.scalar_one()
        for node in _nodes((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]):
            if "Scan" in node["Node Type"] or "Sort" in node["Node Type"]:
                touched = node["Actual Rows"] * node["Actual Loops"] + node.get(
                    "Rows Removed by Filter", 0
                )
                yield node["Node Type"], node.get("Relation Name", ""), int(touched), statement


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)
