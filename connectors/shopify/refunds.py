"""A `Refund` from a refund that is loaded, in an order or as a document of its own.

What Shopify says of a refund: lines with their value, shipping, and transactions. What does not
add up is a discrepancy: calculated - *successful* transactions. While a Shopify Payments refund is
pending, that is the whole refund, and means nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from connectors.shopify import vocabulary as words
from connectors.shopify.fields import Amount
from connectors.shopify.money import ZERO, Rate, minor, rate_of, value
from hub.canonical import GOODS_KINDS, LineKind, Refund, RefundLine, RefundMoney
from hub.money import MINOR_UNITS

_Loaded = Mapping[str, Any]

_CONVERTED = Decimal("0.01")
"""How far, as a part, a sum may be off when amounts in it were converted to the cent."""


@dataclass(frozen=True, slots=True)
class _Money:
    """Transactions of one refund, in the shop's currency where that can be told."""

    moved: tuple[RefundMoney, ...]
    succeeded: Decimal
    received: Decimal
    """Succeeded and pending."""
    pending: bool
    exact: bool
    """No amount was converted, none was in a currency we cannot convert."""


def refund_document(refund: _Loaded, currency: str, version: int, as_of: datetime) -> Refund:
    """A refunds/create message. It names neither the sale's currency (its `_set`s do) nor whether
    prices include tax."""
    return refund_of(
        refund,
        order_id=refund["order_id"],
        currency=_currency(refund) or currency,
        taxes_included=None,
        kinds={},
        rate=None,
        version=version,
        as_of=as_of,
        path="$",
    )


def refund_of(
    refund: _Loaded,
    *,
    order_id: str,
    currency: str,
    taxes_included: bool | None,
    kinds: Mapping[str, LineKind],
    rate: Rate | None,
    version: int,
    as_of: datetime,
    path: str,
) -> Refund:
    """One refund. `kinds` are the sale's lines by id; `rate` is the sale's, for a refund without one."""
    money = _money(refund, currency, rate_of(_amounts(refund), currency) or rate, path)
    inside = _tax_inside(refund, currency, money, taxes_included)
    lines = tuple(_lines(refund, currency, kinds, inside, path))
    goods = sum(line.net for line in lines if line.kind in GOODS_KINDS)
    extra = _goodwill(refund, currency, money, inside)
    return Refund(
        external_id=refund["id"],
        sale_external_id=order_id,
        version=version,
        as_of=as_of,
        created_at=refund["created_at"],
        lines=lines,
        money=money.moved,
        goods_money=goods + minor(extra, currency, path),
        reason=refund["note"] or "",
    )


# --- lines -------------------------------------------------------------------------------------


def _lines(
    refund: _Loaded, currency: str, kinds: Mapping[str, LineKind], tax_inside: bool, path: str
) -> Iterator[RefundLine]:
    for index, line in enumerate(refund["lines"] or ()):
        where = f"{path}.refund_line_items[{index}]"
        key = _line_key(line)
        subtotal, tax = value(line["subtotal"], currency), value(line["tax"], currency)
        yield RefundLine(
            line_key=key,
            quantity=Decimal(line["quantity"]),
            net=minor(subtotal - tax if tax_inside else subtotal, currency, where),
            tax=minor(tax, currency, where),
            kind=kinds.get(key) or _kind(line["line_item"]),
        )


def _line_key(line: _Loaded) -> str:
    key = line.get("line_item_id") or (line["line_item"] or {}).get("id")
    return str(key or "")


def _kind(line: _Loaded | None) -> LineKind:
    if line and line["gift_card"]:
        return LineKind.GIFT_CARD
    return LineKind.TIP if line and ("tip" in line or "tip_gateway" in line) else LineKind.GOODS


# --- money -------------------------------------------------------------------------------------


def _money(refund: _Loaded, currency: str, rate: Rate | None, path: str) -> _Money:
    moved: list[RefundMoney] = []
    sums = {"success": ZERO, "pending": ZERO, "failed": ZERO}
    pending, exact = False, True
    for index, transaction in enumerate(refund["transactions"] or ()):
        if (transaction["kind"] or "").lower() not in words.REFUND_KINDS:
            continue
        status = words.TRANSACTION_STATUS.get((transaction["status"] or "").lower(), "pending")
        amount, code, converted = _in_shop(transaction["amount"], currency, rate)
        where = f"{path}.transactions[{index}]"
        moved.append(RefundMoney(status, minor(amount, code, where), code))
        sums[status] += amount if code == currency else ZERO
        pending = pending or status == "pending"
        exact = exact and not converted and code == currency
    received = sums["success"] + sums["pending"]
    return _Money(tuple(moved), sums["success"], received, pending, exact)


