"""Who of the staff is which member, told over the API; what follows from it holds at the till."""

from __future__ import annotations

from hub.bulk import run
from tests.web.test_lists import ANN, BOB, Reader, reader

__all__ = ["reader"]


def test_a_cashier_is_named_renamed_and_forgotten(reader: Reader) -> None:
    assert reader.get("staff").json() == []
    lan = {"ref": "Lan", "member": ANN}
    assert reader.post("staff", **lan) == {**lan, "name": "ann"}
    assert reader.post("staff", **lan) == reader.get("staff").json()[0]
    reader.post("staff", ref="Lan", member=BOB)
    assert [(one["ref"], one["member"]) for one in reader.get("staff").json()] == [("Lan", BOB)]
    made = reader.post("redemptions", member=BOB, reward="tea", cashier="Lan")
    with reader.hub.runtime.sessions() as session:
        told = run(session, "SELECT kind, subject FROM alerts")
        assert [(one.kind, one.subject) for one in told] == [("own_redemption", made["id"])]
    assert reader.delete("staff/Lan").status_code == 204
    again = reader.delete("staff/Lan")
    assert (again.status_code, again.json()["code"], reader.get("staff").json()) == (
        404,
        "not_found",
        [],
    )
    with reader.hub.runtime.sessions() as session:
        noted = run(session, "SELECT action FROM audit WHERE action LIKE 'staff.%' ORDER BY id")
    assert [one.action for one in noted] == ["staff.added"] * 3 + ["staff.removed"]
