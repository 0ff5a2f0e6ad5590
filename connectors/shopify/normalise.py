"""From Shopify's bytes to the hub's happenings: pure, no I/O and no clock."""

from __future__ import annotations

import email.utils
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.shopify import schemas
from connectors.shopify import vocabulary as words
from connectors.shopify.money import minor, value
from connectors.shopify.people import buyer_of, customer_of
from connectors.shopify.refunds import refund_document
from connectors.shopify.sales import sale_of, state_of
from hub.canonical import (
    Code,
    Customer,
    CustomerMerged,
    Deleted,
    Happening,
    Ignored,
    Product,
    Thin,
)
from hub.connector import Inbound
from hub.errors import BadPayload
from hub.payload import load, parse_object

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Message:
    """One message that is JSON; `currency` is for a refund document that names none."""

    inbound: Inbound
    body: dict[str, Any]
    currency: str


def normalise(inbound: Inbound, currency: str) -> Sequence[Happening]:
    """Translate one message. `currency` is used for a refund document that names none.

    Raises `BadPayload` naming the JSON path.
    """
    handler = _HANDLERS.get(inbound.topic)
    if handler is None:
        return [Ignored("unknown_topic", inbound.topic[:100])]
    return [handler(_Message(inbound, parse_object(inbound.body), currency))]


def microseconds(time: datetime) -> int:
    """Microseconds since 1970: the version of a record whose version is its updated_at."""
    return (time - _EPOCH) // timedelta(microseconds=1)


# --- orders and refunds ------------------------------------------------------------------------


def _order(message: _Message) -> Happening:
    absent = [key for key in schemas.OrderBody.COMPLETE if key not in message.body]
    if absent:
        order_id: str = load(schemas.IDENTIFIED, message.body)["id"]
        return Thin("sale", order_id, f"partial_payload: no {', '.join(absent)}")
    order = load(schemas.ORDER, message.body)
    as_of = _triggered_at(message.inbound) or order["updated_at"]
    paid_at = as_of if message.inbound.topic == "orders/paid" else None
    return sale_of(order, microseconds(order["updated_at"]), as_of, paid_at, buyer_of(order))


def _order_edited(message: _Message) -> Happening:
    edit = load(schemas.ORDER_EDITED, message.body)["order_edit"]
    return Thin("sale", edit["order_id"], "order_edited")


def _order_deleted(message: _Message) -> Happening:
    order = load(schemas.IDENTIFIED, message.body)
    return Deleted("sale", order["id"], final=True, as_of=_triggered_at(message.inbound))


def _order_transaction(message: _Message) -> Happening:
    return Thin("sale", load(schemas.ORDER_TRANSACTION, message.body)["order_id"], "order_transaction")


def _refund(message: _Message) -> Happening:
    refund = load(schemas.REFUND, message.body)
    if refund["order_id"] is None:
        raise BadPayload("invalid_field", "is missing", path="$.order_id")
    as_of = _triggered_at(message.inbound) or refund["created_at"] or _EPOCH
    version = microseconds(refund["created_at"] or as_of)
    return refund_document(refund, message.currency, version, as_of)


# --- people ------------------------------------------------------------------------------------


def _customer(message: _Message) -> Happening:
    if "updated_at" not in message.body:
        return Thin(
            "customer", load(schemas.IDENTIFIED, message.body)["id"], "partial_payload: no updated_at"
        )
    customer = load(schemas.CUSTOMER, message.body)
    changed = customer["updated_at"]
    return Customer(
        customer_of(customer), microseconds(changed), _triggered_at(message.inbound) or changed
    )


def _customer_deleted(message: _Message) -> Happening:
    customer = load(schemas.IDENTIFIED, message.body)
    return Deleted("customer", customer["id"], final=True, as_of=_triggered_at(message.inbound))


def _customers_merged(message: _Message) -> Happening:
    merge = load(schemas.CUSTOMER_MERGE, message.body)
    status = merge["status"].lower()
    if status in words.MERGE_UNDER_WAY:
        return Ignored("merge_not_finished", status)
    if status not in words.MERGE_DONE:
        return Ignored("merge_failed", status[:100])
    # A merge is final and the body has no time: without the header it only counts as the oldest.
    return CustomerMerged(merge["kept"], merge["gone"], _triggered_at(message.inbound) or _EPOCH)


