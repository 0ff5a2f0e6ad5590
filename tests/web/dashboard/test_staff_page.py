"""The page of the staff: who is which member, said, said anew and taken back, by whom may."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from hub.members import staff
from hub.runtime import Runtime
from hub.settings import Settings
from hub.users.rights import Role
from tests.desks import Office
from tests.market import ANN, BOB
from tests.people import new_member

TILL = {"redemptions_per_hour": 5, "code_above": 100, "own_sales": "refuse"}


@pytest.fixture
def office(database: str, redis_url: str, tmp_path: Path) -> Iterator[Office]:
    runtime = Runtime.start(Settings(data=tmp_path, database_url=database, redis_url=redis_url), "web")
    office = Office.new(runtime, {"earn": {"per": {"VND": "10000"}}, "till": TILL})
    with runtime.sessions.begin() as session:
        for program, phone in ((office.ours, ANN), (office.ours, BOB), (office.theirs, ANN)):
            member = new_member(session, program.id)
            session.execute(
                text(
                    """INSERT INTO identities (program_id, member_id, kind, value)
                       VALUES (:program, :member, 'phone', :phone)"""
                ),
                {"program": program.id, "member": member, "phone": phone},
            )
    yield office
    runtime.engine.dispose()


def people(office: Office) -> dict[str, str]:
    with office.runtime.sessions() as session:
        return {one.ref: one.member for one in staff.of_program(session, office.ours.id)}


def test_a_cashier_is_named_passed_on_and_removed(office: Office) -> None:
    owner = office.desk("owner")
    assert "No cashier is known yet" in owner.get("./programme/staff").text
    for phone in ("0912 345 678", "0912345679"):
        done = owner.post("./programme/staff", {"ref": " lan ", "member": phone})
        assert done.status_code == 303
    page = owner.get("./programme/staff").text
    assert list(people(office)) == ["lan"]
    assert f"./members/{people(office)['lan']}"[1:] in page
    assert 'value="lan"' in owner.get("./programme/staff?ref=lan").text
    assert owner.post("./programme/staff/remove", {"ref": "lan", "way": "left"}).status_code == 303
    assert people(office) == {}
    assert owner.post("./programme/staff/remove", {"ref": "lan"}).status_code == 404
    with office.runtime.sessions() as session:
        kept = session.execute(text("SELECT count(*) FROM staff_before")).scalar_one()
        audit = session.execute(text("SELECT action FROM audit WHERE actor LIKE 'user:%' ORDER BY id"))
        assert (kept, list(audit.scalars())) == (2, ["staff.added", "staff.added", "staff.removed"])


def test_a_mistake_leaves_nothing(office: Office) -> None:
    owner = office.desk("owner")
    owner.post("./programme/staff", {"ref": "lan", "member": ANN})
    owner.post("./programme/staff/remove", {"ref": "lan", "way": "mistaken"})
    with office.runtime.sessions() as session:
        assert session.execute(text("SELECT count(*) FROM staff_before")).scalar_one() == 0


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"ref": "", "member": ANN}, "a cashier&#39;s name has 1 to 64 characters"),
        ({"ref": "x" * 65, "member": ANN}, "a cashier&#39;s name has 1 to 64 characters"),
        ({"ref": "lan", "member": "0999999999"}, "no member is known as"),
        ({"ref": "lan", "member": ""}, "no member is known as"),
        ({"ref": "lan", "member": "ann"}, "several members are found by that"),
        ({"ref": "lan\x00", "member": ANN}, "a cashier&#39;s name has 1 to 64 characters"),
    ],
)
def test_what_cannot_be_is_said_beside_the_field(
    office: Office, form: dict[str, str], said: str
) -> None:
    answer = office.desk("owner").post("./programme/staff", form)
    assert (answer.status_code, people(office)) == (422, {})
    assert said in answer.text
    assert answer.text.count("is-invalid") == 1


def test_who_may_only_look_sees_who_they_are_and_what_is_asked_of_them(office: Office) -> None:
    office.desk("owner").post("./programme/staff", {"ref": "lan", "member": ANN})
    others: tuple[Role, ...] = ("support", "marketing", "viewer", "cashier")
    for role in others:
        desk = office.desk(role)
        page = desk.get("./programme/staff")
        assert page.status_code == 200
        assert "lan" in page.text
        assert "programme/staff/remove" not in page.text
        assert desk.post("./programme/staff", {"ref": "x", "member": ANN}).status_code == 403
        assert desk.post("./programme/staff/remove", {"ref": "lan"}).status_code == 403
    for said in (
        "One cashier redeems at most 5 times in an hour.",
        "Redeeming more than 100 points needs a one-time code.",
        "Who redeems points of their own is told of.",
        "gives no points, and it is told.",
    ):
        assert said in page.text
    assert list(people(office)) == ["lan"]


def test_another_programmes_staff_are_nobody_here(office: Office) -> None:
    theirs = office.desk("owner", office.theirs)
    theirs.post("./programme/staff", {"ref": "minh", "member": ANN})
    ours = office.desk("owner")
    assert "minh" not in ours.get("./programme/staff").text
    assert ours.post("./programme/staff/remove", {"ref": "minh"}).status_code == 404


def test_a_form_with_a_nul_is_a_form_with_a_wrong_word(office: Office) -> None:
    """No text of PostgreSQL can hold one."""
    owner = office.desk("owner")
    assert owner.post("./programme/staff", {"ref": "lan", "member": "Nob\0ody"}).status_code == 422
    assert owner.post("./programme/staff/remove", {"ref": "nob\0ody"}).status_code == 404
