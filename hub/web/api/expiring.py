"""`/api/v1/expiring`: whose points expire next, for whoever sends the reminders."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from hub.i18n import gettext as _
from hub.members import expiring
from hub.web.api.door import ApiBlueprint, Strict, now, transaction
from hub.web.keys import caller, requires

blueprint = ApiBlueprint(
    "expiring", __name__, url_prefix="/api/v1/expiring", description="Points that expire soon"
)

_CURSOR = re.compile(r"(-?[0-9]{1,18})\.([0-9]{1,18})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _is_cursor(text: str) -> None:
    if not _CURSOR.fullmatch(text):
        raise ValidationError(_("is no cursor"))


class ExpiringQuery(Strict):
    """Up to when, and where to go on."""

    until = fields.AwareDateTime(required=True)
    cursor = fields.String(load_default=None, allow_none=False, validate=_is_cursor)
    limit = fields.Integer(load_default=50, validate=validate.Range(1, 200))


class ExpiringRow(Schema):
    """One member's points that expire at one moment."""

    member = fields.String()
    name = fields.String()
    points = fields.Integer()
    expires_at = fields.DateTime()
    phone = fields.String(allow_none=True)
    email = fields.String(allow_none=True)


class ExpiringAnswer(Schema):
    """A page of them, soonest first."""

    expiring = fields.List(fields.Nested(ExpiringRow))
    next = fields.String(allow_none=True, metadata={"description": "cursor of the next page"})


@blueprint.get("")
@requires("members:read")
@blueprint.arguments(ExpiringQuery, location="query")
@blueprint.response(200, ExpiringAnswer)
def due(query: dict[str, Any]) -> dict[str, Any]:
    """Points that expire up to `until`, that moment included, soonest first."""
    with transaction() as session:
        rows = expiring.due(
            session,
            caller().program.id,
            now=now(),
            until=query["until"],
            after=_place(query["cursor"]),
            limit=query["limit"],
        )
    full = len(rows) == query["limit"]
    return {"expiring": rows, "next": _cursor(rows[-1]) if full else None}


def _cursor(row: Any) -> str:
    microseconds = (row.expires_at - _EPOCH) // timedelta(microseconds=1)
    return f"{microseconds}.{row.row}"


def _place(cursor: str | None) -> tuple[datetime, int] | None:
    found = _CURSOR.fullmatch(cursor or "")
    if found is None:
        return None
    return _EPOCH + timedelta(microseconds=int(found[1])), int(found[2])
