"""The program document: what a merchant writes, checked with the path and the fix in every error."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate, validates_schema

from hub.i18n import gettext as _
from hub.money import NotMoney, minor_units, to_minor_exact
from hub.payload import first_error
from hub.program.rules import EarnRule, Reward, Rules
from hub.words import of_field

MAX_DAYS = 36500


class DocumentRefused(Exception):
    """The document is not a valid program; `path` and the sentence say where and why."""

    def __init__(self, path: str, sentence: str) -> None:
        super().__init__(f"{path}: {sentence}")
        self.path, self.sentence = path, sentence


class Amount(fields.Field[Decimal]):
    """A decimal text ("10000", "0.50"); numbers are taken too, floats are not exact and are not."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> Decimal:
        del attr, data, kwargs
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
            raise ValidationError(_('must be a decimal in quotes, like "10000" or "0.50"'))
        try:
            amount = Decimal(value)
        except ArithmeticError:
            raise ValidationError(_("{value!r:.40} is no decimal number", value=value)) from None
        if not amount.is_finite() or amount <= 0:
            raise ValidationError(_('"{amount}" must be more than 0', amount=amount))
        return amount


def _currency(code: str) -> None:
    try:
        minor_units(code)
    except NotMoney:
        raise ValidationError(_("{code!r:.20} is no ISO 4217 currency", code=code)) from None


class _Strict(Schema):
    class Meta:
        unknown = RAISE


def _per_currency(**options: Any) -> fields.Dict:
    return fields.Dict(keys=fields.String(validate=_currency), values=Amount(), **options)


class EarnSchema(_Strict):
    """`[earn]`: points by amount."""

    points = fields.Integer(strict=True, load_default=1, validate=validate.Range(1, 1_000_000))
    per = _per_currency(required=True, validate=validate.Length(1))
    tax = fields.String(load_default="out", validate=validate.OneOf(["in", "out"]))
    shipping = fields.String(load_default="out", validate=validate.OneOf(["in", "out"]))
    rounding = fields.String(load_default="half_up", validate=validate.OneOf(["half_up", "down", "up"]))
    excluding = fields.List(
        fields.String(validate=validate.OneOf(["gift_card", "tip", "fee", "service", "goods"])),
        load_default=["gift_card", "tip", "fee"],
        data_key="exclude",
    )
    exclude_categories = fields.List(fields.String(), load_default=list)
    exclude_skus = fields.List(fields.String(), load_default=list)


class PointsSchema(_Strict):
    """`[points]`: availability, expiry, debt."""

    available_after_days = fields.Integer(
        strict=True, load_default=0, validate=validate.Range(0, MAX_DAYS)
    )
    expire_after_days = fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=validate.Range(1, MAX_DAYS)
    )
    negative = fields.String(load_default="debt", validate=validate.OneOf(["debt", "forgive"]))
    earn_date = fields.String(load_default="placed", validate=validate.OneOf(["placed", "paid"]))


class MembersSchema(_Strict):
    """`[members]`: who becomes one."""

    enrol = fields.String(
        load_default="anyone", validate=validate.OneOf(["anyone", "customers", "existing"])
    )


class RedeemSchema(_Strict):
    """`[redeem]`: holds and double use."""

    hold_minutes = fields.Integer(strict=True, load_default=15, validate=validate.Range(1, 7 * 24 * 60))
    double_use = fields.String(
        load_default="take_again", validate=validate.OneOf(["take_again", "absorb"])
    )


class RewardSchema(_Strict):
    """`[[rewards]]`: N points = an amount per currency, or a percentage."""

    id = fields.String(required=True, validate=validate.Regexp(r"^[a-z0-9][a-z0-9_-]{0,62}$"))
    name = fields.String(required=True, validate=validate.Length(1, 120))
    cost = fields.Integer(strict=True, required=True, validate=validate.Range(1, 2**53))
    amount = _per_currency(load_default=dict)
    percent = Amount(load_default=None, allow_none=True)
    valid_days = fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=validate.Range(1, MAX_DAYS)
    )

    @validates_schema
    def one_kind(self, data: Mapping[str, Any], **_more: Any) -> None:
        """A reward is either an amount or a percentage."""
        if bool(data.get("amount")) == (data.get("percent") is not None):
            raise ValidationError(_("name either amount or percent"), "amount")
        if data.get("percent") is not None and data["percent"] > 100:
            raise ValidationError(_("must be at most 100"), "percent")


