"""Lists of the API, page by page: a cursor is the id of the last thing on the page before (keyset)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

from flask import request
from marshmallow import ValidationError, fields, validate
from sqlalchemy.orm import Session

from hub.bulk import run
from hub.i18n import gettext as _
from hub.web.api.door import Strict
from hub.web.keys import caller
from hub.web.problems import Problem

MOST = 200
USUAL = 50
_ID = re.compile(r"[a-z]{2,4}_[0-9a-z]{16}")
_TABLES = {
    "act": "actions", "mem": "members", "otp": "one_time_codes", "red": "redemptions", "txn": "transactions",
    "vch": "vouchers",
}  # fmt: skip


def is_cursor(text: str) -> None:
    """Raises `ValidationError` for what is no cursor of ours."""
    if not _ID.fullmatch(text):
        raise ValidationError(_("is no cursor"))


class Listing(Strict):
    """Where to go on, and how far."""

    cursor = fields.String(load_default=None, allow_none=False, validate=is_cursor)
    limit = fields.Integer(load_default=USUAL, validate=validate.Range(1, MOST))


class OfMember(Listing):
    """A list that may be narrowed to one member."""

    member = fields.String(load_default=None, allow_none=False, validate=validate.Length(1, 64))


def place(session: Session, prefix: str, cursor: str | None) -> int | None:
    """The row a list goes on behind; None: from its beginning. Raises `Problem` where the cursor is none of
    this list and programme."""
    if cursor is None:
        return None
    rows: Any = ()
    if cursor.startswith(f"{prefix}_"):
        sql = f"SELECT id FROM {_TABLES[prefix]} WHERE program_id = :program AND public_id = :cursor"
        rows = run(session, sql, {"program": caller().program.id, "cursor": cursor})
    if not rows:
        raise Problem(422, "invalid_request", _("Invalid request"), f"cursor: {_('is no cursor')}")
    return int(rows[0].id)


def paged(name: str, rows: list[Any], limit: int) -> dict[str, Any]:
    """A page as it is answered, of up to `limit` + 1 rows found; `next` is the cursor of what follows."""
    shown = rows[:limit]
    return {name: shown, "next": shown[-1]["id"] if len(rows) > limit else None}


def link(cursor: str | None, limit: int) -> dict[str, str]:
    """The header that leads to the next page of a list which is a bare array (RFC 8288)."""
    if cursor is None:
        return {}
    query = urlencode({"cursor": cursor, "limit": limit})
    return {"Link": f'<{request.path}?{query}>; rel="next"'}
