"""Whose points expire next: a page at a time, soonest first, of one programme alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from hub.ledger import commands
from hub.ledger.commands import Command
from hub.web import keys
from tests.hubs import Hub, running_hub
from tests.people import add, new_program


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path) as hub:
        yield hub


def give(hub: Hub, name: str, *lots: tuple[int, int | None], program: int | None = None) -> str:
    """A member with these lots: (points, days until they expire)."""
    at = program or hub.program.id
    now = hub.runtime.clock()
    with hub.runtime.sessions.begin() as session:
        member = add(session, "members", public_id=f"mem_{name}", program_id=at, name=name)
        add(session, "identities", program_id=at, member_id=member, kind="email", value=f"{name}@x.vn")
        for number, (points, days) in enumerate(lots):
            order = Command(at, member, f"{name}-{number}", "test", hub.runtime.chain_key)
            gone = None if days is None else now + timedelta(days=days)
            commands.adjust(session, order, points, expires_at=gone)
    return f"mem_{name}"


def ask(hub: Hub, days: int, **query: Any) -> Any:
    with hub.runtime.sessions.begin() as session:
        _, secret = keys.create(session, hub.program, name="t", scopes=["members:read"], actor="test")
    until = (hub.runtime.clock() + timedelta(days=days)).isoformat()
    answer = requests.get(
        f"{hub.url}/api/v1/expiring", params={"until": until, **query},
        headers={"Authorization": f"Bearer {secret}"}, timeout=10,
    )  # fmt: skip
    return answer.json()


def test_members_are_listed_with_what_they_lose_soonest_first(hub: Hub) -> None:
    ann = give(hub, "ann", (100, 40), (30, 5), (20, None))
    bob = give(hub, "bob", (50, 10))
    with hub.runtime.sessions.begin() as session:
        other = new_program(session, "other")
    give(hub, "eve", (9, 5), program=other)
    rows = ask(hub, 30)["expiring"]
    assert [(r["member"], r["points"], r["email"]) for r in rows] == [
        (ann, 30, "ann@x.vn"), (bob, 50, "bob@x.vn"),
    ]  # fmt: skip
    assert [r["points"] for r in ask(hub, 41)["expiring"]] == [30, 50, 100]


def test_pages_go_on_where_the_last_one_ended(hub: Hub) -> None:
    for number in range(5):
        give(hub, f"m{number}", (number + 1, 3 if number < 3 else 4))
    seen, cursor = [], None
    while True:
        page = ask(hub, 30, limit=2, **({"cursor": cursor} if cursor else {}))
        seen += [row["points"] for row in page["expiring"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [1, 2, 3, 4, 5]
    assert ask(hub, 30, cursor="x")["code"] == "invalid_request"
