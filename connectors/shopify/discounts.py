"""A code's terms as Shopify's discount inputs: off the bill or some products, pieces free, shipping free."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from connectors.shopify import operations
from connectors.shopify.client import Admin
from connectors.shopify.settings import COMBINABLE
from connectors.shopify.shop import gid, shop_currency
from hub.connector import ChannelHandle, CreateCode, CustomerKey
from hub.errors import Misconfigured, Rejected
from hub.money import NotMoney, decimal_amount, from_minor, minor_units

_LONGEST_TITLE = 200


def make(channel: ChannelHandle, admin: Admin, command: CreateCode) -> dict[str, Any]:
    """Create the discount; answers with the mutation's payload. Raises `Rejected`, `Misconfigured`."""
    currency = _currency_for(channel, admin, command)
    if command.free_shipping:
        return admin.change(
            "discountCodeFreeShippingCreate",
            operations.FREE_SHIPPING_CREATE,
            input={**_common(channel, command, currency), "destination": {"all": True}},
        )
    return admin.change(
        "discountCodeBasicCreate",
        operations.CODE_CREATE,
        input={**_common(channel, command, currency), "customerGets": _gets(admin, command, currency)},
    )


def customer_gid(customer: CustomerKey) -> str:
    """Whose code it is. Raises `Rejected`."""
    if not customer.external_id:
        raise Rejected("no_customer_id", "the member is no customer of this shop yet")
    return gid("Customer", customer.external_id)


def _common(channel: ChannelHandle, command: CreateCode, currency: str | None) -> dict[str, Any]:
    """What all kinds of code discounts share."""
    discount: dict[str, Any] = {
        "code": command.code,
        "title": f"{command.title[:_LONGEST_TITLE]} ({command.voucher_id})",
        "startsAt": command.starts_at.isoformat(),
        "endsAt": command.expires_at.isoformat() if command.expires_at else None,
        "usageLimit": 1,
        "appliesOncePerCustomer": True,
        "context": {"customers": {"add": [customer_gid(command.customer)]}},
        "combinesWith": _combines(channel, command),
    }
    if command.minimum_total and currency:
        least = _plain(command.minimum_total, currency)
        discount["minimumRequirement"] = {"subtotal": {"greaterThanOrEqualToSubtotal": least}}
    return discount


def _combines(channel: ChannelHandle, command: CreateCode) -> dict[str, bool]:
    """Which other discounts it may be used beside, spelled out: stacking is never a default, and Shopify
    refuses free shipping beside free shipping."""
    chosen = str(channel.settings.get("combines_with") or "").split(", ")
    return {
        f"{kind}Discounts": kind in chosen and not (command.free_shipping and kind == "shipping")
        for kind in COMBINABLE
    }


def _gets(admin: Admin, command: CreateCode, currency: str | None) -> dict[str, Any]:
    if not command.skus:
        return {"items": {"all": True}, "value": _value(command, currency)}
    variants = _variants(admin, command.skus)
    items = {"products": {"productVariantsToAdd": [variant["id"] for variant in variants]}}
    if command.pieces is None:
        return {"items": items, "value": _value(command, currency)}
    return {"items": items, "value": _pieces_value(command, variants, currency)}


def _pieces_value(
    command: CreateCode, variants: Sequence[dict[str, Any]], currency: str | None
) -> dict[str, Any]:
    """So many pieces for a part of their price, or for nothing. Shopify's basic discounts know no number
    of pieces, so what those pieces cost now is what is taken off once: of the cheapest, where the buyer
    may choose."""
    if command.amount is not None:
        return _value(command, currency)
    try:
        price = min(decimal_amount(str(variant.get("price"))) for variant in variants)
    except NotMoney:
        raise Rejected("no_price", "the shop does not say what the product costs") from None
    worth = price * (command.pieces or 1) * (command.percent or 0) / 10_000
    digits = Decimal(1).scaleb(-minor_units(currency or command.currency or "USD"))
    amount = format(worth.quantize(digits, ROUND_HALF_UP), "f")
    return {"discountAmount": {"amount": amount, "appliesOnEachItem": False}}


def _variants(admin: Admin, skus: Sequence[str]) -> list[dict[str, Any]]:
    """The shop's variants with these SKUs, all of them: a discount without items would be one on everything.
    https://shopify.dev/docs/api/admin-graphql/latest/queries/productVariants"""
    query = " OR ".join(f"sku:{_quoted(sku)}" for sku in skus)
    found = admin.run(operations.VARIANTS_BY_SKU, query=query).node("productVariants") or {}
    nodes = [node for node in found.get("nodes") or () if isinstance(node, dict)]
    missing = [sku for sku in skus if not any(node.get("sku") == sku for node in nodes)]
    if missing:
        raise Misconfigured(
            "no_such_product",
            f"the shop has no variant with the SKU {missing[0]:.50}; give it that SKU there",
        )
    return [node for node in nodes if node.get("sku") in skus]


def _quoted(sku: str) -> str:
    escaped = sku.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _value(command: CreateCode, currency: str | None) -> dict[str, Any]:
    if command.amount is not None and currency:
        return {
            "discountAmount": {"amount": _plain(command.amount, currency), "appliesOnEachItem": False}
        }
    if command.percent is None:
        raise Rejected("no_value", "the voucher has neither an amount nor a percentage")
    # GraphQL's Float is a JSON number from 0 to 1; hundredths of a percent are exact in four digits.
    return {"percentage": round(command.percent / 10_000, 4)}


def _plain(amount: int, currency: str) -> str:
    return format(from_minor(amount, currency), "f")


def _currency_for(channel: ChannelHandle, admin: Admin, command: CreateCode) -> str | None:
    """The shop's currency where the command is about money: Shopify reads amounts in it, so ten
    dollars pushed to a shop that sells in dong would become ten dong."""
    if command.amount is None and command.minimum_total is None and command.pieces is None:
        return None
    currency = shop_currency(channel, admin)
    if command.currency is not None and command.currency != currency:
        raise Misconfigured(
            "other_currency",
            f"the reward is worth an amount in {command.currency}, but the shop sells in {currency}: "
            f"give the reward an amount in {currency}",
        )
    return currency
