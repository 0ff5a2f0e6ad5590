"""The hub's commands in a WooCommerce store: coupons made and revoked, balances shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from connectors.woocommerce.client import Store
from hub.connector import CodeThere, CreateCode, Receipt, RevokeCode, SetBalance
from hub.errors import BadPayload, ChannelDown, Misconfigured, Rejected
from hub.money import NotMoney, decimal_amount, from_minor
from hub.payload import parse_time

VOUCHER_META = "_loyalty_hub_voucher"
BALANCE_META = {
    "points": "loyalty_points",
    "available": "loyalty_points_available",
    "pending": "loyalty_points_pending",
}
"""What the hub knows -> the customer's meta key a theme can show."""

_CLOCK_SKEW = timedelta(minutes=5)
"""A code that starts at the hub's present moment by another of its clocks starts now."""

_DUPLICATE = "woocommerce_rest_coupon_code_already_exists"


def create_code(store: Store, command: CreateCode, now: datetime) -> Receipt:
    """Make the coupon and believe only the store's answer: it drops what it does not like (a
    mistyped e-mail, an expiry) and says nothing, which would leave a coupon for everybody."""
    wish = _wish(store, command, now)
    made, changed = _post_or_find(store, command, wish)
    coupon_id = _coupon_id(made)
    differs = _first_difference(wish, made)
    if differs:
        store.delete(f"coupons/{coupon_id}")
        raise Rejected(
            f"coupon_{differs}", f"the store did not keep {differs}; the coupon was deleted again"
        )
    return Receipt(external_id=coupon_id, changed=changed)


def _post_or_find(
    store: Store, command: CreateCode, wish: Mapping[str, Any]
) -> tuple[dict[str, Any], bool]:
    """The coupon made, or the one an earlier try made before its answer was lost; whether it is new."""
    try:
        return store.post("coupons", wish), True
    except Rejected as refusal:
        if refusal.code != _DUPLICATE:
            raise
    found = _ours(store, command.code, command.voucher_id)
    if found is None:
        raise Rejected("code_taken", "another coupon of the store has this code")
    return found, False


def revoke_code(store: Store, command: RevokeCode) -> Receipt:
    """Delete the coupon for good. Expiring or trashing it would keep it for reports, but cancelling
    the order that used it gives the use back, and a merchant can restore it: only a deleted coupon
    stays dead (rules.md E3). Orders keep the code and the discount they had."""
    coupon = _ours(store, command.code, command.voucher_id)
    if coupon is None:
        return Receipt(changed=False, note="no_such_code")
    coupon_id = _coupon_id(coupon)
    return Receipt(external_id=coupon_id, changed=store.delete(f"coupons/{coupon_id}"))


def read_code(store: Store, code: RevokeCode, now: datetime) -> CodeThere | None:
    """The coupon as the store has it. A draft or a private coupon cannot be used.
    https://woocommerce.github.io/woocommerce-rest-api-docs/#coupon-properties"""
    coupon = _ours(store, code.code, code.voucher_id)
    if coupon is None:
        return None
    count = coupon.get("usage_count")
    used = isinstance(count, int) and count > 0
    ends = _expiry(coupon)
    over = ends is not None and ends <= f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"
    return CodeThere(not used and not over and coupon.get("status", "publish") == "publish", used)


def set_balance(store: Store, command: SetBalance) -> Receipt:
    """Show the balance as meta of the customer; written only when it differs, because every write
    sends customer.updated back to the hub."""
    customer_id = command.customer.external_id
    if customer_id is None or not customer_id.isdigit():
        raise Rejected("no_customer", "the member has no account in this store")
    found = store.get(f"customers/{customer_id}", _fields="id,meta_data")
    if found.status == 404:
        raise Rejected("no_customer", "the customer does not exist in the store any more")
    wish = {meta: str(getattr(command, ours)) for ours, meta in BALANCE_META.items()}
    if _meta(found.json()).items() >= wish.items():
        return Receipt(external_id=customer_id, changed=False)
    content = {"meta_data": [{"key": key, "value": value} for key, value in wish.items()]}
    store.put(f"customers/{customer_id}", content)
    return Receipt(external_id=customer_id)


def _wish(store: Store, command: CreateCode, now: datetime) -> dict[str, Any]:
    """What is posted. `date_expires` must carry a Z (without it, it is shop time; its sibling
    `date_expires_gmt` is silently ignored), and amounts must be plain dotted text."""
    if command.starts_at > now + _CLOCK_SKEW:
        raise Rejected("starts_later", "a WooCommerce coupon cannot start in the future")
    if not command.customer.email:
        raise Rejected("no_email", "the member has no e-mail address to bind the coupon to")
    kind, amount = _value(store, command)
    wish: dict[str, Any] = {
        "code": command.code,
        "discount_type": kind,
        "amount": amount,
        "description": f"{command.title} ({command.voucher_id})",
        "email_restrictions": [command.customer.email],
        "usage_limit": 1,
        "usage_limit_per_user": 1,
        "meta_data": [{"key": VOUCHER_META, "value": command.voucher_id}],
    }
    if command.expires_at is not None:
        wish["date_expires"] = f"{command.expires_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"
    if command.minimum_total is not None and command.currency is not None:
        wish["minimum_amount"] = format(from_minor(command.minimum_total, command.currency), "f")
    if command.free_shipping:
        wish["free_shipping"] = True
    if command.skus:
        wish["product_ids"] = _product_ids(store, command.skus)
    if command.pieces is not None:
        wish["limit_usage_to_x_items"] = command.pieces
    return wish


