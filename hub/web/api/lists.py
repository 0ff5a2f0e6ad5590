"""The lists of API v1: redemptions, vouchers, events and transactions, newest first, page by page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate
from sqlalchemy.orm import Session

from hub.actions import listing as actions
from hub.bulk import run
from hub.i18n import gettext as _
from hub.members import view
from hub.redemption import listing
from hub.transactions import browse
from hub.web.api.door import ApiBlueprint, Strict, transaction
from hub.web.api.paging import OfMember, paged, place
from hub.web.api.transactions import COLUMNS, TransactionSchema
from hub.web.keys import caller, requires
from hub.web.problems import not_found

blueprint = ApiBlueprint("lists", __name__, url_prefix="/api/v1", description="Lists, page by page")

_PLACE = re.compile(r"[0-9]{1,17}-[0-9]{1,18}")


def _next() -> fields.String:
    return fields.String(allow_none=True, metadata={"description": "cursor of the next page"})


class RedemptionRow(Schema):
    """One redemption of a list."""

    id = fields.String()
    state = fields.String()
    member = fields.String()
    reward = fields.String()
    points = fields.Integer()
    currency = fields.String(allow_none=True, metadata={"description": "of store credit that was spent"})
    voucher = fields.String(allow_none=True)
    code = fields.String(allow_none=True)
    voucher_state = fields.String(allow_none=True)
    expires_at = fields.DateTime(allow_none=True)
    created_at = fields.DateTime()


class Redemptions(Schema):
    """A page of redemptions."""

    redemptions = fields.List(fields.Nested(RedemptionRow))
    next = _next()


class VoucherRow(Schema):
    """One code of a list."""

    id = fields.String()
    code = fields.String()
    state = fields.String()
    member = fields.String()
    reward = fields.String()
    redemption = fields.String()
    expires_at = fields.DateTime(allow_none=True)
    created_at = fields.DateTime()


class Vouchers(Schema):
    """A page of codes."""

    vouchers = fields.List(fields.Nested(VoucherRow))
    next = _next()


class EventRow(Schema):
    """One event of a list."""

    id = fields.String()
    event = fields.String(attribute="action")
    member = fields.String()
    points = fields.Integer()
    why = fields.String(allow_none=True, metadata={"description": "why it gave nothing"})
    occurred_at = fields.DateTime()


class Events(Schema):
    """A page of events."""

    events = fields.List(fields.Nested(EventRow))
    next = _next()


class TransactionRow(TransactionSchema):
    """One transaction of a list: without what was so of its buyer."""

    class Meta:
        exclude = ("buyer",)


class Transactions(Schema):
    """A page of transactions. A page may be short, even empty, while `next` leads on: a filter looks at a
    bounded number of orders at once."""

    transactions = fields.List(fields.Nested(TransactionRow))
    next = _next()


def _is_place(text: str) -> None:
    if not _PLACE.fullmatch(text):
        raise ValidationError(_("is no cursor"))


class TransactionsQuery(Strict):
    """What the list is narrowed to."""

    member = fields.String(load_default=None, allow_none=False, validate=validate.Length(1, 64))
    channel = fields.String(load_default=None, allow_none=False, validate=validate.Length(1, 64))
    state = fields.String(load_default="", validate=validate.OneOf(browse.STATES))
    since = fields.AwareDateTime(
        load_default=None, allow_none=False, metadata={"description": "placed from then on"}
    )
    until = fields.AwareDateTime(
        load_default=None, allow_none=False, metadata={"description": "placed before then"}
    )
    cursor = fields.String(load_default=None, allow_none=False, validate=_is_place)
    limit = fields.Integer(load_default=50, validate=validate.Range(1, 200))


@blueprint.get("/redemptions")
@requires("vouchers:read")
@blueprint.arguments(OfMember, location="query")
@blueprint.response(200, Redemptions)
def redemptions(query: dict[str, Any]) -> dict[str, Any]:
    """Redemptions, newest first, of all members or of one."""
    with transaction() as session:
        rows = listing.redemptions(session, caller().program.id, **_page(session, "red", query))
    return paged("redemptions", rows, query["limit"])


@blueprint.get("/vouchers")
@requires("vouchers:read")
@blueprint.arguments(OfMember, location="query")
@blueprint.response(200, Vouchers)
def vouchers(query: dict[str, Any]) -> dict[str, Any]:
    """Codes, newest first, of all members or of one."""
    with transaction() as session:
        rows = listing.vouchers(session, caller().program.id, **_page(session, "vch", query))
    return paged("vouchers", rows, query["limit"])


@blueprint.get("/events")
@requires("events")
@blueprint.arguments(OfMember, location="query")
@blueprint.response(200, Events)
def events(query: dict[str, Any]) -> dict[str, Any]:
    """What members did besides buying, newest first, of all members or of one."""
    with transaction() as session:
        rows = actions.recorded(session, caller().program.id, **_page(session, "act", query))
    return paged("events", rows, query["limit"])


@blueprint.get("/transactions")
@requires("transactions:read")
@blueprint.arguments(TransactionsQuery, location="query")
@blueprint.response(200, Transactions)
def transactions(query: dict[str, Any]) -> dict[str, Any]:
    """Sales, newest first by when they were placed; narrowed to a member, a channel, a state, a time."""
    program = caller().program
    with transaction() as session:
        wish = browse.Wish(
            channel_id=_channel(session, query["channel"]),
            state=query["state"],
            since=query["since"],
            until=query["until"],
            member_id=_member(session, query["member"]),
        )
        start = _start(query["cursor"])
        found = browse.page(session, program.id, wish, start, query["limit"])
        rows = _whole(session, [order["id"] for order in found.orders])
    return {"transactions": rows, "next": str(found.older) if found.older else None}


def _page(session: Session, prefix: str, query: Mapping[str, Any]) -> dict[str, Any]:
    """What the page's statement is asked for: one row more than is shown tells whether more follow."""
    return {
        "member_id": _member(session, query["member"]),
        "before": place(session, prefix, query["cursor"]),
        "limit": query["limit"] + 1,
    }


def _member(session: Session, member: str | None) -> int | None:
    if member is None:
        return None
    found = view.find(session, caller().program.id, member)
    if found is None:
        raise not_found("member")
    return int(found.id)


def _channel(session: Session, channel: str | None) -> int | None:
    if channel is None:
        return None
    sql = "SELECT id FROM channels WHERE program_id = :program AND public_id = :channel"
    rows = run(session, sql, {"program": caller().program.id, "channel": channel})
    if not rows:
        raise not_found("channel")
    return int(rows[0].id)


def _start(cursor: str | None) -> browse.Place | None:
    if cursor is None:
        return None
    try:
        return browse.Place.read(cursor)
    except (ValueError, OverflowError, OSError):
        raise not_found("transaction") from None


def _whole(session: Session, ids: list[int]) -> list[dict[str, Any]]:
    """These sales as one of them is shown, in this order."""
    rows = run(session, f"{COLUMNS} WHERE t.id = ANY(:ids)", {"ids": ids})
    by_id = {row.id: {**row._mapping, "id": row.shown_id} for row in rows}
    return [by_id[one] for one in ids]