class DocumentSchema(_Strict):
    """One version of a program."""

    earn = fields.Nested(EarnSchema, required=True)
    points = fields.Nested(PointsSchema, load_default=lambda: PointsSchema().load({}))
    members = fields.Nested(MembersSchema, load_default=lambda: MembersSchema().load({}))
    redeem = fields.Nested(RedeemSchema, load_default=lambda: RedeemSchema().load({}))
    rewards = fields.List(fields.Nested(RewardSchema), load_default=list)

    @validates_schema
    def unique_rewards(self, data: Mapping[str, Any], **_more: Any) -> None:
        """Rewards are told apart by their ids."""
        ids = [reward["id"] for reward in data.get("rewards", ())]
        twice = next((i for i in ids if ids.count(i) > 1), None)
        if twice:
            raise ValidationError(_("the id {twice!r} is used twice", twice=twice), "rewards")


_SCHEMA = DocumentSchema()


def check(document: Mapping[str, Any]) -> dict[str, Any]:
    """Validate; returns the document with its defaults. Raises `DocumentRefused`."""
    try:
        loaded: dict[str, Any] = _SCHEMA.load(dict(document))
    except ValidationError as error:
        path, sentence = first_error(error.messages, "program")
        raise DocumentRefused(path.removeprefix("program."), of_field(sentence)) from None
    _amounts("earn.per", loaded["earn"]["per"])
    for number, reward in enumerate(loaded["rewards"]):
        _amounts(f"rewards[{number}].amount", reward["amount"])
    return loaded


def rules(
    document: Mapping[str, Any], *, number: int, effective_from: datetime, time_zone: str
) -> Rules:
    """The rules a document stands for. Raises `DocumentRefused`."""
    loaded = check(document)
    earn, points = loaded["earn"], loaded["points"]
    return Rules(
        number=number,
        effective_from=effective_from,
        time_zone=time_zone,
        earn=EarnRule(
            points=earn["points"],
            per=_amounts("earn.per", earn["per"]),
            tax=earn["tax"],
            shipping=earn["shipping"],
            rounding=earn["rounding"],
            exclude_kinds=frozenset(earn["excluding"]),
            exclude_categories=frozenset(earn["exclude_categories"]),
            exclude_skus=frozenset(earn["exclude_skus"]),
        ),
        available_after_days=points["available_after_days"],
        expires_after_days=points["expire_after_days"],
        negative=points["negative"],
        earn_date=points["earn_date"],
        enrol=loaded["members"]["enrol"],
        hold_minutes=loaded["redeem"]["hold_minutes"],
        double_use=loaded["redeem"]["double_use"],
        rewards={r["id"]: _reward(f"rewards[{n}]", r) for n, r in enumerate(loaded["rewards"])},
    )


def default_document(currency: str) -> dict[str, Any]:
    """What a new program starts with: a point for about half a dollar's worth of goods."""
    step = {0: "10000", 2: "1", 3: "1", 4: "1"}[minor_units(currency)]
    if currency in {"JPY", "KRW", "CLP", "ISK"}:
        step = "100"
    return {"earn": {"points": 1, "per": {currency: step}}, "rewards": []}


def _reward(path: str, data: Mapping[str, Any]) -> Reward:
    percent = data["percent"]
    return Reward(
        id=data["id"],
        name=data["name"],
        cost=data["cost"],
        amounts=_amounts(f"{path}.amount", data["amount"]),
        percent=None if percent is None else int(percent * 100),
        valid_days=data["valid_days"],
    )


def _amounts(path: str, amounts: Mapping[str, Decimal]) -> dict[str, int]:
    return {currency: _minor(path, amount, currency) for currency, amount in amounts.items()}


def _minor(path: str, amount: Decimal, currency: str) -> int:
    try:
        return to_minor_exact(amount, currency)
    except NotMoney:
        digits = minor_units(currency)
        exponent = amount.normalize().as_tuple().exponent
        sentence = _("the amount {amount} is out of range", amount=amount)
        if isinstance(exponent, int) and exponent < -digits:
            sentence = _(
                "the amount is {amount}, but {currency} has {digits} decimals",
                amount=amount,
                currency=currency,
                digits=digits,
            )
        raise DocumentRefused(path, sentence) from None