def _product_ids(store: Store, skus: Sequence[str]) -> list[int]:
    """The store's ids of these products: a coupon knows no SKU, and one without ids would be a coupon
    for everything. https://woocommerce.github.io/woocommerce-rest-api-docs/#list-all-products"""
    found = {
        product["sku"]: product["id"]
        for product in store.get_list("products", sku=",".join(skus), _fields="id,sku")
        if isinstance(product.get("sku"), str) and type(product.get("id")) is int
    }
    missing = [sku for sku in skus if sku not in found]
    if missing:
        raise Misconfigured(
            "no_such_product",
            f"the store has no product with the SKU {missing[0]:.50}; give it that SKU there",
        )
    return sorted(found[sku] for sku in skus)


def _value(store: Store, command: CreateCode) -> tuple[str, str]:
    if command.minimum_total is not None or command.amount is not None:
        _refuse_other_currency(store, command)
    if command.free_shipping:
        return "fixed_cart", "0"
    if command.percent is not None:
        return "percent", format(Decimal(command.percent).scaleb(-2), "f")
    if command.amount is None or command.currency is None:
        raise Rejected("no_value", "the code has neither an amount with its currency nor a percentage")
    return "fixed_cart", format(from_minor(command.amount, command.currency), "f")


def _refuse_other_currency(store: Store, command: CreateCode) -> None:
    # A coupon has no currency of its own: 50000 VND posted to a dollar shop is 50,000 dollars off.
    shop = store.get("data/currencies/current").json()
    currency = shop.get("code") if isinstance(shop, dict) else None
    if currency != command.currency:
        raise Misconfigured(
            "other_currency",
            f"the code is worth {command.currency}, but the store sells in {str(currency)[:10]};"
            " give the reward an amount in the store's currency",
        )


def _first_difference(wish: Mapping[str, Any], made: Mapping[str, Any]) -> str | None:
    """The first field the store did not keep as asked; None when all is well."""
    same = {
        "code": _lower(made.get("code")) == _lower(wish["code"]),
        "discount_type": made.get("discount_type") == wish["discount_type"],
        "amount": _number(made.get("amount")) == Decimal(wish["amount"]),
        "email_restrictions": _lower(made.get("email_restrictions"))
        == _lower(wish["email_restrictions"]),
        "usage_limit": made.get("usage_limit") == wish["usage_limit"],
        "date_expires": _expiry(made) == wish.get("date_expires"),
        "minimum_amount": _number(made.get("minimum_amount")) == Decimal(wish.get("minimum_amount", 0)),
        "free_shipping": bool(made.get("free_shipping")) == wish.get("free_shipping", False),
        "product_ids": sorted(made.get("product_ids") or []) == wish.get("product_ids", []),
        "limit_usage_to_x_items": (made.get("limit_usage_to_x_items") or None)
        == wish.get("limit_usage_to_x_items"),
    }
    return next((name for name, kept in same.items() if not kept), None)


def _expiry(made: Mapping[str, Any]) -> str | None:
    """The expiry the store keeps, written as we write it."""
    kept = made.get("date_expires_gmt")
    if kept is None:
        return None
    try:
        return f"{parse_time(kept, path='$.date_expires_gmt', zone='UTC'):%Y-%m-%dT%H:%M:%S}Z"
    except BadPayload:
        return ""


def _lower(value: object) -> object:
    """E-mails and codes: WooCommerce stores them lower case."""
    if isinstance(value, list):
        return [_lower(item) for item in value]
    return value.lower() if isinstance(value, str) else value


def _number(value: object) -> Decimal | None:
    if not isinstance(value, str | int | Decimal):
        return None
    try:
        return decimal_amount(value or "0")
    except NotMoney:
        return None


def _ours(store: Store, code: str, voucher_id: str) -> dict[str, Any] | None:
    """The coupon with this code, when it carries our voucher id; a merchant's own is not ours."""
    for coupon in store.get_list("coupons", code=code):
        if _lower(coupon.get("code")) == code.lower() and _meta(coupon).get(VOUCHER_META) == voucher_id:
            return coupon
    return None


def _meta(thing: object) -> dict[str, Any]:
    items = thing.get("meta_data") if isinstance(thing, dict) else None
    return {
        item["key"]: item.get("value")
        for item in (items if isinstance(items, list) else [])
        if isinstance(item, dict) and isinstance(item.get("key"), str)
    }


def _coupon_id(coupon: Mapping[str, Any]) -> str:
    found = coupon.get("id")
    if type(found) is not int:
        raise ChannelDown("no_id", "the store answered with a coupon that has no id")
    return str(found)
