"""The pages by which a member's file is handed over, and a member is forgotten."""

from __future__ import annotations

import json

import pytest

from tests.desks import Office
from tests.people import add


@pytest.fixture
def ann(office: Office) -> str:
    with office.runtime.sessions.begin() as session:
        member = add(
            session, "members", public_id="mem_ann", program_id=office.ours.id, name="Ann Quilt"
        )
        add(
            session, "identities", program_id=office.ours.id, member_id=member, kind="email",
            value="ann@example.com",
        )  # fmt: skip
        add(session, "accounts", program_id=office.ours.id, member_id=member)
    return "mem_ann"


def actions(office: Office) -> list[tuple[str, str]]:
    with office.runtime.sessions() as session:
        rows = session.connection().exec_driver_sql(
            "SELECT action, actor FROM audit WHERE subject = 'mem_ann' ORDER BY id"
        )
        return [(row.action, row.actor.split("_")[0]) for row in rows]


def test_the_file_holds_what_is_kept_and_its_making_is_written_down(office: Office, ann: str) -> None:
    answer = office.desk("support").post(f"./members/{ann}/data")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="mem_ann.json"'
    content = json.loads(answer.data)
    assert content["member"]["name"] == "Ann Quilt"
    assert content["identities"][0]["value"] == "ann@example.com"
    assert actions(office) == [("member.reported", "user:usr")]


def test_looking_at_what_would_go_changes_nothing_and_pressing_does(office: Office, ann: str) -> None:
    desk = office.desk("owner")
    page = desk.get(f"./members/{ann}/forget")
    assert "1 key by which channels and staff find them goes." in page.text
    assert "Ann Quilt" in desk.get(f"./members/{ann}").text
    assert desk.post(f"./members/{ann}/forget").status_code == 303
    page = desk.get(f"./members/{ann}")
    assert (page.status_code, "Ann Quilt" in page.text, "ann@example.com" in page.text) == (
        200,
        False,
        False,
    )
    assert actions(office) == [("member.forgotten", "user:usr")]
    assert desk.post(f"./members/{ann}/forget").status_code == 303, "again: nothing more to do"
    assert len(actions(office)) == 1


def test_neither_is_for_everybody_nor_for_another_programme(office: Office, ann: str) -> None:
    assert office.desk("support").get(f"./members/{ann}/forget").status_code == 403
    assert office.desk("support").post(f"./members/{ann}/forget").status_code == 403
    assert office.desk("viewer").post(f"./members/{ann}/data").status_code == 403
    stranger = office.desk("owner", office.theirs)
    for path in ("data", "forget"):
        assert stranger.post(f"./members/{ann}/{path}").status_code == 404
    assert stranger.get(f"./members/{ann}/forget").status_code == 404
    assert actions(office) == []
