"""A cart as API and command line write it: JSON in minor units, checked with the path and the fix."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from marshmallow import RAISE, Schema, fields, validate

from hub.canonical import Line, LineKind
from hub.desk.simulate import CART_CHANNEL, Cart
from hub.money import MAX_MINOR, MINOR_UNITS

MAX_LINES = 500


class Strict(Schema):
    """Unknown fields are refused, so that a typo surfaces."""

    class Meta:
        unknown = RAISE


def _word(**how: Any) -> fields.String:
    return fields.String(validate=validate.Length(1, 100), **how)


def _words() -> fields.List[str]:
    return fields.List(_word(), load_default=list, validate=validate.Length(max=50))


def _minor(**how: Any) -> fields.Integer:
    return fields.Integer(strict=True, validate=validate.Range(0, MAX_MINOR // MAX_LINES), **how)


class CartLine(Strict):
    """One line: `net` after all discounts and without `tax`, for all its pieces, minor units."""

    net = _minor(required=True)
    tax = _minor(load_default=0)
    quantity = fields.Integer(strict=True, load_default=1, validate=validate.Range(1, 1_000_000))
    kind = fields.String(
        load_default=LineKind.GOODS.value, validate=validate.OneOf([kind.value for kind in LineKind])
    )
    sku = _word(load_default=None)
    product = _word(load_default=None, metadata={"description": "the channel's product id"})
    categories = _words()
    tags = _words()
    discounted = fields.Boolean(load_default=False)


class CartSchema(Strict):
    """What somebody has in hand, as if it were paid at `placed_at` (left out: now)."""

    currency = fields.String(required=True, validate=validate.OneOf(MINOR_UNITS))
    lines = fields.List(
        fields.Nested(CartLine), required=True, validate=validate.Length(min=1, max=MAX_LINES)
    )
    shipping = _minor(load_default=0)
    shipping_tax = _minor(load_default=0)
    placed_at = fields.AwareDateTime(load_default=None)
    channel = _word(
        load_default=CART_CHANNEL, metadata={"description": "a chn_ id, or a kind of connector"}
    )
    location = _word(load_default=None)
    member = _word(load_default=None, metadata={"description": "a mem_ id; left out: a guest"})


def cart_of(data: Mapping[str, Any], now: datetime) -> Cart:
    """The cart of what `CartSchema` loaded."""
    return Cart(
        currency=data["currency"],
        lines=tuple(_line(number, line) for number, line in enumerate(data["lines"], 1)),
        placed_at=data["placed_at"] or now,
        shipping=data["shipping"],
        shipping_tax=data["shipping_tax"],
        channel=data["channel"],
        location=data["location"],
        member=data["member"],
    )


def _line(number: int, data: Mapping[str, Any]) -> Line:
    return Line(
        key=str(number),
        kind=LineKind(data["kind"]),
        quantity=Decimal(data["quantity"]),
        net=data["net"],
        tax=data["tax"],
        sku=data["sku"],
        product_id=data["product"],
        categories=tuple(data["categories"]),
        tags=tuple(data["tags"]),
        discounted=data["discounted"],
    )
