"""Whom to tell that they joined or reached a number of points: each once, none passed over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import text

from hub.desk import notices
from hub.desk import points as desk_points
from hub.desk.place import carry_out
from hub.program import store
from hub.program.rules import Rules, in_force
from hub.web import keys
from tests.actions.conftest import DOCUMENT
from tests.hubs import Hub, running_hub
from tests.people import add, new_program

NUMBERS = count()
TOLD: dict[str, Any] = {
    **DOCUMENT,
    "notices": [
        {"id": "welcome", "on": "joined"},
        {"id": "fifty", "points": 50},
        {"id": "hundred", "points": 100},
    ],
}


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path, document=TOLD) as hub:
        yield hub


def person(hub: Hub, name: str, program: int | None = None) -> int:
    with hub.runtime.sessions.begin() as session:
        at = program or hub.program.id
        found = add(session, "members", public_id=f"mem_{name}", program_id=at, name=name)
        add(session, "identities", program_id=at, member_id=found, kind="email", value=f"{name}@x.vn")
        return found


def bring(hub: Hub, member: int, balance: int) -> None:
    carry_out(
        hub.runtime, hub.program, "test",
        lambda desk: desk_points.bring_to(desk, member, balance, reason="counted", key=f"count-{next(NUMBERS)}"),
    )  # fmt: skip


def told(hub: Hub, place: notices.Place = notices.BEGINNING, minutes: int = 2) -> notices.Page:
    with hub.runtime.sessions() as session:
        rules: Rules = in_force(store.versions(session, hub.program), hub.runtime.clock())
        now = hub.runtime.clock() + timedelta(minutes=minutes)
        return notices.after(session, hub.program.id, rules, place, now)


def words(page: notices.Page) -> list[tuple[str, str]]:
    return [(one.name, one.notice) for one in page.notices]


def test_each_is_told_once_in_the_order_in_which_it_happened(hub: Hub) -> None:
    ann = person(hub, "ann")
    bring(hub, ann, 50)
    first = told(hub)
    assert words(first) == [("ann", "welcome"), ("ann", "fifty")]
    assert told(hub) == first  # asked again from the same place: the same, by the same ids
    assert told(hub, first.place).notices == ()
    bob = person(hub, "bob")
    bring(hub, ann, 99)
    bring(hub, ann, 0)
    bring(hub, bob, 100)
    second = told(hub, first.place)
    assert words(second) == [("bob", "welcome"), ("bob", "hundred")]
    bring(hub, ann, 50)
    (again,) = told(hub, second.place).notices
    assert (again.name, again.notice, again.points, again.email) == ("ann", "fifty", 50, "ann@x.vn")
    assert again.id not in {one.id for one in first.notices}


def test_what_is_not_a_minute_old_is_told_later_and_nothing_after_it_before(hub: Hub) -> None:
    bring(hub, person(hub, "ann"), 50)
    young = told(hub, minutes=0)
    assert (young.notices, young.place) == ((), notices.BEGINNING)
    assert len(told(hub, young.place).notices) == 2


def test_other_programmes_are_passed_over_and_pages_go_on(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "LOOK_AT", 2)
    with hub.runtime.sessions.begin() as session:
        other = new_program(session, "other")
    for name in ("eve", "mallory", "trent"):
        person(hub, name, other)
    bring(hub, person(hub, "ann"), 50)
    place, seen, pages = notices.BEGINNING, list[tuple[str, str]](), 0
    while True:
        page = told(hub, place)
        seen, place, pages = seen + words(page), page.place, pages + 1
        if page.is_last:
            break
    assert (sorted(seen), pages) == ([("ann", "fifty"), ("ann", "welcome")], 3)


def test_who_was_merged_is_told_under_the_one_they_became(hub: Hub) -> None:
    ann, old = person(hub, "ann"), person(hub, "old")
    bring(hub, old, 50)
    with hub.runtime.sessions.begin() as session:
        session.execute(text("UPDATE members SET alias_of = :a WHERE id = :o"), {"a": ann, "o": old})
    assert {one.member for one in told(hub).notices} == {"mem_ann"}


def test_the_page_is_asked_for_with_a_key_and_a_cursor(hub: Hub) -> None:
    with hub.runtime.sessions.begin() as session:
        _, secret = keys.create(session, hub.program, name="t", scopes=["members:read"], actor="test")

    def ask(**query: str) -> Any:
        headers = {"Authorization": f"Bearer {secret}"}
        return requests.get(
            f"{hub.url}/api/v1/notices", params=query, headers=headers, timeout=10
        ).json()

    assert ask() == {"notices": [], "cursor": "0.0", "more": False}
    assert ask(cursor="0.0")["cursor"] == "0.0"
    assert ask(cursor="x")["code"] == "invalid_request"


def test_a_balance_is_brought_to_what_was_counted_however_often(hub: Hub) -> None:
    ann = person(hub, "ann")
    for _ in range(2):
        bring(hub, ann, 120)
        bring(hub, ann, 80)
        bring(hub, ann, 80)
    assert hub.balance(email="ann@x.vn") == 80
    assert len(hub.rows("SELECT 1 FROM entries")) == 4
    hub.assert_clean()
