"""`POST /api/v1/discounts/quote`: what a cart gets off without points."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from hub.desk import discounts
from hub.desk.carts import CartSchema, cart_of
from hub.desk.place import Desk
from hub.web.api.door import ApiBlueprint, now, runtime, transaction
from hub.web.keys import caller, requires
from hub.web.problems import not_found

blueprint = ApiBlueprint("discounts", __name__, url_prefix="/api/v1/discounts", description="Discounts")


class OffSchema(Schema):
    """What is taken off one line."""

    line = fields.Integer(metadata={"description": "from 0"})
    off = fields.Integer(attribute="amount", metadata={"description": "minor units, without tax"})
    discount = fields.String(metadata={"description": "the id in the programme"})


class DiscountAnswer(Schema):
    """What a cart gets off."""

    off = fields.Integer(metadata={"description": "minor units in all"})
    left = fields.Integer(metadata={"description": "what remains of lines and shipping, without tax"})
    currency = fields.String()
    lines = fields.List(fields.Nested(OffSchema))


@blueprint.post("/quote")
@requires("simulate")
@blueprint.arguments(CartSchema)
@blueprint.response(200, DiscountAnswer)
def quote(wish: dict[str, Any]) -> dict[str, Any]:
    """What the programme's `[[discounts]]` take off this cart for this member, line by line. Changes
    nothing; a discount for a tier or group needs `member`."""
    with transaction() as session:
        desk = Desk(runtime(), session, caller().program, caller().actor)
        try:
            found = discounts.quoted(desk, cart_of(wish, now()))
        except LookupError as missing:
            raise not_found("member" if missing.args[0] == wish["member"] else "channel") from None
    return {"off": found.off, "left": found.left, "currency": wish["currency"], "lines": found.lines}