def _customer_redacted(message: _Message) -> Happening:
    customer = load(schemas.CUSTOMER_REDACT, message.body)["customer"]
    return Deleted("customer", customer["id"], final=True, as_of=_triggered_at(message.inbound))


def _data_request(_: _Message) -> Happening:
    return Ignored("data_request", "the merchant answers it from the member's page")


# --- the shop ----------------------------------------------------------------------------------


def _uninstalled(message: _Message) -> Happening:
    """The app may be installed again: not final."""
    shop = load(schemas.SHOP, message.body)
    domain = message.inbound.headers.get(words.SHOP) or shop["myshopify_domain"] or shop["id"] or ""
    return Deleted("shop", domain, final=False, as_of=_triggered_at(message.inbound))


def _shop_redacted(message: _Message) -> Happening:
    shop = load(schemas.SHOP_REDACT, message.body)
    domain = message.inbound.headers.get(words.SHOP) or shop["shop_domain"] or shop["shop_id"]
    return Deleted("shop", domain, final=True, as_of=_triggered_at(message.inbound))


# --- discounts ---------------------------------------------------------------------------------


def _discount(message: _Message) -> Happening:
    discount = load(schemas.DISCOUNT, message.body)
    if "/DiscountCodeNode/" not in discount["id"]:
        return Ignored("automatic_discount", discount["id"])
    if message.inbound.topic == "discounts/delete":
        gone_at = discount["deleted_at"] or _triggered_at(message.inbound)
        return Code(None, discount["id"], "deleted", active=False, as_of=gone_at)
    active = (discount["status"] or "").lower() in words.DISCOUNT_ACTIVE
    as_of = discount["updated_at"] or _triggered_at(message.inbound)
    return Code(
        None,
        discount["id"],
        "created" if message.inbound.topic == "discounts/create" else "updated",
        active=active if discount["status"] else None,
        as_of=as_of,
    )


def _redeem_code(message: _Message) -> Happening:
    discount = load(schemas.DISCOUNT_CODE, message.body)
    code = discount["redeem_code"]["code"]
    as_of = discount["updated_at"] or _triggered_at(message.inbound)
    if message.inbound.topic == "discounts/redeemcode_removed":
        return Code(code, discount["id"], "deleted", active=False, as_of=as_of)
    return Code(code, discount["id"], "created", as_of=as_of)


def _listed_order(message: _Message) -> Happening:
    order = load(schemas.GRAPH_LISTED, message.body)
    version = microseconds(order["updated_at"])
    currency: str | None = order["currency"]
    back = (
        minor(value(order["refunded"], currency), currency, "$.totalRefundedSet") if currency else None
    )
    return Thin("sale", order["id"], "listed_as_changed", version, state_of(order), back)


# --- answers of look-ups -----------------------------------------------------------------------


def _fetched_sale(message: _Message) -> Happening:
    node = _node(message.body, "order")
    if node is None:
        return _not_visible(message.inbound)
    order = load(schemas.GRAPH_ORDER, node, root="$.data.order")
    as_of = _answered_at(message.inbound) or order["updated_at"]
    paid = [t["at"] for t in order["transactions"] or () if _is_payment(t) and t["at"]]
    paid_at = max(paid, default=None)
    return sale_of(order, microseconds(order["updated_at"]), as_of, paid_at, buyer_of(order))


def _is_payment(transaction: Mapping[str, Any]) -> bool:
    kind, status = transaction["kind"] or "", transaction["status"] or ""
    return kind.lower() in words.PAYMENT_KINDS and status.lower() == "success"


def _fetched_customer(message: _Message) -> Happening:
    node = _node(message.body, "customer")
    if node is None:
        return _not_visible(message.inbound)
    customer = load(schemas.GRAPH_CUSTOMER, node, root="$.data.customer")
    changed = customer["updated_at"]
    return Customer(
        customer_of(customer), microseconds(changed), _answered_at(message.inbound) or changed
    )


