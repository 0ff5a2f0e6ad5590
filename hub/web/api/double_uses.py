"""`/api/v1/double-uses`: codes that several orders carry, or that were used too late, and what was done."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from hub.desk import double_uses as desk_
from hub.desk.double_uses import DoubleUse
from hub.web.api.door import ApiBlueprint, transaction
from hub.web.api.paging import Listing, paged, place
from hub.web.keys import caller, requires

blueprint = ApiBlueprint(
    "double_uses", __name__, url_prefix="/api/v1", description="Codes that were used more than once"
)


class UseRow(Schema):
    """One order that carries the code."""

    transaction = fields.String(attribute="id")
    number = fields.String()
    channel = fields.String(metadata={"description": "its name"})
    placed_at = fields.DateTime()
    counts = fields.Boolean(attribute="wins", metadata={"description": "the order placed first does"})


class DoubleUseRow(Schema):
    """One code of the list."""

    id = fields.String(metadata={"description": "of the voucher"})
    code = fields.String()
    state = fields.String(metadata={"description": "`used_late`: after its points had come back"})
    redemption = fields.String()
    member = fields.String()
    points = fields.Integer(metadata={"description": "what a use costs"})
    currency = fields.String(
        allow_none=True,
        metadata={"description": "of store credit that bought it: numbers are its minor units"},
    )
    done = fields.String(
        metadata={"description": "`take_again`, `absorb`, or `flag`: a person is to decide"}
    )
    decided = fields.Boolean(metadata={"description": "a person did"})
    charged = fields.Integer(metadata={"description": "what the member paid for further uses"})
    absorbed = fields.Integer(metadata={"description": "what the shop bears"})
    orders = fields.List(fields.Nested(UseRow), metadata={"description": "the one placed first leads"})


class DoubleUses(Schema):
    """A page of them."""

    double_uses = fields.List(fields.Nested(DoubleUseRow))
    next = fields.String(allow_none=True, metadata={"description": "cursor of the next page"})


@blueprint.get("/double-uses")
@requires("vouchers:read")
@blueprint.arguments(Listing, location="query")
@blueprint.response(200, DoubleUses)
def double_uses(query: dict[str, Any]) -> dict[str, Any]:
    """Codes that more than one order carries, or that were used after their points had come back, newest first."""
    with transaction() as session:
        before = place(session, "vch", query["cursor"])
        found = desk_.listed(session, caller().program, before=before, limit=query["limit"] + 1)
    return paged("double_uses", [_row(one) for one in found], query["limit"])


def _row(one: DoubleUse) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__slots__} | {"id": one.voucher}
