"""`hub event` and `hub expiring`: what a person at the command line sees and may do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.program import store
from tests.actions.conftest import DOCUMENT
from tests.hubs import Hub, running_hub
from tests.people import add

WITH_TEA = {**DOCUMENT, "rewards": [{"id": "tea", "name": "Tea", "cost": 50, "perk": "A tea"}]}
Command = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path, document=WITH_TEA) as hub:
        with hub.runtime.sessions.begin() as session:
            for name in ("ann", "bob", "eve"):
                member = add(
                    session, "members", public_id=f"mem_{name}", program_id=hub.program.id, name=name
                )
                add(
                    session, "identities", program_id=hub.program.id, member_id=member,
                    kind="email", value=f"{name}@x.vn",
                )  # fmt: skip
        yield hub


def test_an_event_gives_its_points_once(hub: Hub, run: Command) -> None:
    (first,) = run("event", "record", "ann@x.vn", "review", "--key", "r1")
    assert (first["points"], first["why"], first["repeated"]) == (20, None, False)
    (again,) = run("event", "record", "ann@x.vn", "review", "--key", "r1")
    assert (again["id"], again["repeated"]) == (first["id"], True)
    (other,) = run("event", "record", "ann@x.vn", "tet", "--key", "r1", code=1, as_json=False)
    assert "the key 'r1' was used for another event" in other["said"]
    (none,) = run("event", "record", "ann@x.vn", "moonwalk", "--key", "m")
    assert none["why"] == "No points: the programme gives none for this."


def test_a_referral_is_noted_once(hub: Hub, run: Command) -> None:
    assert run("event", "refer", "ann@x.vn", "bob@x.vn")[0]["repeated"] is False
    assert run("event", "refer", "ann@x.vn", "bob@x.vn")[0]["repeated"] is True
    (said,) = run("event", "refer", "eve@x.vn", "bob@x.vn", code=1, as_json=False)
    assert "brought by somebody else" in said["said"]
    (said,) = run("event", "refer", "eve@x.vn", "eve@x.vn", code=1, as_json=False)
    assert "nobody can bring themselves" in said["said"]


def test_whose_points_expire_next_is_listed(hub: Hub, run: Command) -> None:
    run("event", "record", "ann@x.vn", "review", "--key", "r1")
    (row,) = run("expiring", "--days", "40")
    assert (row["member"], row["points"], row["email"]) == ("mem_ann", 20, "ann@x.vn")
    assert run("expiring", "--days", "10") == []


def test_budgets_show_what_is_left_of_those_in_force(hub: Hub, run: Command) -> None:
    assert run("program", "budgets") == []
    with hub.runtime.sessions.begin() as session:
        now = hub.runtime.clock()
        document = {
            "earn": {"id": "tet", "per": {"VND": "10000"}, "budget": 500, "budget_per_member": 20}
        }
        store.add_version(session, hub.program, document, effective_from=now, now=now, actor="test")
    assert run("program", "budgets") == [
        {"rule": "tet", "given": 0, "budget": 500, "left": 500, "per_member": 20}
    ]


def test_an_account_that_is_off_spends_nothing_and_events_give_nothing(hub: Hub, run: Command) -> None:
    run("member", "adjust", "ann@x.vn", "100", "--reason", "start")
    off = ("member", "off", "ann@x.vn", "--reason", "card reported stolen")
    assert run(*off) == [{"member": "mem_ann", "on": False, "changed": True}]
    assert run(*off)[0]["changed"] is False
    (none,) = run("event", "record", "ann@x.vn", "review", "--key", "r1")
    assert none["why"] == "No points: the member's account is switched off."
    (said,) = run("redeem", "ann@x.vn", "tea", code=1, as_json=False)
    assert "account is switched off" in said["said"]
    assert run("member", "on", "ann@x.vn") == [{"member": "mem_ann", "on": True, "changed": True}]
    assert run("redeem", "ann@x.vn", "tea")[0]["points"] == 50
    noted = hub.rows("SELECT action FROM audit WHERE action LIKE 'member.switched%' ORDER BY id")
    assert [row.action for row in noted] == ["member.switched_off", "member.switched_on"]
