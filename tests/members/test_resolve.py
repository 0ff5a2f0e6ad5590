"""Finding members by their keys: one look at one index, whatever the planner knows."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import arrays, run
from hub.members.resolve import _KEY, LOOK_UP
from tests.people import new_ground


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(found for inner in plan.get("Plans", ()) for found in nodes(inner))]


def test_workers_look_members_up_by_the_unique_key_before_any_statistics_exist(session: Session) -> None:
    """An index whose beginning fits too was taken once, for a thousand times the work."""
    ground = new_ground(session)
    keys = [{"kind": "phone", "scope": 0, "value": f"+8491234{n:04d}"} for n in range(50)]
    plan = run(
        session, f"EXPLAIN (FORMAT JSON) {LOOK_UP}", {**arrays(_KEY, keys), "program": ground.program}
    )[0][0]
    looks = [n for n in nodes(plan[0]["Plan"]) if n.get("Relation Name") == "identities"]
    assert [n.get("Index Name") for n in looks] == ["identities_program_id_kind_scope_value_key"]