def _in_shop(amount: Amount | None, currency: str, rate: Rate | None) -> tuple[Decimal, str, bool]:
    """A transaction's amount, its currency, and whether it was converted. An amount in another
    currency that nothing converts stays in it: the hub refuses it and says so (rules.md A5)."""
    if amount is None:
        return ZERO, currency, False
    shop = amount.shop_value(currency)
    shown, code = amount.presentment, amount.presentment_currency
    if shop is not None or shown is None:
        return shop or ZERO, currency, False
    if code is None or code == currency:
        return shown, currency, False
    if rate is not None and rate.presentment_currency == code:
        return rate.convert(shown), currency, True
    return shown, code if code in MINOR_UNITS else currency, False


def _calculated(refund: _Loaded, currency: str, tax_inside: bool) -> Decimal:
    """What Shopify calculated to pay back: lines, shipping, duties and fees, with tax."""
    return (
        _sum(refund["lines"], "subtotal", currency)
        + (ZERO if tax_inside else _sum(refund["lines"], "tax", currency))
        + _shipping(refund, currency)
        + value(refund.get("duties"), currency)
        + value(refund.get("fees"), currency)
    )


def _shipping(refund: _Loaded, currency: str) -> Decimal:
    """Shipping paid back: an adjustment until 2024-07, a list of its own since, both in between."""
    adjusted = [a for a in refund["adjustments"] or () if a.get("kind") == words.SHIPPING_REFUND]
    if adjusted:
        return -_sum(adjusted, "amount", currency) - _sum(adjusted, "tax", currency)
    shipping = refund["shipping"]
    return _sum(shipping, "amount", currency) + _sum(shipping, "tax", currency)


def _discrepancies(refund: _Loaded) -> list[_Loaded]:
    """Adjustments that are real discrepancies. GraphQL knows no other kind and marks the fake."""
    return [
        a
        for a in refund["adjustments"] or ()
        if (a["kind"] == words.DISCREPANCY if "kind" in a else True)
        and (a.get("reason") or "").lower() != words.PENDING_DISCREPANCY
    ]


def _tax_inside(refund: _Loaded, currency: str, money: _Money, taxes_included: bool | None) -> bool:
    """Whether the subtotals of the lines contain their tax.

    Calculated = succeeded + discrepancy holds by definition; whichever reading fulfils it is right
    (nearly, where an amount was converted). When neither does, the order's `taxes_included` decides,
    and for a document without an order the smaller value: the quantity counts the line anyway.
    """
    if not _sum(refund["lines"], "tax", currency):
        return False
    all_kinds = [a for a in refund["adjustments"] or () if a.get("kind") != words.SHIPPING_REFUND]
    whole = money.succeeded + _sum(all_kinds, "amount", currency) + _sum(all_kinds, "tax", currency)
    off = {inside: abs(_calculated(refund, currency, inside) - whole) for inside in (False, True)}
    fits = off[True] < off[False]
    if whole and off[fits] <= (ZERO if money.exact else abs(whole) * _CONVERTED):
        return fits
    return True if taxes_included is None else taxes_included


def _goodwill(refund: _Loaded, currency: str, money: _Money, tax_inside: bool) -> Decimal:
    """Money paid on top of lines, shipping, duties and fees; 0 when less was paid (a restocking fee
    gives no points back).

    Settled, Shopify's discrepancy tells it. Pending, its discrepancy is fake, and what the
    transactions exceed the calculation by is the same number.
    """
    real = _discrepancies(refund)
    if real and not money.pending:
        return max(ZERO, -_sum(real, "amount", currency))
    calculated = _calculated(refund, currency, tax_inside)
    if calculated and not money.exact:
        return ZERO  # converted to the cent, an excess could be rounding
    return max(ZERO, money.received - calculated)


# --- sums --------------------------------------------------------------------------------------


def _sum(items: Sequence[_Loaded] | None, key: str, currency: str) -> Decimal:
    return sum((value(item[key], currency) for item in items or ()), ZERO)


def _amounts(refund: _Loaded) -> Iterator[Amount | None]:
    """Every amount of a refund that has both halves."""
    for line in refund["lines"] or ():
        yield line["subtotal"]
        yield line["tax"]
    for adjustment in refund["adjustments"] or ():
        yield adjustment["amount"]
    for shipping in refund["shipping"] or ():
        yield shipping["amount"]


def _currency(refund: _Loaded) -> str | None:
    """The shop's currency by the refund's own `_set`s, else that of its transactions."""
    named = [a.currency for a in _amounts(refund) if a and a.currency in MINOR_UNITS]
    named += [a.currency for a in (refund["duties"], refund["fees"]) if a and a.currency in MINOR_UNITS]
    paid = (t["amount"] for t in refund["transactions"] or ())
    named += [a.presentment_currency for a in paid if a and a.presentment_currency in MINOR_UNITS]
    return named[0] if named else None
