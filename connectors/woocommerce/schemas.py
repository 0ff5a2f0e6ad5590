"""What the hub reads of WooCommerce's JSON, and nothing more.

Fields: https://developer.woocommerce.com/docs/apis/rest-api/v3/orders/ (and order-refunds,
customers, coupons, products beside it). Fields of a plain order are required even where they may
be null: a message that lacks one is a partial message and must not overwrite a whole one
(rules.md A3). Schemas are instantiated once; making one costs more than loading an order.
"""

from __future__ import annotations

import html
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from marshmallow import EXCLUDE, ValidationError, fields, validate

from hub.money import MINOR_UNITS, NotMoney, decimal_amount
from hub.payload import Message, Value


class Id(Value[int]):
    """A WordPress id; 0 stands for none."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        if type(value) is not int or value < 0:
            raise ValidationError("a whole number is expected")
        return value


class Text(Value[str]):
    """A text. WordPress escapes some when it saves them (`Decaf &amp; tea`); null is no text."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_none=True, **kwargs)

    def deserialize(self, value: Any, attr: Any = None, data: Any = None, **kwargs: Any) -> Any:
        """The plain text; "" for null."""
        return "" if value is None else super().deserialize(value, attr, data, **kwargs)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if type(value) is int:
            return str(value)
        if type(value) is not str:
            raise ValidationError("a text is expected")
        return html.unescape(value).strip() if "&" in value else value.strip()


class Amount(Value[Decimal]):
    """A decimal, printed as text with the shop's decimals (not the currency's), or a JSON number."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Decimal:
        if type(value) is not str and type(value) is not int and type(value) is not Decimal:
            raise ValidationError("an amount is expected")
        if value == "":
            return Decimal(0)
        try:
            return decimal_amount(value)
        except NotMoney as error:
            raise ValidationError(f"the amount {error}") from None


class Gmt(Value[datetime]):
    """A `..._gmt` time: UTC, though printed without a Z."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> datetime:
        try:
            time = datetime.fromisoformat(value)
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        except (TypeError, ValueError, OverflowError):
            raise ValidationError("an ISO 8601 time is expected") from None


class MetaData(Value[dict[str, Any]]):
    """`meta_data` as key -> value (the last one wins). Plugins write what they like here, so what
    is malformed is left out instead of refused."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> dict[str, Any]:
        if not isinstance(value, list):
            return {}
        return {
            item["key"]: item.get("value")
            for item in value
            if isinstance(item, dict) and isinstance(item.get("key"), str)
        }


class _Read(Message):
    """Reads known fields and passes over the rest."""

    class Meta:
        unknown = EXCLUDE


class _Billing(_Read):
    first_name = Text(load_default="")
    last_name = Text(load_default="")
    company = Text(load_default="")
    address_1 = Text(load_default="")
    address_2 = Text(load_default="")
    city = Text(load_default="")
    state = Text(load_default="")
    postcode = Text(load_default="")
    country = Text(load_default="")
    email = Text(load_default="")
    phone = Text(load_default="")


class _LineItem(_Read):
    id = Id(required=True)
    name = Text(load_default="")
    product_id = Id(load_default=0, allow_none=True)
    variation_id = Id(load_default=0, allow_none=True)
    quantity = Amount(required=True)
    subtotal = Amount(required=True)
    total = Amount(required=True)
    total_tax = Amount(required=True)
    sku = Text(load_default="")
    meta_data = MetaData(load_default=dict, allow_none=True)


class _FeeLine(_Read):
    id = Id(required=True)
    name = Text(load_default="")
    total = Amount(required=True)
    total_tax = Amount(required=True)


class _ShippingLine(_Read):
    total = Amount(required=True)
    total_tax = Amount(required=True)


class _CouponLine(_Read):
    code = Text(required=True)


class _ListedRefund(_Read):
    id = Id(required=True)
    reason = Text(load_default="")
    total = Amount(required=True)


class OrderSchema(_Read):
    """One order, as a webhook or GET orders/ID shows it."""

    id = Id(required=True)
    number = Text(required=True)
    status = fields.String(required=True, validate=validate.Length(min=1))
    currency = fields.String(
        required=True,
        validate=validate.OneOf(MINOR_UNITS, error="{input} is no ISO 4217 currency"),
    )
    date_created_gmt = Gmt(required=True)
    date_modified_gmt = Gmt(required=True, allow_none=True)
    date_paid_gmt = Gmt(required=True, allow_none=True)
    total = Amount(required=True)
    shipping_total = Amount(required=True)
    shipping_tax = Amount(required=True)
    customer_id = Id(required=True, allow_none=True)
    billing = fields.Nested(_Billing(), required=True, allow_none=True)
    payment_method = Text(load_default="")
    created_via = Text(load_default="")
    meta_data = MetaData(load_default=dict, allow_none=True)
    line_items = fields.Nested(_LineItem(many=True), required=True)
    fee_lines = fields.Nested(_FeeLine(many=True), required=True)
    coupon_lines = fields.Nested(_CouponLine(many=True), required=True)
    refunds = fields.Nested(_ListedRefund(many=True), required=True)


class _RefundedItem(_LineItem):
    """A line of a refund: negative, and `_refunded_item_id` in its meta names the line sold."""

    subtotal = Amount(load_default=Decimal(0), allow_none=True)


class RefundSchema(_Read):
    """One refund of GET orders/ID/refunds."""

    id = Id(required=True)
    date_created_gmt = Gmt(required=True)
    amount = Amount(required=True)
    reason = Text(load_default="")
    line_items = fields.Nested(_RefundedItem(many=True), required=True)
    shipping_lines = fields.Nested(_ShippingLine(many=True), required=True)
    fee_lines = fields.Nested(_FeeLine(many=True), required=True)


class CustomerSchema(_Read):
    """One account of the shop."""

    id = Id(required=True)
    date_created_gmt = Gmt(required=True, allow_none=True)
    date_modified_gmt = Gmt(required=True, allow_none=True)
    email = Text(required=True)
    first_name = Text(load_default="")
    last_name = Text(load_default="")
    role = fields.String(required=True)
    billing = fields.Nested(_Billing(), required=True, allow_none=True)


class CouponSchema(_Read):
    """One coupon."""

    id = Id(required=True)
    code = Text(required=True)
    status = fields.String(load_default="publish", allow_none=True)
    date_modified_gmt = Gmt(load_default=None, allow_none=True)
    usage_count = Id(load_default=0, allow_none=True)
    usage_limit = Id(load_default=None, allow_none=True)


class _Term(_Read):
    name = Text(required=True)


class ProductSchema(_Read):
    """Category facts of one product."""

    id = Id(required=True)
    sku = Text(load_default="")
    categories = fields.Nested(_Term(many=True), required=True)
    tags = fields.Nested(_Term(many=True), load_default=list)


class IdSchema(_Read):
    """A message that only names something: `{"id": 28}`."""

    id = Id(required=True)


class ActionSchema(_Read):
    """A WordPress hook passed on: `{"action": "woocommerce_order_refunded", "arg": 21}`."""

    action = fields.String(required=True)
    arg = Id(required=True)


class ErrorSchema(_Read):
    """WordPress' error body."""

    code = fields.String(required=True)
    message = Text(load_default="")


ORDER = OrderSchema()
REFUND = RefundSchema()
CUSTOMER = CustomerSchema()
COUPON = CouponSchema()
PRODUCT = ProductSchema()
ID = IdSchema()
ACTION = ActionSchema()
ERROR = ErrorSchema()
