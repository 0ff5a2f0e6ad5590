"""Finding members by their keys: one look at one index, whatever the planner knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy.orm import Session

from hub.bulk import arrays, run
from hub.db import make_engine, make_sessions
from hub.embedded import Servers
from hub.members.resolve import _KEY, LOOK_UP
from tests.people import new_ground
from tests.servers import copied_database


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(found for inner in plan.get("Plans", ()) for found in nodes(inner))]


@pytest.fixture
def fresh(servers: Servers, worker_id: str) -> Iterator[Session]:
    """A database of which nothing is known yet: what other tests analysed is remembered in theirs."""
    with copied_database(servers, f"unknown_{worker_id}") as url:
        engine = make_engine(url)
        with make_sessions(engine)() as session:
            yield session
        engine.dispose()


def test_workers_look_members_up_by_the_unique_key_before_any_statistics_exist(fresh: Session) -> None:
    """An index whose beginning fits too was taken once, for a thousand times the work."""
    ground = new_ground(fresh)
    keys = [{"kind": "phone", "scope": 0, "value": f"+8491234{n:04d}"} for n in range(50)]
    plan = run(
        fresh, f"EXPLAIN (FORMAT JSON) {LOOK_UP}", {**arrays(_KEY, keys), "program": ground.program}
    )[0][0]
    looks = [n for n in nodes(plan[0]["Plan"]) if n.get("Relation Name") == "identities"]
    assert [n.get("Index Name") for n in looks] == ["identities_program_id_kind_scope_value_key"]
