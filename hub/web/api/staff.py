"""`/api/v1/staff`: which members the cashiers of tills are, so that nobody earns or redeems for themselves unseen."""

from __future__ import annotations

from typing import Any

from flask import Response
from marshmallow import Schema, fields, validate

from hub.desk.place import Desk
from hub.members import staff, view
from hub.web.api.door import ApiBlueprint, Strict, runtime
from hub.web.api.once import given_key, once
from hub.web.keys import caller, requires
from hub.web.problems import not_found

blueprint = ApiBlueprint(
    "staff", __name__, url_prefix="/api/v1/staff", description="Cashiers, and the members they are"
)


class StaffRequest(Strict):
    """A cashier and the member they are."""

    ref = fields.String(
        required=True, validate=validate.Length(1, 64), metadata={"description": "as tills name them"}
    )
    member = fields.String(required=True, validate=validate.Length(1, 64))


class StaffQuery(Strict):
    """How somebody is removed."""

    mistaken = fields.Boolean(
        load_default=False, metadata={"description": "they never were: their sales are judged anew"}
    )


class StaffRow(Schema):
    """One of the staff."""

    ref = fields.String()
    member = fields.String()
    name = fields.String()


@blueprint.get("")
@requires("staff")
@blueprint.response(200, StaffRow(many=True))
def everybody() -> list[staff.Person]:
    """All of the staff that are known to be members, by the name tills have for them."""
    with runtime().looks() as session:
        return staff.of_program(session, caller().program.id)


@blueprint.post("")
@requires("staff")
@blueprint.arguments(StaffRequest)
@blueprint.response(200, StaffRow)
def put(wish: dict[str, Any]) -> Response:
    """Say which member a cashier is. A name that passes to another member was the other's until now."""

    def deed(desk: Desk) -> dict[str, Any]:
        member = view.find(desk.session, desk.program.id, wish["member"])
        if member is None:
            raise not_found("member")
        staff.put(desk.session, desk.program.id, wish["ref"], member.id, desk.runtime.clock())
        desk.note("staff.added", member.public_id, ref=wish["ref"])
        return {"ref": wish["ref"], "member": member.public_id, "name": member.name}

    return once(deed, StaffRow(), key=given_key())


@blueprint.delete("/<ref>")
@requires("staff")
@blueprint.arguments(StaffQuery, location="query")
@blueprint.response(204)
def drop(query: dict[str, Any], ref: str) -> None:
    """Somebody is not of the staff any more; what they rang up until now stays what it was."""
    with runtime().sessions.begin() as session:
        program = caller().program
        mistaken = query["mistaken"]
        if not staff.drop(session, program.id, ref, runtime().clock(), mistaken=mistaken):
            raise not_found("staff")
        Desk(runtime(), session, program, caller().actor).note("staff.removed", ref, mistaken=mistaken)
