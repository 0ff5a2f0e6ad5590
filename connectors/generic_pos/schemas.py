"""`hub.sale/1` as marshmallow reads it; `hub.sale-1.schema.json` says the same, and a test keeps
the two in step.

Unknown fields are refused everywhere except inside `extra`: a misspelt field that is passed over in
silence costs a customer points. Optional fields may be null, which is the same as absent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from hub.canonical import LineKind, SaleState
from hub.money import MINOR_UNITS
from hub.payload import Message, Value

MAX_VERSION = 2**53 - 1
MAX_ID = 100
MAX_TEXT = 500
MAX_LINES = 1000
AMOUNT = r"^[0-9]{1,12}(\.[0-9]{1,4})?$"
TIME = (
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
DAY = r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"
CONSENTS = ("email_marketing", "sms_marketing", "loyalty")
PAYMENTS = ("money", "gift_card", "store_credit", "points")

_IS_AMOUNT, _IS_TIME, _IS_DAY = re.compile(AMOUNT), re.compile(TIME), re.compile(DAY)


class Text(Value[str]):
    """A text of bounded length."""

    def __init__(self, most: int, *, least: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._least, self._most = least, most

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError("a text is expected")
        if not self._least <= len(value) <= self._most:
            raise ValidationError(f"a text of {self._least} to {self._most} characters is expected")
        return value


class Amount(Value[Decimal]):
    """Money as a decimal text, never below zero; how many digits it may have, the currency says."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Decimal:
        if not isinstance(value, str) or not _IS_AMOUNT.fullmatch(value):
            raise ValidationError('an amount is a text like "19.90", without a sign')
        return Decimal(value)


class Time(Value[datetime]):
    """RFC 3339 with a zone, to aware UTC."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> datetime:
        if not isinstance(value, str) or not _IS_TIME.fullmatch(value):
            raise ValidationError("a time with its zone is expected, like 2026-11-23T09:30:00+07:00")
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            raise ValidationError("there is no such time") from None


class Day(Value[str]):
    """A calendar day, kept as its ISO text."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if not isinstance(value, str) or not _IS_DAY.fullmatch(value):
            raise ValidationError("a day like 1990-02-28 is expected")
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError:
            raise ValidationError("there is no such day") from None


class Version(Value[int]):
    """A whole number; JSON's 2.0 is one."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        whole = isinstance(value, Decimal) and value == value.to_integral_value()
        if isinstance(value, bool) or not (isinstance(value, int) or whole):
            raise ValidationError("a whole number is expected")
        if not 0 <= value <= MAX_VERSION:
            raise ValidationError("must be between 0 and 2^53 - 1")
        return int(value)


class Quantity(Value[Decimal]):
    """A JSON number up to a billion."""

    def __init__(self, *, zero: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._zero = zero

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise ValidationError("a number is expected")
        if value < 0 or value > 10**9 or (value == 0 and not self._zero):
            raise ValidationError("must be above zero" if not self._zero else "must not be below zero")
        return Decimal(value)


class Flag(Value[bool]):
    """true or false, not "yes" or 1."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("true or false is expected")
        return value


class Extra(Value[None]):
    """Whatever the till wants to keep with the message; the hub does not read it."""

    def __init__(self) -> None:
        super().__init__(load_default=None, allow_none=True)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> None:
        if not isinstance(value, dict):
            raise ValidationError("an object is expected")


def _id(*, required: bool = False) -> Text:
    if required:
        return Text(MAX_ID, least=1, required=True)
    return Text(MAX_ID, least=1, load_default=None, allow_none=True)


def _text() -> Text:
    return Text(MAX_TEXT, load_default=None, allow_none=True)


def _texts() -> fields.List[str]:
    return fields.List(
        Text(MAX_ID, least=1), load_default=list, allow_none=True, validate=validate.Length(max=50)
    )


def _optional_time() -> Time:
    return Time(load_default=None, allow_none=True)


def _optional_amount() -> Amount:
    return Amount(load_default=None, allow_none=True)


def _one_of(values: Any, **kwargs: Any) -> fields.String:
    return fields.String(validate=validate.OneOf(tuple(values)), **kwargs)


def _currency() -> fields.String:
    return fields.String(
        required=True,
        validate=validate.OneOf(MINOR_UNITS, error="{input} is no ISO 4217 currency"),
    )


class _Strict(Message):
    error_messages = {"unknown": "there is no such field; fields of your own go into extra"}  # noqa: RUF012


class Address(_Strict):
    """Where a customer lives."""

    company = _text()
    line1 = _text()
    line2 = _text()
    city = _text()
    region = _text()
    postcode = _text()
    country = _text()


