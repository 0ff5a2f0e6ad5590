"""`[[actions]]` and `[referral]` of a program document: what members do besides buying."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from hub.i18n import gettext as _
from hub.program.fields import MAX_DAYS, Amount, Strict, WindowSchema, choice, per_currency

MOST = 2**53
ID = validate.Regexp(r"^[a-z0-9][a-z0-9_-]{0,62}$")


def _limit() -> fields.Integer:
    return fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=validate.Range(1, 1_000_000)
    )


class ActionSchema(Strict):
    """`[[actions]]`: one thing members do, and the points for it."""

    id = fields.String(required=True, validate=ID)
    name = fields.String(load_default="", validate=validate.Length(max=120))
    points = fields.Integer(strict=True, required=True, validate=validate.Range(1, MOST))
    by = choice("event", "birthday", "sign_up", default="event")
    most_per_day = _limit()
    most_per_week = _limit()
    most_per_month = _limit()
    most_per_year = _limit()
    most_ever = _limit()
    windows = fields.List(fields.Nested(WindowSchema), load_default=list)


GIVEN = ("referrer", "friend", "percent", "referrer_credit", "friend_credit")
"""What a referral may give."""


class ReferralSchema(Strict):
    """`[referral]`: a member brings a friend, and the friend buys."""

    referrer = fields.Integer(strict=True, load_default=0, validate=validate.Range(0, MOST))
    friend = fields.Integer(strict=True, load_default=0, validate=validate.Range(0, MOST))
    percent = Amount(load_default=None, allow_none=True, validate=validate.Range(max=1000))
    worth = per_currency(load_default=dict)
    referrer_credit = per_currency(load_default=dict)
    friend_credit = per_currency(load_default=dict)
    minimum = per_currency(load_default=dict)
    within_days = fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=validate.Range(1, MAX_DAYS)
    )
    order = choice("first", "any", default="first")

    @validates_schema
    def gives_something(self, data: Mapping[str, Any], **_more: Any) -> None:
        """A referral without points is none; a share needs what a point is worth."""
        percent: Decimal | None = data.get("percent")
        if not any(data.get(name) for name in GIVEN):
            raise ValidationError(_("say what it gives: {names}", names=", ".join(GIVEN)), "referrer")
        if bool(percent) != bool(data.get("worth")):
            raise ValidationError(
                _("a percentage needs percent, and worth: what a point is worth in each currency"),
                "worth",
            )


class NoticeSchema(Strict):
    """`[[notices]]`: a moment at which a member is to be told something."""

    id = fields.String(required=True, validate=ID)
    points = fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=validate.Range(1, MOST)
    )
    on = fields.String(load_default=None, allow_none=True, validate=validate.OneOf(["joined"]))

    @validates_schema
    def one_moment(self, data: Mapping[str, Any], **_more: Any) -> None:
        """A notice is of one moment."""
        if (data.get("points") is None) == (data.get("on") is None):
            raise ValidationError(_('say one of points = 100 and on = "joined"'), "points")
