"""`/api/v1/members`: who they are, what they have, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from hub.i18n import gettext as _
from hub.members import credit, view
from hub.web.api.door import ApiBlueprint, Strict, now, transaction
from hub.web.api.paging import MOST, USUAL, Listing, link, place
from hub.web.keys import caller, requires
from hub.web.problems import not_found

blueprint = ApiBlueprint("members", __name__, url_prefix="/api/v1/members", description="Members")

MAX_TEXT = validate.Length(1, 200)
KEYS = ("phone", "email", "card", "customer")
LINK = {"Link": {"description": 'the next page, where there is one: `<address>; rel="next"` (RFC 8288)',
                 "schema": {"type": "string"}}}  # fmt: skip


class MemberQuery(Listing):
    """One of them; or a limit: all members, page by page."""

    limit = fields.Integer(allow_none=False, validate=validate.Range(1, MOST))

    phone = fields.String(validate=MAX_TEXT, metadata={"description": "in any spelling"})
    email = fields.String(validate=MAX_TEXT)
    card = fields.String(validate=MAX_TEXT)
    customer = fields.String(validate=MAX_TEXT, metadata={"description": "a channel's customer id"})

    @validates_schema
    def one(self, data: dict[str, Any], **_more: Any) -> None:
        """A search has one key, and its answer no pages; a list has a limit or a cursor."""
        keys, pages = data.keys() & set(KEYS), "limit" in data or data["cursor"] is not None
        if len(keys) + pages != 1:
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


class LotsQuery(Strict):
    """Where to go on, and how far."""

    cursor = fields.String(load_default=None, allow_none=False, validate=MAX_TEXT)
    limit = fields.Integer(load_default=500, validate=validate.Range(1, 500))


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
    next = fields.String(allow_none=True, metadata={"description": "cursor of the next page"})


class CreditQuery(Strict):
    """Where the movements go on, and how far."""

    cursor = fields.String(
        load_default=None, allow_none=False, validate=validate.Regexp(r"^[A-Z]{3}\.[0-9]{1,18}\Z")
    )
    limit = fields.Integer(load_default=200, validate=validate.Range(1, 200))


class Page(Strict):
    """Cursor pagination."""

    cursor = fields.Integer(load_default=None, allow_none=False, validate=validate.Range(1, 2**53))
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
@blueprint.response(200, Member(many=True), headers=LINK)
def search(query: dict[str, Any]) -> Any:
    """Find members by phone, e-mail, card or a channel's customer id: at most 20. With `limit` instead all
    members, newest first; the header `Link` leads to the next page."""
    program = caller().program
    with transaction() as session:
        for kind in query.keys() & set(KEYS):
            found = view.search(session, program.id, program.region, kind=kind, text=query[kind])
            return _shown(session, found)
        limit, before = query.get("limit", USUAL), place(session, "mem", query["cursor"])
        rows = view.everybody(session, program.id, before=before, limit=limit + 1)
        shown = _shown(session, rows[:limit])
    return shown, 200, link(shown[-1]["id"] if len(rows) > limit else None, limit)


@blueprint.get("/<member_id>")
@requires("members:read")
@blueprint.response(200, Member)
def one(member_id: str) -> dict[str, Any]:
    """One member; an id that was merged answers with the member it belongs to now."""
    with transaction() as session:
        return _shown(session, [_found(session, member_id)])[0]


@blueprint.get("/<member_id>/lots")
@requires("members:read")
@blueprint.arguments(LotsQuery, location="query")
@blueprint.response(200, Lot(many=True), headers=LINK)
def lots(query: dict[str, Any], member_id: str) -> Any:
    """What is left of what was earned, soonest expiry first; the header `Link` leads to the next page."""
    limit = query["limit"]
    with transaction() as session:
        member = _found(session, member_id)
        rows = view.lots(session, member.id, after=query["cursor"], limit=limit + 1)
    return rows[:limit], 200, link(rows[limit - 1]["key"] if len(rows) > limit else None, limit)


@blueprint.get("/<member_id>/credit")
@requires("members:read")
@blueprint.arguments(CreditQuery, location="query")
@blueprint.response(200, StoreCredit)
def store_credit(query: dict[str, Any], member_id: str) -> dict[str, Any]:
    """Store credit by currency in minor units, and its movements with their explanation, newest first."""
    limit, cursor = query["limit"], query["cursor"]
    before = (cursor[:3], int(cursor[4:])) if cursor else None
    with transaction() as session:
        member = _found(session, member_id)
        rows = credit.movements(session, member.id, before=before, limit=limit + 1)
        held = credit.held(session, member.id, now())
    last = rows[limit - 1] if len(rows) > limit else None
    following = f"{last.currency}.{last.seq}" if last else None
    return {"credit": held, "entries": rows[:limit], "next": following}


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


def _shown(session: Any, rows: Sequence[Any]) -> list[dict[str, Any]]:
    ids = [row.id for row in rows]
    points, known = view.balances(session, ids, now()), view.identities_of(session, ids)
    return [
        {
            "id": row.public_id,
            "name": row.name,
            "points": points[row.id],
            "identities": known[row.id],
            "created_at": row.created_at,
        }
        for row in rows
    ]
