"""A `Sale` from an order that is loaded: lines after all discounts, shipping, state, payments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from connectors.shopify import vocabulary as words
from connectors.shopify.money import ZERO, minor, rate_of, spread, total, value
from connectors.shopify.refunds import refund_of
from hub.canonical import (
    PAID_STATES,
    CustomerRef,
    Line,
    LineKind,
    Origin,
    Payment,
    Place,
    Refund,
    Sale,
    SaleState,
)
from hub.errors import BadPayload

_Order = Mapping[str, Any]
PaymentKind = Literal["money", "gift_card", "store_credit", "points"]


def sale_of(
    order: _Order,
    version: int,
    as_of: datetime,
    paid_at: datetime | None,
    customer: CustomerRef | None,
) -> Sale:
    """One complete order, REST or GraphQL, as loaded by `schemas`."""
    currency: str | None = order["currency"]
    if currency is None:
        raise BadPayload("invalid_field", "is no ISO 4217 currency", path="$.currency")
    state = state_of(order)
    lines = _lines(order, currency)
    shipping, shipping_tax = _shipping(order, currency)
    return Sale(
        external_id=order["id"],
        number=order["name"] or "",
        state=state,
        currency=currency,
        lines=(*lines, *_fees(order, currency)),
        placed_at=order["processed_at"] or order["created_at"],
        version=version,
        as_of=as_of,
        shipping=shipping,
        shipping_tax=shipping_tax,
        total=_total(order, currency),
        paid_at=paid_at if state in PAID_STATES else None,
        cancelled_at=order["cancelled_at"],
        customer=customer,
        codes=tuple(dict.fromkeys(order["codes"] or ())),
        payments=_payments(order, currency, state),
        refunds=_refunds(order, lines, currency, version, as_of),
        place=_place(order),
        origin=_origin(order),
        test=bool(order["test"]),
    )


def _refunds(
    order: _Order, lines: Sequence[Line], currency: str, version: int, as_of: datetime
) -> tuple[Refund, ...]:
    """The order's own list; a refund in it is as new as the order."""
    kinds = {line.key: line.kind for line in lines}
    rate = rate_of([order["total"], order["subtotal"]], currency)
    return tuple(
        refund_of(
            refund,
            order_id=order["id"],
            currency=currency,
            taxes_included=bool(order["taxes_included"]),
            kinds=kinds,
            rate=rate,
            version=version,
            as_of=as_of,
            path=f"$.refunds[{index}]",
        )
        for index, refund in enumerate(order["refunds"])
    )


def state_of(order: _Order) -> SaleState:
    """`cancelled_at` is independent of the financial status, and final for points."""
    if order["cancelled_at"] is not None:
        return SaleState.CANCELLED
    status = (order["financial_status"] or "").lower()
    state = words.FINANCIAL_STATUS.get(status, SaleState.PENDING)
    sent = (order["fulfillment_status"] or "").lower() in words.FULFILLED
    return SaleState.FULFILLED if state is SaleState.PAID and sent else state


def _total(order: _Order, currency: str) -> int | None:
    if order["total"] is None:
        return None
    return minor(value(order["total"], currency), currency, "$.total_price")


# --- lines -------------------------------------------------------------------------------------


def _lines(order: _Order, currency: str) -> list[Line]:
    loaded = [line for line in order["lines"] if line["quantity"]]
    gross = [value(line["price"], currency) * line["quantity"] for line in loaded]
    discounts = _discounts(order, loaded, gross, currency)
    taxes = [total(line["taxes"], currency) for line in loaded]
    included = bool(order["taxes_included"])
    if included and loaded and all(line["taxes"] is None for line in loaded):
        taxes = _spread_tax(order, gross, currency)
    tips = _tips(order, loaded, gross, currency)
    lines = []
    for index, line in enumerate(loaded):
        net = gross[index] - discounts[index] - (taxes[index] if included else ZERO)
        path = f"$.line_items[{index}]"
        lines.append(
            Line(
                key=line["id"],
                kind=_kind(line, tips),
                quantity=Decimal(line["quantity"]),
                net=minor(net, currency, path),
                tax=minor(taxes[index], currency, path),
                sku=line["sku"],
                product_id=line["product_id"],
                variant_id=line["variant_id"],
                name=line["name"] or "",
                discounted=True if discounts[index] > 0 else None,
                current_quantity=_pieces(line["current_quantity"]),
            )
        )
    return lines


def _pieces(quantity: int | None) -> Decimal | None:
    return None if quantity is None else Decimal(quantity)


def _kind(line: Mapping[str, Any], tips: frozenset[str]) -> LineKind:
    if line["gift_card"]:
        return LineKind.GIFT_CARD
    return LineKind.TIP if line["id"] in tips else LineKind.GOODS


