"""What a merchant may write about tiers and segments: marshmallow schemas."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from itertools import pairwise
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from hub.i18n import gettext as _
from hub.program.fields import MAX_DAYS, Amount, Strict, choice, currency, per_currency, words

ID = validate.Regexp(r"^[a-z0-9][a-z0-9_-]{0,62}$")
YEARS = ("calendar_year", "membership_year")


class Count(Amount):
    """A decimal text or number of at least 0."""

    may_be_0 = True


class LevelSchema(Strict):
    """`[[tiers.levels]]`: one tier, from the lowest to the highest."""

    id = fields.String(required=True, validate=ID)
    name = fields.String(required=True, validate=validate.Length(1, 120))
    least = Count(load_default=None, allow_none=True, data_key="from")
    keep = Count(load_default=None, allow_none=True)
    multiplier = Amount(load_default=None, allow_none=True, validate=validate.Range(max=1000))
    bonus = Count(load_default=None, allow_none=True, validate=validate.Range(max=100_000))
    discount = Count(load_default=lambda: Decimal(0), validate=validate.Range(max=100))
    reward_discount = Count(load_default=lambda: Decimal(0), validate=validate.Range(max=100))
    free_shipping = fields.Boolean(load_default=False)
    perks = words()

    @validates_schema
    def says_it_once(self, data: Mapping[str, Any], **_more: Any) -> None:
        """Twice as many points, or 100 % more."""
        if data.get("multiplier") is not None and data.get("bonus") is not None:
            raise ValidationError(_("name multiplier or bonus"), "bonus")


class MembershipSchema(Strict):
    """`[[tiers.memberships]]`: a product that grants a tier for a time."""

    tier = fields.String(required=True)
    skus = words()
    products = words()
    months = fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=validate.Range(1, 1200)
    )
    days = fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=validate.Range(1, MAX_DAYS)
    )

    @validates_schema
    def says_what_and_how_long(self, data: Mapping[str, Any], **_more: Any) -> None:
        """A product, and how long it lasts."""
        if not data.get("skus") and not data.get("products"):
            raise ValidationError(_("name skus or products"), "skus")
        if not data.get("months") and not data.get("days"):
            raise ValidationError(_("say for how long: months or days"), "months")


class TiersSchema(Strict):
    """`[tiers]`: how members climb and come down."""

    levels = fields.List(
        fields.Nested(LevelSchema), required=True, validate=validate.Length(min=1, max=50)
    )
    by = choice("spend", "points_earned", "points_balance", "orders", "visits", default="spend")
    spend_of = choice("goods", "bill", default="goods")
    currency = fields.String(load_default=None, allow_none=True, validate=currency)
    other_currencies = per_currency(load_default=dict)
    over = choice("lifetime", "rolling", *YEARS, default="lifetime")
    rolling_months = fields.Integer(strict=True, load_default=12, validate=validate.Range(1, 1200))
    review = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.OneOf(["month", "quarter", "year", "membership_year"]),
    )
    year_from = choice("joining", "entry", default="joining")
    year_months = fields.Integer(strict=True, load_default=12, validate=validate.Range(1, 1200))
    year_days = fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=validate.Range(1, MAX_DAYS)
    )
    enter = choice("at_once", "at_review", default="at_once")
    leave = choice("at_review", "at_once", "never", default="at_review")
    drop = choice("to_reached", "one_step", default="to_reached")
    grace_days = fields.Integer(strict=True, load_default=0, validate=validate.Range(0, MAX_DAYS))
    reset = fields.Boolean(load_default=False)
    this_order = fields.Boolean(load_default=False)
    memberships = fields.List(
        fields.Nested(MembershipSchema), load_default=list, validate=validate.Length(max=50)
    )

    @validates_schema
    def is_a_ladder(self, data: Mapping[str, Any], **_more: Any) -> None:
        """Tiers go up, have one id each, and memberships name them."""
        levels = data.get("levels", [])
        ids = [level["id"] for level in levels]
        if len(set(ids)) != len(ids):
            raise ValidationError(_("two tiers have the same id"), "levels")
        counts = [level["least"] for level in levels if level["least"] is not None]
        if any(low >= high for low, high in pairwise(counts)):
            raise ValidationError(_("each tier begins above the one before it"), "levels")
        for membership in data.get("memberships", []):
            if membership["tier"] not in ids:
                raise ValidationError(
                    _("there is no tier {tier!r}", tier=membership["tier"]), "memberships"
                )

    @validates_schema
    def goes_together(self, data: Mapping[str, Any], **_more: Any) -> None:
        """What excludes each other."""
        over, by = data.get("over"), data.get("by")
        fitting = {"calendar_year": "year", "membership_year": "membership_year"}.get(str(over))
        if fitting and data.get("review") not in {None, fitting}:
            raise ValidationError(
                _('counting over a {over} is reviewed at its end: leave "review" out', over=over),
                "review",
            )
        if data.get("reset") and data.get("leave") == "at_once":
            raise ValidationError(
                _('a count that begins anew would be too small at once: leave = "at_review"'), "reset"
            )
        if by == "points_balance" and (over != "lifetime" or data.get("reset")):
            raise ValidationError(_('a balance has no beginning: over = "lifetime", no reset'), "over")
        if data.get("this_order") and str(by).startswith("points"):
            raise ValidationError(_("points are counted after the order that brings them"), "this_order")
        if data.get("leave") != "at_review" and (
            data.get("drop") == "one_step" or data.get("grace_days")
        ):
            raise ValidationError(_('belongs to leave = "at_review"'), "leave")


class SegmentSchema(Strict):
    """`[[segments]]`: a group of members by what is known of them."""

    id = fields.String(required=True, validate=ID)
    name = fields.String(load_default="", validate=validate.Length(max=120))
    tags = words()
    tiers = words()
    channels = words()
    birthday_months = fields.List(
        fields.Integer(strict=True, validate=validate.Range(1, 12)), load_default=list
    )
    within_days = fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=validate.Range(1, MAX_DAYS)
    )
    least_spend = per_currency(load_default=dict)
    most_spend = per_currency(load_default=dict)
    least_orders = fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=validate.Range(min=0)
    )
    most_orders = fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=validate.Range(min=0)
    )
    bought_within_days = fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=validate.Range(0, MAX_DAYS)
    )
    not_bought_for_days = fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=validate.Range(0, MAX_DAYS)
    )
