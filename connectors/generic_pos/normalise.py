"""From `hub.sale/1` to the hub's happenings: pure, no I/O and no clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from connectors.generic_pos.schemas import MESSAGES
from hub.canonical import (
    Consent,
    Customer,
    CustomerRef,
    Deleted,
    Happening,
    Line,
    LineKind,
    Origin,
    Payment,
    Place,
    Refund,
    RefundLine,
    RefundMoney,
    Sale,
    SaleState,
)
from hub.errors import BadPayload
from hub.money import NotMoney, to_minor, to_minor_exact
from hub.payload import load, parse_object


def normalise(body: bytes) -> list[Happening]:
    """Translate one message. Raises `BadPayload` naming the JSON path."""
    message = parse_object(body)
    kind = message.get("type")
    schema = MESSAGES.get(kind) if isinstance(kind, str) else None
    if schema is None:
        known = ", ".join(MESSAGES)
        raise BadPayload("unknown_type", f"must be one of {known}", path="$.type")
    return [_TRANSLATIONS[str(kind)](load(schema, message))]


def _sale(message: Mapping[str, Any]) -> Sale:
    money = _Money(message["currency"])
    lines = tuple(_line(line, money, f"$.lines[{n}]") for n, line in enumerate(message["lines"]))
    _each_line_once(lines)
    shipping = message["shipping"] or {}
    sale = Sale(
        external_id=message["id"],
        number=message["number"] or message["id"],
        state=SaleState(message["state"]),
        currency=money.currency,
        lines=lines,
        placed_at=message["placed_at"],
        version=message["version"],
        as_of=message["changed_at"] or message["placed_at"],
        shipping=money.exact(shipping.get("net"), "$.shipping.net"),
        shipping_tax=money.exact(shipping.get("tax"), "$.shipping.tax"),
        total=_total(message, money),
        paid_at=message["paid_at"],
        cancelled_at=message["cancelled_at"],
        customer=_buyer(message["customer"]),
        codes=tuple(dict.fromkeys(message["codes"] or ())),
        payments=_payments(message["payments"], money),
        place=_place(message["place"]),
        origin=_origin(message["origin"]),
        test=message["test"],
    )
    _adds_up(sale)
    return sale


def _line(line: Mapping[str, Any], money: _Money, path: str) -> Line:
    net = money.exact(line["net"], f"{path}.net")
    discount = money.exact(line["discount"], f"{path}.discount")
    _price_fits(line, net, discount, money, path)
    return Line(
        key=line["id"],
        kind=LineKind(line["kind"]),
        quantity=line["quantity"],
        net=net,
        tax=money.exact(line["tax"], f"{path}.tax"),
        sku=line["sku"],
        product_id=line["product_id"],
        variant_id=line["variant_id"],
        name=line["name"] or "",
        # Nobody can be asked later: what a till does not tell is not there.
        categories=tuple(line["categories"] or ()),
        tags=tuple(line["tags"] or ()),
        discounted=discount > 0 if line["discount"] is not None else None,
    )


def _price_fits(line: Mapping[str, Any], net: int, discount: int, money: _Money, path: str) -> None:
    """unit_price x quantity - discount = net, to one minor unit for the till's rounding. It finds
    tills that send prices with tax in them, or forget the order's discount."""
    if line["unit_price"] is None or line["discount"] is None:
        return
    money.exact(line["unit_price"], f"{path}.unit_price")
    gross = money.rounded(line["unit_price"] * line["quantity"], f"{path}.unit_price")
    if abs(gross - discount - net) > 1:
        raise BadPayload(
            "does_not_add_up", "net must be unit_price x quantity - discount", path=f"{path}.net"
        )


def _each_line_once(lines: Sequence[Line]) -> None:
    seen: set[str] = set()
    for index, line in enumerate(lines):
        if line.key in seen:
            raise BadPayload("twice", "another line has this id", path=f"$.lines[{index}].id")
        seen.add(line.key)


def _total(message: Mapping[str, Any], money: _Money) -> int | None:
    return None if message["total"] is None else money.exact(message["total"], "$.total")