class ConsentGiven(_Strict):
    """What a customer agreed to, or withdrew."""

    what = _one_of(CONSENTS, required=True)
    given = Flag(required=True)
    at = _optional_time()
    wording = Text(5000, load_default=None, allow_none=True)


class Person(_Strict):
    """Who bought, as far as the till knows."""

    id = _id()
    name = _text()
    phone = _text()
    email = _text()
    card = _text()
    staff_claim = _id()
    birthday = Day(load_default=None, allow_none=True)
    locale = _id()
    country = fields.String(load_default=None, allow_none=True, validate=validate.Regexp(r"^[A-Z]{2}\Z"))
    address = fields.Nested(Address(), load_default=None, allow_none=True)
    consents = fields.Nested(ConsentGiven(many=True), load_default=list)
    extra = Extra()


class NamedPerson(Person):
    """A customer of the till's own list: its id is what later sales name."""

    id = _id(required=True)


class SaleLine(_Strict):
    """One line as sold: `net` after all discounts (its share of the order's too), without `tax`."""

    id = _id(required=True)
    kind = _one_of(LineKind, load_default=LineKind.GOODS.value)
    sku = _id()
    product_id = _id()
    variant_id = _id()
    name = _text()
    categories = _texts()
    tags = _texts()
    quantity = Quantity(required=True)
    unit_price = _optional_amount()
    discount = _optional_amount()
    net = Amount(required=True)
    tax = _optional_amount()
    extra = Extra()


class Shipping(_Strict):
    """Delivery, after discounts."""

    net = Amount(required=True)
    tax = _optional_amount()


class PaymentTaken(_Strict):
    """One payment, in the sale's currency."""

    kind = _one_of(PAYMENTS, required=True)
    amount = Amount(required=True)
    method = _text()


class SoldAt(_Strict):
    """Where, at which till, by whom."""

    location = _id()
    till = _id()
    staff = _id()


class SoldFirstIn(_Strict):
    """The system in which this sale was made first, when the message is a copy."""

    kind = _id(required=True)
    external_id = _id(required=True)
    shop = _id()


class SaleMessage(_Strict):
    """`hub.sale/1`: one sale, complete, each time it changes."""

    type = fields.String(required=True)
    id = _id(required=True)
    version = Version(required=True)
    number = _id()
    state = _one_of(SaleState, required=True)
    currency = _currency()
    placed_at = Time(required=True)
    changed_at = _optional_time()
    paid_at = _optional_time()
    cancelled_at = _optional_time()
    test = Flag(load_default=False)
    customer = fields.Nested(Person(), load_default=None, allow_none=True)
    lines = fields.Nested(SaleLine(many=True), required=True, validate=validate.Length(max=MAX_LINES))
    shipping = fields.Nested(Shipping(), load_default=None, allow_none=True)
    total = _optional_amount()
    codes = _texts()
    payments = fields.Nested(PaymentTaken(many=True), load_default=list)
    place = fields.Nested(SoldAt(), load_default=None, allow_none=True)
    origin = fields.Nested(SoldFirstIn(), load_default=None, allow_none=True)
    extra = Extra()


class RefundedLine(_Strict):
    """A line that came back; quantity 0 when only a part of its price (`net`) did."""

    line_id = _id(required=True)
    kind = _one_of(LineKind, load_default=LineKind.GOODS.value)
    quantity = Quantity(zero=True, required=True)
    net = Amount(required=True)
    tax = _optional_amount()


class RefundMessage(_Strict):
    """`hub.refund/1`: money back for a sale, in part or in full."""

    type = fields.String(required=True)
    id = _id(required=True)
    version = Version(required=True)
    sale_id = _id(required=True)
    currency = _currency()
    amount = Amount(required=True)
    goods_net = _optional_amount()
    state = _one_of(("success", "pending", "failed"), load_default="success")
    created_at = Time(required=True)
    changed_at = _optional_time()
    lines = fields.Nested(
        RefundedLine(many=True), load_default=list, validate=validate.Length(max=MAX_LINES)
    )
    reason = _text()
    extra = Extra()


class VoidMessage(_Strict):
    """`hub.void/1`: the sale never was. For good: ring it up again under another id."""

    type = fields.String(required=True)
    sale_id = _id(required=True)
    voided_at = Time(required=True)
    reason = _text()
    extra = Extra()


class CustomerMessage(_Strict):
    """`hub.customer/1`: a customer of the till was made or changed."""

    type = fields.String(required=True)
    version = Version(required=True)
    changed_at = Time(required=True)
    customer = fields.Nested(NamedPerson(), required=True)
    extra = Extra()


MESSAGES: Mapping[str, Schema] = {
    "hub.sale/1": SaleMessage(),
    "hub.refund/1": RefundMessage(),
    "hub.void/1": VoidMessage(),
    "hub.customer/1": CustomerMessage(),
}
