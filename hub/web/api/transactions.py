"""`/api/v1/transactions`: what became of a sale, and why it earned what it did."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from hub.bulk import run
from hub.web.api.door import ApiBlueprint, transaction
from hub.web.keys import caller, requires
from hub.web.problems import not_found

blueprint = ApiBlueprint(
    "transactions", __name__, url_prefix="/api/v1/transactions", description="Transactions"
)


class TransactionSchema(Schema):
    """The canonical state of one sale; money in minor units."""

    id = fields.String()
    channel = fields.String()
    external_id = fields.String()
    number = fields.String()
    state = fields.String()
    currency = fields.String(allow_none=True)
    placed_at = fields.DateTime(allow_none=True)
    member = fields.String(allow_none=True)
    goods_net = fields.Integer()
    goods_tax = fields.Integer()
    shipping = fields.Integer()
    refunded = fields.Integer()
    eligible = fields.Integer()
    points = fields.Integer()
    why = fields.String(allow_none=True)
    explanation = fields.List(fields.Dict())
    codes = fields.List(fields.String())
    waiting_for = fields.String(allow_none=True)


@blueprint.get("/<transaction_id>")
@requires("transactions:read")
@blueprint.response(200, TransactionSchema)
def one(transaction_id: str) -> dict[str, Any]:
    """One transaction."""
    with transaction() as session:
        rows = run(
            session,
            """SELECT t.*, t.public_id AS shown_id, c.public_id AS channel, m.public_id AS member
               FROM transactions t JOIN channels c ON c.id = t.channel_id
               LEFT JOIN members m ON m.id = t.member_id
               WHERE t.program_id = :program AND t.public_id = :id""",
            {"program": caller().program.id, "id": transaction_id},
        )
    if not rows:
        raise not_found("transaction")
    return {**rows[0]._mapping, "id": rows[0].shown_id}
