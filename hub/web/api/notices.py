"""`/api/v1/notices`: whom to tell that they joined or reached a number of points."""

from __future__ import annotations

import re
from typing import Any

from marshmallow import Schema, ValidationError, fields

from hub.desk import notices
from hub.desk.notices import BEGINNING, Place
from hub.i18n import gettext as _
from hub.program import store
from hub.program.rules import in_force
from hub.web.api.door import ApiBlueprint, Strict, now, transaction
from hub.web.keys import caller, requires

blueprint = ApiBlueprint(
    "notices", __name__, url_prefix="/api/v1/notices", description="Whom to tell what they reached"
)

_CURSOR = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})")


def _is_cursor(text: str) -> None:
    if not _CURSOR.fullmatch(text):
        raise ValidationError(_("is no cursor"))


class NoticesQuery(Strict):
    """Where to go on."""

    cursor = fields.String(load_default=None, validate=_is_cursor)


class NoticeRow(Schema):
    """One member to be told something."""

    id = fields.String(metadata={"description": "the same whenever it is asked for"})
    notice = fields.String(metadata={"description": "the id in the programme"})
    at = fields.DateTime()
    member = fields.String()
    name = fields.String()
    points = fields.Integer(metadata={"description": "the balance then"})
    phone = fields.String(allow_none=True)
    email = fields.String(allow_none=True)


class NoticesAnswer(Schema):
    """What came since the cursor."""

    notices = fields.List(fields.Nested(NoticeRow))
    cursor = fields.String(metadata={"description": "ask with it next time: nothing is told twice"})
    more = fields.Boolean(metadata={"description": "there is more to be had at once"})


@blueprint.get("")
@requires("members:read")
@blueprint.arguments(NoticesQuery, location="query")
@blueprint.response(200, NoticesAnswer)
def since(query: dict[str, Any]) -> dict[str, Any]:
    """Who joined or reached a mark of the programme's `[[notices]]` since the cursor, up to a minute ago."""
    with transaction() as session:
        program = caller().program
        rules = in_force(store.versions(session, program), now())
        page = notices.after(session, program.id, rules, _place(query["cursor"]), now())
    return {
        "notices": page.notices,
        "cursor": f"{page.place[0]}.{page.place[1]}",
        "more": not page.is_last,
    }


def _place(cursor: str | None) -> Place:
    found = _CURSOR.fullmatch(cursor or "")
    return (int(found[1]), int(found[2])) if found else BEGINNING
