"""`/api/v1/members`: who they are, what they have, and why."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from hub.i18n import gettext as _
from hub.members import credit, view
from hub.web.api.door import ApiBlueprint, Strict, now, transaction
from hub.web.keys import caller, requires
from hub.web.problems import not_found

blueprint = ApiBlueprint("members", __name__, url_prefix="/api/v1/members", description="Members")

MAX_TEXT = validate.Length(1, 200)


class MemberQuery(Strict):
    """Exactly one of them."""

    phone = fields.String(validate=MAX_TEXT, metadata={"description": "in any spelling"})
    email = fields.String(validate=MAX_TEXT)
    card = fields.String(validate=MAX_TEXT)
    customer = fields.String(validate=MAX_TEXT, metadata={"description": "a channel's customer id"})

    @validates_schema
    def one(self, data: dict[str, Any], **_more: Any) -> None:
        """A search needs one key."""
        if len(data) != 1:
            raise ValidationError(_("give exactly one of phone, email, card, customer"))


class Points(Schema):
    """Points of a member."""

    balance = fields.Integer()
    available = fields.Integer()
    pending = fields.Integer()
    debt = fields.Integer()


class Identity(Schema):
    """One key a member is known by."""

    kind = fields.String()
    value = fields.String()
    channel = fields.String(allow_none=True)


class Member(Schema):
    """A member."""

    id = fields.String()
    name = fields.String()
    points = fields.Nested(Points)
    identities = fields.List(fields.Nested(Identity))
    created_at = fields.DateTime()


class Lot(Schema):
    """One earned amount that has something left."""

    granted = fields.Integer()
    remaining = fields.Integer()
    placed_at = fields.DateTime()
    available_at = fields.DateTime(
        allow_none=True, metadata={"description": "null: once the order is handed over"}
    )
    expires_at = fields.DateTime(allow_none=True)


class Held(Schema):
    """Store credit in one currency, minor units."""

    currency = fields.String()
    balance = fields.Integer()
    available = fields.Integer()
    pending = fields.Integer()


class CreditEntry(Schema):
    """One movement of store credit, minor units."""

    currency = fields.String()
    seq = fields.Integer()
    amount = fields.Integer()
    counter = fields.String()
    balance_after = fields.Integer()
    recorded_at = fields.DateTime()
    transaction = fields.String(allow_none=True)
    redemption = fields.String(allow_none=True)
    explanation = fields.List(fields.Dict())


class StoreCredit(Schema):
    """What a member has, and how it came about."""

    credit = fields.List(fields.Nested(Held))
    entries = fields.List(fields.Nested(CreditEntry))


class Page(Strict):
    """Cursor pagination."""

    cursor = fields.Integer(load_default=None, validate=validate.Range(1, 2**53))
    limit = fields.Integer(load_default=50, validate=validate.Range(1, 200))


class Entry(Schema):
    """One movement, with its explanation as step codes and numbers."""

    seq = fields.Integer()
    amount = fields.Integer()
    counter = fields.String()
    balance_after = fields.Integer()
    occurred_at = fields.DateTime()
    recorded_at = fields.DateTime()
    reference = fields.String()
    transaction = fields.String(allow_none=True)
    explanation = fields.List(fields.Dict())


class Entries(Schema):
    """A page of movements, newest first."""

    entries = fields.List(fields.Nested(Entry))
    next = fields.Integer(allow_none=True, metadata={"description": "cursor of the next page"})


@blueprint.get("")
@requires("members:read")
@blueprint.arguments(MemberQuery, location="query")
@blueprint.response(200, Member(many=True))
def search(query: dict[str, str]) -> list[dict[str, Any]]:
    """Find members by phone, e-mail, card or a channel's customer id."""
    program = caller().program
    ((kind, text),) = query.items()
    with transaction() as session:
        found = view.search(session, program.id, program.region, kind=kind, text=text)
        return [_shown(session, row) for row in found]


@blueprint.get("/<member_id>")
@requires("members:read")
@blueprint.response(200, Member)
def one(member_id: str) -> dict[str, Any]:
    """One member; an id that was merged answers with the member it belongs to now."""
    with transaction() as session:
        return _shown(session, _found(session, member_id))


@blueprint.get("/<member_id>/lots")
@requires("members:read")
@blueprint.response(200, Lot(many=True))
def lots(member_id: str) -> list[dict[str, Any]]:
    """What is left of what was earned, soonest expiry first."""
    with transaction() as session:
        return view.lots(session, _found(session, member_id).id)


@blueprint.get("/<member_id>/credit")
@requires("members:read")
@blueprint.response(200, StoreCredit)
def store_credit(member_id: str) -> dict[str, Any]:
    """Store credit by currency in minor units, and the newest 200 movements with their explanation."""
    with transaction() as session:
        member = _found(session, member_id)
        return {
            "credit": credit.held(session, member.id, now()),
            "entries": credit.movements(session, member.id),
        }


@blueprint.get("/<member_id>/entries")
@requires("members:read")
@blueprint.arguments(Page, location="query")
@blueprint.response(200, Entries)
def entries(page: dict[str, Any], member_id: str) -> dict[str, Any]:
    """Every movement of points, newest first, with its explanation."""
    with transaction() as session:
        member = _found(session, member_id)
        rows = view.entries(session, member.id, before=page["cursor"], limit=page["limit"])
    following = rows[-1].seq if len(rows) == page["limit"] and rows[-1].seq > 1 else None
    return {"entries": rows, "next": following}


def _found(session: Any, member_id: str) -> Any:
    row = view.find(session, caller().program.id, member_id)
    if row is None:
        raise not_found("member")
    return row


def _shown(session: Any, row: Any) -> dict[str, Any]:
    return {
        "id": row.public_id,
        "name": row.name,
        "points": view.balance(session, row.id, now()),
        "identities": view.identities(session, row.id),
        "created_at": row.created_at,
    }
