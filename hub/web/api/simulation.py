"""`POST /api/v1/simulate`: what a cart or an order of the past would earn, and why. Changes nothing."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from hub.desk.carts import CartSchema, cart_of
from hub.desk.place import Desk, carry_out
from hub.desk.simulate import Simulated, simulate_cart, simulate_order, told
from hub.i18n import gettext as _
from hub.program import document as documents
from hub.program.document import DocumentRefused
from hub.program.rules import Rules
from hub.web.api.door import ApiBlueprint, Strict, now, runtime
from hub.web.api.members import Points
from hub.web.keys import caller, requires
from hub.web.problems import Problem, not_found

blueprint = ApiBlueprint("simulation", __name__, url_prefix="/api/v1", description="Simulation")


class SimulationRequest(Strict):
    """A cart or an order, by the rules in force or by a draft of them."""

    cart = fields.Nested(CartSchema)
    order = fields.String(validate=validate.Length(1, 64), metadata={"description": "a txn_ id"})
    program = fields.Dict(
        keys=fields.String(), metadata={"description": "a draft, as a program document"}
    )

    @validates_schema
    def one_of_both(self, data: dict[str, Any], **_more: Any) -> None:
        """One thing is simulated."""
        if ("cart" in data) == ("order" in data):
            raise ValidationError(_("give either cart or order"), "cart")


class Step(Schema):
    """One step of the explanation; the points of all steps sum to `points`."""

    code = fields.String()
    points = fields.String(metadata={"description": "exact: 12.5 or 37/3"})
    text = fields.String()


class NudgeSchema(Schema):
    """What is missing to something."""

    code = fields.String()
    text = fields.String()
    points = fields.Integer()
    reward = fields.String()
    amount = fields.Integer(metadata={"description": "minor units"})
    currency = fields.String()


class Simulation(Schema):
    """What would be earned."""

    points = fields.Integer()
    why = fields.String(allow_none=True, metadata={"description": "the reason for no points, a code"})
    steps = fields.List(fields.Nested(Step))
    version = fields.Integer(allow_none=True, metadata={"description": "of the rules; null: the draft"})
    available_at = fields.AwareDateTime(
        allow_none=True, metadata={"description": "null: once the order is handed over"}
    )
    expires_at = fields.AwareDateTime(allow_none=True)
    member = fields.String(allow_none=True)
    change = fields.Integer(metadata={"description": "by how much the balance would move"})
    before = fields.Nested(Points, allow_none=True)
    after = fields.Nested(Points, allow_none=True)
    tier_before = fields.String(allow_none=True)
    tier_after = fields.String(allow_none=True)
    nudges = fields.List(fields.Nested(NudgeSchema))
    waits_for = fields.String(allow_none=True)


@blueprint.post("/simulate")
@requires("simulate")
@blueprint.arguments(SimulationRequest)
@blueprint.response(200, Simulation)
def simulate(wish: dict[str, Any]) -> dict[str, Any]:
    """What a cart or an order would earn, step by step, and what the buyer is short of. Nothing of it
    stays."""
    draft = _draft(wish["program"]) if "program" in wish else None

    def deed(desk: Desk) -> Simulated:
        if "order" in wish:
            return simulate_order(desk, wish["order"], draft)
        return simulate_cart(desk, cart_of(wish["cart"], now()), draft)

    try:
        found = carry_out(runtime(), caller().program, caller().actor, deed)
    except LookupError as missing:
        raise not_found(
            {"chn": "channel", "mem": "member"}.get(str(missing)[:3], "transaction")
        ) from None
    return told(found, is_draft=draft is not None)


def _draft(document: dict[str, Any]) -> Rules:
    program = caller().program
    try:
        return documents.rules(
            document, number=0, effective_from=program.starts_at, time_zone=program.time_zone
        )
    except DocumentRefused as refused:
        raise Problem(422, "invalid_program", _("Invalid programme"), str(refused)) from None