def _adds_up(sale: Sale) -> None:
    parts = sum(line.net + line.tax for line in sale.lines) + sale.shipping + sale.shipping_tax
    if sale.total is not None and sale.total != parts:
        raise BadPayload(
            "does_not_add_up",
            "total must be the sum of net and tax of all lines and of shipping",
            path="$.total",
        )


def _payments(payments: Sequence[Mapping[str, Any]], money: _Money) -> tuple[Payment, ...]:
    return tuple(
        Payment(
            kind=payment["kind"],
            amount=money.exact(payment["amount"], f"$.payments[{index}].amount"),
            currency=money.currency,
            method=payment["method"] or "",
        )
        for index, payment in enumerate(payments)
    )


def _place(place: Mapping[str, Any] | None) -> Place:
    told = place or {}
    return Place(told.get("location"), told.get("till"), told.get("staff"), source="pos")


def _origin(origin: Mapping[str, Any] | None) -> Origin | None:
    return Origin(origin["kind"], origin["external_id"], origin["shop"]) if origin else None


def _refund(message: Mapping[str, Any]) -> Refund:
    money = _Money(message["currency"])
    goods = message["goods_net"]
    return Refund(
        external_id=message["id"],
        sale_external_id=message["sale_id"],
        version=message["version"],
        as_of=message["changed_at"] or message["created_at"],
        created_at=message["created_at"],
        lines=tuple(
            RefundLine(
                line_key=line["line_id"],
                quantity=line["quantity"],
                net=money.exact(line["net"], f"$.lines[{index}].net"),
                tax=money.exact(line["tax"], f"$.lines[{index}].tax"),
                kind=LineKind(line["kind"]),
            )
            for index, line in enumerate(message["lines"])
        ),
        money=(
            RefundMoney(message["state"], money.exact(message["amount"], "$.amount"), money.currency),
        ),
        goods_money=None if goods is None else money.exact(goods, "$.goods_net"),
        reason=message["reason"] or "",
    )


def _void(message: Mapping[str, Any]) -> Deleted:
    return Deleted("sale", message["sale_id"], final=True, as_of=message["voided_at"])


def _customer(message: Mapping[str, Any]) -> Customer:
    return Customer(
        customer=_person(message["customer"]),
        version=message["version"],
        as_of=message["changed_at"],
    )


def _buyer(person: Mapping[str, Any] | None) -> CustomerRef | None:
    """Who bought; None when nothing names anybody (a name alone is no key)."""
    keys = ("id", "phone", "email", "card", "staff_claim")
    return _person(person) if person and any(_some(person[key]) for key in keys) else None


def _person(person: Mapping[str, Any]) -> CustomerRef:
    address = person["address"] or {}
    return CustomerRef(
        external_id=person["id"],
        phones=_some(person["phone"]),
        emails=_some(person["email"]),
        cards=_some(person["card"]),
        name=(person["name"] or "").strip(),
        address={name: value for name, value in address.items() if value},
        birthday=person["birthday"],
        locale=person["locale"],
        country=person["country"],
        staff_claim=person["staff_claim"],
        consents=tuple(
            Consent(consent["what"], consent["given"], consent["at"], consent["wording"] or "")
            for consent in person["consents"]
        ),
    )


def _some(text: str | None) -> tuple[str, ...]:
    trimmed = (text or "").strip()
    return (trimmed,) if trimmed else ()


class _Money:
    """Amounts of one message, in minor units of its currency."""

    def __init__(self, currency: str) -> None:
        self.currency = currency

    def exact(self, amount: Decimal | None, path: str) -> int:
        """An amount with no more digits than the currency has; absent is 0."""
        if amount is None:
            return 0
        try:
            return to_minor_exact(amount, self.currency)
        except NotMoney as error:
            raise BadPayload("not_money", f"the amount {error}", path=path) from None

    def rounded(self, amount: Decimal, path: str) -> int:
        """A product of amounts, half-up."""
        try:
            return to_minor(amount, self.currency)
        except NotMoney as error:
            raise BadPayload("not_money", f"the amount {error}", path=path) from None


_TRANSLATIONS: dict[str, Callable[[Mapping[str, Any]], Happening]] = {
    "hub.sale/1": _sale,
    "hub.refund/1": _refund,
    "hub.void/1": _void,
    "hub.customer/1": _customer,
}