def _fetched_product(message: _Message) -> Happening:
    node = _node(message.body, "product")
    asked = message.inbound.headers.get(words.LOOKUP)
    if node is None and asked:
        # deleted, or not ours to see: nothing more will be known of it, and its sales must not wait
        return Product(asked, None, ())
    if node is None:
        return _not_visible(message.inbound)
    product = load(schemas.GRAPH_PRODUCT, node, root="$.data.product")
    skus = {variant["sku"] for variant in product["variants"]} - {None}
    categories = [collection["title"] for collection in product["collections"]]
    categories.append(product["product_type"])
    return Product(
        external_id=product["id"],
        sku=skus.pop() if len(skus) == 1 else None,
        categories=tuple(dict.fromkeys(c for c in categories if c)),
        tags=tuple(product["tags"] or ()),
    )


def _fetched_code(message: _Message) -> Happening:
    node = _node(message.body, "codeDiscountNodeByCode")
    code = message.inbound.headers.get(words.LOOKUP) or None
    if node is None:
        return _not_visible(message.inbound)
    found = load(schemas.GRAPH_CODE, node, root="$.data.codeDiscountNodeByCode")
    status = (found["discount"]["status"] or "").lower()
    active = status in words.DISCOUNT_ACTIVE if status else None
    return Code(code, found["id"], "updated", active=active, as_of=_answered_at(message.inbound))


def _node(body: dict[str, Any], name: str) -> dict[str, Any] | None:
    data = body.get("data")
    if not isinstance(data, dict) or name not in data:
        raise BadPayload("invalid_field", "is missing", path=f"$.data.{name}")
    node: dict[str, Any] | None = data[name]
    return node


def _not_visible(inbound: Inbound) -> Happening:
    """A null is no proof of deletion: without the scope read_all_orders Shopify also hides orders
    older than 60 days (https://shopify.dev/docs/api/admin-graphql/latest/objects/Order)."""
    what = inbound.topic.removeprefix("fetch.")
    asked = inbound.headers.get(words.LOOKUP, "")
    hint = "; orders older than 60 days need the scope read_all_orders" if what == "sale" else ""
    return Ignored("not_visible", f"Shopify shows no {what} {asked}{hint}")


# --- times -------------------------------------------------------------------------------------


def _triggered_at(inbound: Inbound) -> datetime | None:
    """X-Shopify-Triggered-At; None when it is absent or unreadable (it is optional)."""
    try:
        time = datetime.fromisoformat(inbound.headers.get(words.TRIGGERED_AT, ""))
        return time.astimezone(UTC) if time.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _answered_at(inbound: Inbound) -> datetime | None:
    """The Date header of an answer (rules.md A2)."""
    try:
        time = email.utils.parsedate_to_datetime(inbound.headers.get("date", ""))
    except (ValueError, TypeError):
        return None
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


_Handler = Callable[[_Message], Happening]

# https://shopify.dev/docs/api/webhooks/latest, and the answers of our own look-ups.
_HANDLERS: dict[str, _Handler] = {
    "orders/create": _order,
    "orders/paid": _order,
    "orders/updated": _order,
    "orders/fulfilled": _order,
    "orders/partially_fulfilled": _order,
    "orders/cancelled": _order,
    "orders/edited": _order_edited,
    "orders/delete": _order_deleted,
    "order_transactions/create": _order_transaction,
    "refunds/create": _refund,
    "customers/create": _customer,
    "customers/update": _customer,
    "customers/enable": _customer,
    "customers/disable": _customer,
    "customers/delete": _customer_deleted,
    "customers/merge": _customers_merged,
    "customers/redact": _customer_redacted,
    "customers/data_request": _data_request,
    "app/uninstalled": _uninstalled,
    "shop/redact": _shop_redacted,
    "discounts/create": _discount,
    "discounts/update": _discount,
    "discounts/delete": _discount,
    "discounts/redeemcode_added": _redeem_code,
    "discounts/redeemcode_removed": _redeem_code,
    words.POLLED_SALE: _listed_order,
    "fetch.sale": _fetched_sale,
    "fetch.refunds": _fetched_sale,
    "fetch.customer": _fetched_customer,
    "fetch.product": _fetched_product,
    "fetch.code": _fetched_code,
}
