"""`/api/v1/transactions`: what became of a sale, and why it earned what it did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from flask import Response
from marshmallow import Schema, ValidationError, fields, validate, validates_schema
from sqlalchemy.orm import Session

from hub.bulk import run
from hub.desk import claims, tills
from hub.desk.place import Desk
from hub.desk.tills import CashierLimit, OwnAccount
from hub.i18n import gettext as _
from hub.members import view
from hub.redemption.cashiers import Act
from hub.transactions.buyer import judged_for
from hub.web.api.door import ApiBlueprint, Strict, runtime, transaction
from hub.web.api.once import given_key, once
from hub.web.api.redeeming import cashier_limit
from hub.web.keys import caller, requires
from hub.web.problems import Problem, not_found

blueprint = ApiBlueprint(
    "transactions", __name__, url_prefix="/api/v1/transactions", description="Transactions"
)

COLUMNS = """SELECT t.*, t.public_id AS shown_id, c.public_id AS channel, m.public_id AS member
             FROM transactions t JOIN channels c ON c.id = t.channel_id
             LEFT JOIN members m ON m.id = t.member_id"""
"""What a transaction is shown from."""


class BuyerSchema(Schema):
    """What was so of the buyer when the sale was placed, where the rules ask."""

    tier = fields.String(allow_none=True)
    segments = fields.List(fields.String())
    birthday = fields.List(fields.String(), metadata={"description": "day, week, month: what it was"})
    context_late = fields.Boolean(
        metadata={"description": "told of when a later sale had its points already"}
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
    buyer = fields.Nested(BuyerSchema, allow_none=True)


class ClaimRequest(Strict):
    """Whose order it is: a member by id, or whoever has this phone or e-mail, made when nobody has."""

    member = fields.String(validate=validate.Length(1, 64))
    phone = fields.String(validate=validate.Length(1, 40), metadata={"description": "in any spelling"})
    email = fields.String(validate=validate.Length(1, 200))
    name = fields.String(validate=validate.Length(1, 200), metadata={"description": "of a new member"})
    cashier = fields.String(
        validate=validate.Length(1, 64), metadata={"description": "as the till names them"}
    )
    till = fields.String(validate=validate.Length(1, 64))

    @validates_schema
    def one(self, data: dict[str, Any], **_more: Any) -> None:
        """A claim names one person."""
        if len(data.keys() & {"member", "phone", "email"}) != 1:
            raise ValidationError(_("give exactly one of member, phone, email"))


def _exists(route: Callable[..., Any]) -> Callable[..., Any]:
    """What is not this program's is a 404 before its body is read."""

    @wraps(route)
    def looked_up(transaction_id: str) -> Any:
        with transaction() as session:
            _row(session, transaction_id)
        return route(transaction_id=transaction_id)

    return looked_up


@blueprint.get("/<transaction_id>")
@requires("transactions:read")
@blueprint.response(200, TransactionSchema)
def one(transaction_id: str) -> dict[str, Any]:
    """One transaction."""
    with transaction() as session:
        return _row(session, transaction_id)


@blueprint.post("/<transaction_id>/claim")
@requires("claim")
@_exists
@blueprint.arguments(ClaimRequest)
@blueprint.response(200, TransactionSchema)
def claim(wish: dict[str, str], transaction_id: str) -> Response:
    """Give an order that belongs to nobody to a member, with its points. Repeating it changes nothing."""
    program = caller().program
    contact = wish.get("phone") or wish.get("email") or ""
    if contact and not claims.is_contact(contact, program.region):
        said = _("This is no valid phone number or e-mail address.")
        raise Problem(422, "invalid_contact", _("Invalid request"), said)

    def deed(desk: Desk) -> dict[str, Any]:
        act = Act("claim", wish.get("cashier") or desk.actor, wish.get("till"))
        member_id = tills.claiming(
            desk, act, transaction_id, lambda: _who(desk, wish, contact), named="cashier" in wish
        )
        claims.claim(desk, transaction_id, member_id)
        return _row(desk.session, transaction_id)

    try:
        return once(_claiming(deed), TransactionSchema(), key=given_key())
    except (CashierLimit, OwnAccount) as refused:
        tills.tell(runtime(), program, refused)
        raise _refused(refused) from None


def _refused(refused: CashierLimit | OwnAccount) -> Problem:
    if isinstance(refused, CashierLimit):
        return cashier_limit()
    said = _("Nobody gives an order to themselves. The owner of the programme was told.")
    return Problem(409, "own_account", _("Not allowed"), said)


@blueprint.post("/<transaction_id>/release")
@requires("claim")
@blueprint.response(200, TransactionSchema)
def release(transaction_id: str) -> Response:
    """Take a claim back, with its points; the order is attributed as its messages say."""

    def deed(desk: Desk) -> dict[str, Any]:
        _row(desk.session, transaction_id)
        claims.release(desk, transaction_id)
        return _row(desk.session, transaction_id)

    return once(_claiming(deed), TransactionSchema(), key=given_key())


def _claiming(deed: Callable[[Desk], dict[str, Any]]) -> Callable[[Desk], dict[str, Any]]:
    def refusing(desk: Desk) -> dict[str, Any]:
        try:
            return deed(desk)
        except claims.NotClaimable as refused:
            raise Problem(409, "not_claimable", _("Not claimable"), str(refused)) from None

    return refusing


def _who(desk: Desk, wish: Mapping[str, str], contact: str) -> int:
    if "member" in wish:
        return _member(desk, wish)
    return claims.enrol(desk, contact, wish.get("name", ""))


def _member(desk: Desk, wish: Mapping[str, str]) -> int:
    found = view.find(desk.session, desk.program.id, wish["member"])
    if found is None:
        raise not_found("member")
    member_id: int = found.id
    return member_id


def _row(session: Session, transaction_id: str) -> dict[str, Any]:
    rows = run(
        session,
        f"{COLUMNS} WHERE t.program_id = :program AND t.public_id = :id",
        {"program": caller().program.id, "id": transaction_id},
    )
    if not rows:
        raise not_found("transaction")
    row = rows[0]._mapping
    return {**row, "buyer": judged_for(session, row["id"]), "id": rows[0].shown_id}
