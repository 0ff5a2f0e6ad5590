"""What a merchant writes about a reward: marshmallow schema, errors that name the fix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from hub.i18n import gettext as _
from hub.program.fields import MAX_DAYS, Amount, Moment, Strict, per_currency, words


def _count(most: int = 2**53) -> fields.Integer:
    return fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=validate.Range(1, most)
    )


class RewardSchema(Strict):
    """`[[rewards]]`: N points = an amount per currency, a percentage, a product, shipping, or a perk."""

    id = fields.String(required=True, validate=validate.Regexp(r"^[a-z0-9][a-z0-9_-]{0,62}$"))
    name = fields.String(required=True, validate=validate.Length(1, 120))
    cost = fields.Integer(strict=True, required=True, validate=validate.Range(0, 2**53))
    amount = per_currency(load_default=dict)
    percent = Amount(load_default=None, allow_none=True)
    perk = fields.String(load_default="", validate=validate.Length(max=200))
    free = words()
    credit = per_currency(load_default=dict, validate=validate.Length(max=1))
    gift_card = per_currency(load_default=dict, validate=validate.Length(max=1))
    free_shipping = fields.Boolean(load_default=False)
    skus = words()
    pieces = _count(1_000_000)
    at_most = per_currency(load_default=dict)
    minimum = per_currency(load_default=dict)
    valid_days = _count(MAX_DAYS)
    valid_until = Moment(load_default=None, allow_none=True)
    starts = Moment(load_default=None, allow_none=True, data_key="from")
    until = Moment(load_default=None, allow_none=True)
    stock = _count()
    per_member = _count()
    per_day = _count()
    channels = words()
    automatic = fields.Boolean(load_default=False)
    every_order = fields.Boolean(load_default=False)
    order_minimum = per_currency(load_default=dict)
    tiers = words()
    segments = words()

    @validates_schema
    def one_kind(self, data: Mapping[str, Any], **_more: Any) -> None:
        """A reward is one thing."""
        percent = data.get("percent")
        named = [data.get("amount"), percent is not None, data.get("perk"), data.get("free"),
                 data.get("free_shipping"), data.get("credit"), data.get("gift_card")]  # fmt: skip
        if sum(map(bool, named)) != 1:
            raise ValidationError(
                _("name one of amount, percent, free, free_shipping, credit, gift_card and perk"),
                "amount",
            )
        if percent is not None and percent > 100:
            raise ValidationError(_("must be at most 100"), "percent")

    @validates_schema
    def what_belongs_to_what(self, data: Mapping[str, Any], **_more: Any) -> None:
        """Limits that would say nothing are refused rather than passed over."""
        if data.get("at_most") and data.get("percent") is None:
            raise ValidationError(_("belongs to percent"), "at_most")
        if data.get("cost") == 0 and not any(
            data.get(name) for name in ("stock", "per_member", "per_day", "every_order")
        ):
            raise ValidationError(
                _("what costs nothing needs an end: stock, per_member or per_day"), "cost"
            )
        if data.get("automatic") and not data.get("cost"):
            raise ValidationError(_("what is had by itself costs points"), "automatic")
        if data.get("every_order") and data.get("cost"):
            raise ValidationError(_("what orders bring costs nothing"), "cost")
        if data.get("order_minimum") and not data.get("every_order"):
            raise ValidationError(_("belongs to every_order"), "order_minimum")
        if data.get("pieces") and not (data.get("free") or data.get("skus")):
            raise ValidationError(_("belongs to free or skus"), "pieces")
        if data.get("skus") and not (data.get("amount") or data.get("percent") is not None):
            raise ValidationError(_("belongs to amount or percent"), "skus")
