"""Sales and refunds as JSON, for the contributions that are kept when raw bodies are pruned.

Written by hand rather than derived: it runs for every message, and a stored contribution must stay
readable when a field is added. Empty values are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from hub.canonical import (
    Consent,
    CustomerRef,
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

JSON = dict[str, Any]


def sale_to_json(sale: Sale) -> JSON:
    """One sale; `sale_from_json` gives an equal one back."""
    return _full(
        {
            "external_id": sale.external_id,
            "number": sale.number,
            "state": sale.state.value,
            "currency": sale.currency,
            "lines": [_line_to_json(line) for line in sale.lines],
            "placed_at": sale.placed_at.isoformat(),
            "version": sale.version,
            "as_of": sale.as_of.isoformat(),
            "shipping": sale.shipping,
            "shipping_tax": sale.shipping_tax,
            "total": sale.total,
            "paid_at": _time_to_json(sale.paid_at),
            "cancelled_at": _time_to_json(sale.cancelled_at),
            "customer": customer_to_json(sale.customer) if sale.customer is not None else None,
            "codes": list(sale.codes),
            "payments": [[p.kind, p.amount, p.currency, p.method] for p in sale.payments],
            "refunds": [refund_to_json(refund) for refund in sale.refunds],
            "place": _place_to_json(sale.place),
            "origin": _origin_to_json(sale.origin),
            "test": sale.test,
        }
    )


def sale_from_json(data: Mapping[str, Any]) -> Sale:
    """Read what `sale_to_json` wrote."""
    get = data.get
    return Sale(
        external_id=data.get("external_id", ""),
        number=get("number", ""),
        state=SaleState(data["state"]),
        currency=data.get("currency", ""),
        lines=tuple(_line_from_json(line) for line in get("lines", ())),
        placed_at=datetime.fromisoformat(data["placed_at"]),
        version=get("version", 0),
        as_of=datetime.fromisoformat(data["as_of"]),
        shipping=get("shipping", 0),
        shipping_tax=get("shipping_tax", 0),
        total=get("total"),
        paid_at=_time_from_json(get("paid_at")),
        cancelled_at=_time_from_json(get("cancelled_at")),
        customer=customer_from_json(data["customer"]) if "customer" in data else None,
        codes=tuple(get("codes", ())),
        payments=tuple(Payment(*p) for p in get("payments", ())),
        refunds=tuple(refund_from_json(refund) for refund in get("refunds", ())),
        place=Place(**get("place", {})),
        origin=_origin_from_json(get("origin")),
        test=get("test", False),
    )


def refund_to_json(refund: Refund) -> JSON:
    """One refund document."""
    return _full(
        {
            "external_id": refund.external_id,
            "sale": refund.sale_external_id,
            "version": refund.version,
            "as_of": refund.as_of.isoformat(),
            "created_at": _time_to_json(refund.created_at),
            "lines": [[r.line_key, str(r.quantity), r.net, r.tax, r.kind.value] for r in refund.lines],
            "money": [[m.status, m.amount, m.currency] for m in refund.money],
            "goods_money": refund.goods_money,
            "reason": refund.reason,
        }
    )


def refund_from_json(data: Mapping[str, Any]) -> Refund:
    """Read what `refund_to_json` wrote."""
    return Refund(
        external_id=data.get("external_id", ""),
        sale_external_id=data.get("sale", ""),
        version=data.get("version", 0),
        as_of=datetime.fromisoformat(data["as_of"]),
        created_at=_time_from_json(data.get("created_at")),
        lines=tuple(
            RefundLine(key, Decimal(quantity), net, tax, LineKind(kind))
            for key, quantity, net, tax, kind in data.get("lines", ())
        ),
        money=tuple(RefundMoney(*m) for m in data.get("money", ())),
        goods_money=data.get("goods_money"),
        reason=data.get("reason", ""),
    )


def customer_to_json(customer: CustomerRef) -> JSON:
    """Who a message names."""
    return _full(
        {
            "external_id": customer.external_id,
            "phones": list(customer.phones),
            "emails": list(customer.emails),
            "cards": list(customer.cards),
            "name": customer.name,
            "address": dict(customer.address),
            "birthday": customer.birthday,
            "locale": customer.locale,
            "country": customer.country,
            "staff_claim": customer.staff_claim,
            "consents": [[c.what, c.given, _time_to_json(c.at), c.wording] for c in customer.consents],
        }
    )


def customer_from_json(data: Mapping[str, Any]) -> CustomerRef:
    """Read what `customer_to_json` wrote."""
    return CustomerRef(
        external_id=data.get("external_id"),
        phones=tuple(data.get("phones", ())),
        emails=tuple(data.get("emails", ())),
        cards=tuple(data.get("cards", ())),
        name=data.get("name", ""),
        address=data.get("address", {}),
        birthday=data.get("birthday"),
        locale=data.get("locale"),
        country=data.get("country"),
        staff_claim=data.get("staff_claim"),
        consents=tuple(_consents_from_json(data.get("consents", ()))),
    )


def _consents_from_json(rows: Iterable[list[Any]]) -> Iterable[Consent]:
    for what, given, at, wording in rows:
        yield Consent(what, given, _time_from_json(at), wording)


def _line_to_json(line: Line) -> JSON:
    return _full(
        {
            "key": line.key,
            "kind": line.kind.value,
            "quantity": str(line.quantity),
            "net": line.net,
            "tax": line.tax,
            "sku": line.sku,
            "product_id": line.product_id,
            "variant_id": line.variant_id,
            "name": line.name,
            "categories": list(line.categories) if line.categories is not None else None,
            "tags": list(line.tags) if line.tags is not None else None,
            "discounted": line.discounted,
            "current_quantity": _decimal_to_json(line.current_quantity),
        },
        keep_empty_lists=True,
    )


def _line_from_json(data: Mapping[str, Any]) -> Line:
    get = data.get
    categories, tags, current = get("categories"), get("tags"), get("current_quantity")
    return Line(
        key=data.get("key", ""),
        kind=LineKind(data["kind"]),
        quantity=Decimal(get("quantity", "0")),
        net=get("net", 0),
        tax=get("tax", 0),
        sku=get("sku"),
        product_id=get("product_id"),
        variant_id=get("variant_id"),
        name=get("name", ""),
        categories=tuple(categories) if categories is not None else None,
        tags=tuple(tags) if tags is not None else None,
        discounted=get("discounted"),
        current_quantity=Decimal(current) if current is not None else None,
    )


def _place_to_json(place: Place) -> JSON:
    return _full(
        {"location": place.location, "till": place.till, "staff": place.staff, "source": place.source}
    )


def _origin_to_json(origin: Origin | None) -> JSON | None:
    if origin is None:
        return None
    return {"kind": origin.kind, "external_id": origin.external_id, "shop": origin.shop}


def _origin_from_json(data: Mapping[str, Any] | None) -> Origin | None:
    return Origin(**data) if data else None


def _full(data: JSON, *, keep_empty_lists: bool = False) -> JSON:
    """Without what a reader assumes anyway: None, empty texts, lists and mappings. A zero and a
    false are kept, they may differ from "not said"; so is an empty list where None means that."""
    return {
        key: value
        for key, value in data.items()
        if value or value in (0, {}) or (keep_empty_lists and value == [])
    }


def _time_to_json(time: datetime | None) -> str | None:
    return time.isoformat() if time else None


def _time_from_json(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _decimal_to_json(value: Decimal | None) -> str | None:
    return None if value is None else str(value)
