"""What a merchant may write in a program document: marshmallow schemas, errors that name the fix."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from hub.i18n import gettext as _
from hub.program.action_schema import ActionSchema, NoticeSchema, ReferralSchema
from hub.program.fields import MAX_DAYS, MAX_RULES, Amount, Hours, MonthDay, OneOrMany, WindowSchema
from hub.program.fields import Strict as _Strict
from hub.program.fields import choice as _choice
from hub.program.fields import currency as _currency
from hub.program.fields import per_currency as _per_currency
from hub.program.fields import words as _words
from hub.program.reward_schema import RewardSchema
from hub.program.tiers_schema import SegmentSchema, TiersSchema

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ROUNDINGS = ("half_up", "down", "up")


def _most() -> fields.Integer:
    return fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=validate.Range(1, 2**53)
    )


class WhenSchema(_Strict):
    """What rules and multipliers share: the bills and lines they are about."""

    id = fields.String(load_default=None, validate=validate.Regexp(r"^[a-z0-9][a-z0-9_-]{0,62}$"))
    minimum = _per_currency(load_default=dict)
    channels = _words()
    locations = _words()
    windows = fields.List(fields.Nested(WindowSchema), load_default=list)
    weekdays = fields.List(fields.String(validate=validate.OneOf(WEEKDAYS)), load_default=list)
    hours = Hours(load_default=None, allow_none=True)
    discounted_bills = fields.Boolean(load_default=True)
    paid_with_points = fields.Boolean(load_default=True)
    orders = fields.List(
        fields.Integer(strict=True, validate=validate.Range(1, 1_000_000)),
        load_default=list,
        validate=validate.Length(max=100),
    )
    budget = _most()
    budget_per_member = _most()
    every_nth = fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=validate.Range(2, 1_000_000)
    )
    tiers = _words()
    segments = _words()
    birthday = fields.String(
        load_default=None, allow_none=True, validate=validate.OneOf(["day", "week", "month"])
    )
    categories = _words()
    skus = _words()
    products = _words()
    tags = _words()
    excluding = fields.List(
        fields.String(validate=validate.OneOf(["gift_card", "tip", "fee", "service", "goods"])),
        load_default=["gift_card", "tip", "fee"],
        data_key="exclude",
    )
    exclude_categories = _words()
    exclude_skus = _words()
    exclude_tags = _words()
    discounted_lines = _choice("in", "out", "only", default="in")
    free_lines = _choice("in", "out", default="in")


_OWNERS = {
    "per": "per_amount",
    "factors": "per_amount",
    "percent": "percent",
    "worth": "percent",
    "brackets": "brackets",
}
"""Numbers of an earn rule -> the type they belong to."""


class Factor(Amount):
    """A decimal that may be 0: a currency that earns nothing is told of, rather than forgotten."""

    may_be_0 = True


class BracketSchema(_Strict):
    """One bracket of `type = "brackets"`: a stretch of amounts and its rate."""

    over = _per_currency(load_default=dict)
    up_to = _per_currency(load_default=dict)
    points = Amount(load_default=lambda: Decimal(1), validate=validate.Range(max=1_000_000))
    per = _per_currency(required=True, validate=validate.Length(1))

    @validates_schema
    def ends_after_it_begins(self, data: Mapping[str, Any], **_more: Any) -> None:
        """A stretch that ends before it begins holds no amount."""
        for currency, end in data.get("up_to", {}).items():
            if end <= data.get("over", {}).get(currency, 0):
                raise ValidationError(_("must be more than `over`"), "up_to")


class EarnSchema(WhenSchema):
    """`[earn]` or `[[earn]]`: one way points come about."""

    type = _choice(
        "per_amount", "percent", "brackets", "per_order", "per_quantity", default="per_amount"
    )
    factors = fields.Dict(
        keys=fields.String(validate=_currency),
        values=Factor(validate=validate.Range(max=1_000_000)),
        load_default=dict,
    )
    brackets = fields.List(
        fields.Nested(BracketSchema), load_default=list, validate=validate.Length(max=MAX_RULES)
    )
    reach = _choice("part", "bill", default="part")
    points = Amount(load_default=lambda: Decimal(1), validate=validate.Range(max=1_000_000))
    per = _per_currency(load_default=dict)
    percent = Amount(load_default=None, allow_none=True, validate=validate.Range(max=1000))
    worth = _per_currency(load_default=dict)
    steps = _choice("exact", "whole", default="exact")
    rounding = fields.String(load_default=None, allow_none=True, validate=validate.OneOf(ROUNDINGS))
    tax = _choice("in", "out", default="out")
    shipping = _choice("in", "out", default="out")
    not_paid_with = fields.List(
        fields.String(validate=validate.OneOf(["points", "gift_card", "store_credit"])),
        load_default=list,
    )
    alone = fields.Boolean(load_default=False)
    last = fields.Boolean(load_default=False)

    @validates_schema
    def has_what_its_type_needs(self, data: Mapping[str, Any], **_more: Any) -> None:
        """Each type has its own numbers, and no others."""
        kind = data.get("type")
        if kind == "per_amount" and not (data.get("per") or data.get("factors")):
            raise ValidationError(_('say for how much: per = { VND = "10000" }'), "per")
        if data.get("per") and data.get("factors"):
            raise ValidationError(_("say either per or factors"), "factors")
        if kind == "brackets" and not data.get("brackets"):
            raise ValidationError(_("say which: brackets = [...]"), "brackets")
        if kind == "percent" and not (data.get("percent") and data.get("worth")):
            raise ValidationError(
                _("a percentage needs percent, and worth: what a point is worth in each currency"),
                "worth",
            )
        for name, owner in _OWNERS.items():
            if data.get(name) and kind != owner:
                raise ValidationError(_('belongs to type = "{type}"', type=owner), name)
        steps = kind == "brackets" or (kind == "per_amount" and not data.get("factors"))
        if data.get("steps") == "whole" and not steps:
            raise ValidationError(_('belongs to type = "{type}"', type="per_amount"), "steps")
        if data.get("not_paid_with") and kind in {"per_order", "per_quantity"}:
            raise ValidationError(_('belongs to type = "{type}"', type="per_amount"), "not_paid_with")
        if data.get("reach") == "bill" and kind != "brackets":
            raise ValidationError(_('belongs to type = "{type}"', type="brackets"), "reach")


class MultiplierSchema(WhenSchema):
    """`[[multipliers]]`: more points for some bills or lines."""

    factor = Amount(required=True, validate=validate.Range(max=1000))


class DiscountSchema(WhenSchema):
    """`[[discounts]]`: what the till takes off some goods by itself, without points."""

    id = fields.String(required=True, validate=validate.Regexp(r"^[a-z0-9][a-z0-9_-]{0,62}$"))
    percent = Amount(required=True, validate=validate.Range(max=100))

    @validates_schema
    def by_itself(self, data: Mapping[str, Any], **_more: Any) -> None:
        """A till asks before there is an order to count, and points have nothing to do with it."""
        for name in ("orders", "every_nth", "budget", "budget_per_member"):
            if data.get(name):
                raise ValidationError(_("belongs to rules of points, not to a discount"), name)


class PointsSchema(_Strict):
    """`[points]`: how rules are put together, availability, expiry, refunds, debt."""

    rounding = _choice(*ROUNDINGS, default="half_up")
    combine = _choice("sum", "best", default="sum")
    stacking = _choice("multiply", "add", "best", default="multiply")
    most_per_order = _most()
    most_per_day = _most()
    most_per_week = _most()
    most_per_month = _most()
    most_per_year = _most()
    most_per_member = _most()
    partial_refund = _choice("recompute", "share", default="recompute")
    minimum_after_refund = _choice("recheck", "as_at_sale", default="recheck")
    available_from = _choice("placed", "fulfilled", default="placed")
    available_after_days = fields.Integer(
        strict=True, load_default=0, validate=validate.Range(0, MAX_DAYS)
    )
    expire_after_days = fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=validate.Range(1, MAX_DAYS)
    )
    expire_after_months = fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=validate.Range(1, 1200)
    )
    expire_until_end_of = fields.String(
        load_default=None, allow_none=True, validate=validate.OneOf(["month", "quarter", "year"])
    )
    expire_on = MonthDay(load_default=None, allow_none=True)
    expire_last_day = _choice("included", "excluded", "same_time", default="included")
    expire_after_idle_days = fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=validate.Range(1, MAX_DAYS)
    )
    expire_without_purchase_in_year = fields.Boolean(load_default=False)
    spend_first = _choice("expiry", "earned", default="expiry")
    negative = _choice("debt", "forgive", default="debt")
    earn_date = _choice("placed", "paid", default="placed")


class MembersSchema(_Strict):
    """`[members]`: who becomes one."""

    enrol = fields.String(
        load_default="anyone", validate=validate.OneOf(["anyone", "customers", "existing"])
    )


def _code_prefix(text: str) -> None:
    if not re.fullmatch(r"[A-Z0-9]{0,12}", text):
        raise ValidationError(_("at most 12 capital letters and digits"))


class RedeemSchema(_Strict):
    """`[redeem]`: holds and double use."""

    hold_minutes = fields.Integer(strict=True, load_default=15, validate=validate.Range(1, 7 * 24 * 60))
    code_prefix = fields.String(load_default="HUB", validate=_code_prefix)
    double_use = fields.String(
        load_default="take_again", validate=validate.OneOf(["take_again", "absorb", "flag"])
    )
    unused = _choice("points_back", "lost", default="points_back")
    points_back = _choice("full", "share", "never", default="full")
    when_cancelled = _choice("reopen", "points_back", default="reopen")
    grace_days = fields.Integer(strict=True, load_default=30, validate=validate.Range(0, MAX_DAYS))


class TillSchema(_Strict):
    """`[till]`: one-time codes, and how much one cashier may do in an hour."""

    code_above = fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=validate.Range(0, 2**53)
    )
    redemptions_per_hour = _most()
    points_per_hour = _most()
    claims_per_hour = _most()
    own_redemptions = _choice("tell", "refuse", default="tell")
    own_sales = _choice("tell", "refuse", default="tell")


class PayingSchema(_Strict):
    """`[paying]`: points as money at the till."""

    points = fields.Integer(strict=True, load_default=1, validate=validate.Range(1, 2**53))
    worth = _per_currency(required=True, validate=validate.Length(1))
    rates = _per_currency(load_default=dict)
    step = fields.Integer(strict=True, load_default=1, validate=validate.Range(1, 2**53))
    min_points = fields.Integer(strict=True, load_default=1, validate=validate.Range(1, 2**53))
    max_points = fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=validate.Range(1, 2**53)
    )
    most_per_day = _most()
    min_balance = fields.Integer(strict=True, load_default=0, validate=validate.Range(0, 2**53))
    max_percent = Amount(load_default=lambda: Decimal(100), validate=validate.Range(max=100))
    min_off = _per_currency(load_default=dict)
    max_off = _per_currency(load_default=dict)
    over_balance = _choice("refuse", "clamp", default="refuse")
    valid_days = fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=validate.Range(1, MAX_DAYS)
    )

    @validates_schema
    def rates_are_of_one_currency(self, data: Mapping[str, Any], **_more: Any) -> None:
        """A rate is from the currency of `worth` to another."""
        rates, worth = data.get("rates", {}), data.get("worth", {})
        if rates and len(worth) != 1:
            raise ValidationError(_("rates are counted from one currency: name one in worth"), "rates")
        if set(rates) & set(worth):
            raise ValidationError(_("the currency of worth needs no rate"), "rates")


class CashbackSchema(WhenSchema):
    """`[[credit.cashback]]`: a share of the bill that comes back as store credit."""

    percent = Amount(required=True, validate=validate.Range(max=100))
    tax = _choice("in", "out", default="out")
    shipping = _choice("in", "out", default="out")
    currencies = _words()
    alone = fields.Boolean(load_default=False)
    last = fields.Boolean(load_default=False)

    @validates_schema
    def by_itself(self, data: Mapping[str, Any], **_more: Any) -> None:
        """Credit looks at one sale and who buys: what asks for other sales belongs to points."""
        for name in ("orders", "every_nth", "budget", "budget_per_member"):
            if data.get(name):
                raise ValidationError(_("belongs to rules of points, not to cashback"), name)


class CreditSchema(_Strict):
    """`[credit]`: store credit."""

    cashback = fields.List(
        fields.Nested(CashbackSchema), load_default=list, validate=validate.Length(max=MAX_RULES)
    )
    rounding = _choice(*ROUNDINGS, default="half_up")
    most_per_order = _per_currency(load_default=dict)
    paid_out = _choice("at_once", "month", "quarter", "year", default="at_once")
    available_after_days = fields.Integer(
        strict=True, load_default=0, validate=validate.Range(0, MAX_DAYS)
    )
    expire_after_days = fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=validate.Range(1, MAX_DAYS)
    )
    expire_after_months = fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=validate.Range(1, 1200)
    )
    expire_until_end_of = fields.String(
        load_default=None, allow_none=True, validate=validate.OneOf(["month", "quarter", "year"])
    )
    spent_at = _words()
    valid_days = fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=validate.Range(1, MAX_DAYS)
    )


class DocumentSchema(_Strict):
    """One version of a program."""

    earn = OneOrMany(EarnSchema, required=True)
    multipliers = fields.List(
        fields.Nested(MultiplierSchema), load_default=list, validate=validate.Length(max=MAX_RULES)
    )
    points = fields.Nested(PointsSchema, load_default=lambda: PointsSchema().load({}))
    members = fields.Nested(MembersSchema, load_default=lambda: MembersSchema().load({}))
    redeem = fields.Nested(RedeemSchema, load_default=lambda: RedeemSchema().load({}))
    till = fields.Nested(TillSchema, load_default=lambda: TillSchema().load({}))
    rewards = fields.List(fields.Nested(RewardSchema), load_default=list)
    paying = fields.Nested(PayingSchema, load_default=None, allow_none=True)
    credit = fields.Nested(CreditSchema, load_default=None, allow_none=True)
    actions = fields.List(
        fields.Nested(ActionSchema), load_default=list, validate=validate.Length(max=MAX_RULES)
    )
    discounts = fields.List(
        fields.Nested(DiscountSchema), load_default=list, validate=validate.Length(max=MAX_RULES)
    )
    referral = fields.Nested(ReferralSchema, load_default=None, allow_none=True)
    tiers = fields.Nested(TiersSchema, load_default=None, allow_none=True)
    segments = fields.List(
        fields.Nested(SegmentSchema), load_default=list, validate=validate.Length(max=MAX_RULES)
    )

    notices = fields.List(
        fields.Nested(NoticeSchema), load_default=list, validate=validate.Length(max=MAX_RULES)
    )

    @validates_schema
    def unique_ids(self, data: Mapping[str, Any], **_more: Any) -> None:
        """Rules, multipliers and rewards are told apart by their ids."""
        for name in ("earn", "multipliers", "rewards", "actions", "segments", "discounts", "notices"):
            ids = [one["id"] for one in data.get(name, ()) if one.get("id")]
            twice = next((i for i in ids if ids.count(i) > 1), None)
            if twice:
                raise ValidationError(_("the id {twice!r} is used twice", twice=twice), name)
        ids = [rule["id"] for rule in data.get("earn", ()) if rule.get("id")]
        for multiplier in data.get("multipliers", ()):
            if (multiplier["budget"] or multiplier["budget_per_member"]) and multiplier["id"] in ids:
                twice = multiplier["id"]
                raise ValidationError(_("the id {twice!r} is used twice", twice=twice), "multipliers")

    @validates_schema
    def budgets_have_names(self, data: Mapping[str, Any], **_more: Any) -> None:
        """A budget goes on over versions of the document: by the id of its rule."""
        for name in ("earn", "multipliers"):
            for rule in data.get(name, ()):
                if (rule["budget"] or rule["budget_per_member"]) and not rule["id"]:
                    raise ValidationError(_("a rule with a budget needs an id"), name)