def _discounts(
    order: _Order, lines: Sequence[Mapping[str, Any]], gross: Sequence[Decimal], currency: str
) -> list[Decimal]:
    """What each line was reduced by. Order-level codes are spread over the lines by Shopify in
    `discount_allocations`; payloads before 2018 have none, there the subtotal tells the sum."""
    if any(line["allocations"] is not None for line in lines) or order["subtotal"] is None:
        return [total(line["allocations"], currency) for line in lines]
    whole = sum(gross, ZERO)
    reduced = whole - value(order["subtotal"], currency)
    if not 0 < reduced <= whole:
        return [ZERO for _ in lines]
    return spread(reduced, gross, currency, "$.subtotal_price")


def _spread_tax(order: _Order, gross: Sequence[Decimal], currency: str) -> list[Decimal]:
    """Tax inside the prices that only the order's total names."""
    tax = value(order.get("tax"), currency)
    if not 0 < tax <= sum(gross, ZERO):
        return [ZERO for _ in gross]
    return spread(tax, gross, currency, "$.total_tax")


def _tips(
    order: _Order, lines: Sequence[Mapping[str, Any]], gross: Sequence[Decimal], currency: str
) -> frozenset[str]:
    """Which lines are tips: those marked so (REST), else nameless ones worth the tip received.

    GraphQL marks none; there a tip is a line of no product, neither taxed nor shipped, and
    `totalTipReceivedSet` says what it comes to.
    """
    marked = frozenset(line["id"] for line in lines if "tip" in line or "tip_gateway" in line)
    received = value(order["tip"], currency)
    if marked or received <= 0:
        return marked
    could_be = {
        line["id"]: worth
        for line, worth in zip(lines, gross, strict=True)
        if not (line["product_id"] or line["variant_id"] or line["requires_shipping"] or line["taxable"])
    }
    names = {line["id"]: (line["name"] or "").lower() for line in lines}
    exact = [key for key, worth in could_be.items() if worth == received]
    if exact:
        return frozenset({min(exact, key=lambda key: names[key] != "tip")})
    return frozenset(could_be) if sum(could_be.values(), ZERO) == received else frozenset()


def _fees(order: _Order, currency: str) -> list[Line]:
    """Duties and additional fees, which Shopify keeps beside the lines, as lines that never earn.
    Duties inside the prices (`duties_included`) are no amount of their own."""
    named = {"additional_fees": order["fees"]}
    if not order["duties_included"]:
        named["duties"] = order["duties"]
    worth = {key: minor(value(amount, currency), currency, f"$.{key}") for key, amount in named.items()}
    return [
        Line(key=key, kind=LineKind.FEE, quantity=Decimal(1), net=net, tax=0, name=key)
        for key, net in worth.items()
        if net > 0
    ]


def _shipping(order: _Order, currency: str) -> tuple[int, int]:
    """Shipping after discounts without tax, and its tax."""
    path = "$.shipping_lines"
    if order["shipping"] is None:
        return minor(value(order.get("shipping_total"), currency), currency, path), 0
    price = tax = ZERO
    for line in order["shipping"]:
        if line["is_removed"]:
            continue
        if line["allocations"] is None and line.get("discounted_price") is not None:
            price += value(line["discounted_price"], currency)
        else:
            price += value(line["price"], currency) - total(line["allocations"], currency)
        tax += total(line["taxes"], currency)
    net = price - tax if order["taxes_included"] else price
    return minor(net, currency, path), minor(tax, currency, path)


# --- payments, place, origin ---------------------------------------------------------------------


def _payments(order: _Order, currency: str, state: SaleState) -> tuple[Payment, ...]:
    """Money received. A webhook names gateways without amounts: it tells only where there is one."""
    if "transactions" in order:
        return tuple(
            _payment(t["gateway"], value(t["amount"], currency), currency)
            for t in order["transactions"] or ()
            if (t["kind"] or "").lower() in words.PAYMENT_KINDS
            and (t["status"] or "").lower() == "success"
        )
    gateways: list[str] = order["gateways"] or []
    if state not in PAID_STATES or len(gateways) != 1 or value(order["outstanding"], currency):
        return ()
    return (_payment(gateways[0], value(order["total"], currency), currency),)


def _payment(gateway: str | None, amount: Decimal, currency: str) -> Payment:
    kind: PaymentKind = words.STORED_VALUE.get(gateway or "", "money")
    return Payment(kind, minor(amount, currency, "$.total_price"), currency, gateway or "")


def _place(order: _Order) -> Place:
    """Where it was sold. A location does not mean POS: draft orders have one too."""
    till = order.get("device_id")
    if till is None and order["source_name"] == "pos":
        # "<location>-<device>-<number>": GraphQL has no device id of its own.
        parts = (order["source_identifier"] or "").split("-")
        till = parts[1] if len(parts) == 3 and parts[1] else None
    return Place(order["location_id"], till, order.get("user_id"), order["source_name"])


def _origin(order: _Order) -> Origin | None:
    """The system an app copied this order from, when `source_name` is a word of the app's own.
    A number is an app id, which says nothing about where the sale was made."""
    name, identifier = order["source_name"], order["source_identifier"]
    if not name or not identifier or name.isdigit() or name.lower() in words.SHOPIFY_SOURCES:
        return None
    return Origin(name.lower(), identifier)
