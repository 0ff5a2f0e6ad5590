"""What the sandbox's Admin API can do: discounts, metafields, and the shop's orders in GraphQL's words.

Plain dictionaries whose callables take (info, **arguments), which is how graphql-core resolves them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from connectors.shopify.sandbox_orders import JSON, POS_APP, Books, Refused, allocated, stamp

_MOST_METAFIELDS = 25
SEARCH_LAG_SECONDS = 5.0
SCOPES = (
    "read_orders",
    "read_all_orders",
    "read_customers",
    "write_customers",
    "read_customer_merge",
    "read_discounts",
    "write_discounts",
    "read_products",
    "read_locations",
)


@dataclass(slots=True)
class Discount:
    """One basic code discount."""

    id: str
    code: str
    title: str
    starts_at: datetime
    ends_at: datetime | None
    usage_limit: int | None
    once_per_customer: bool
    customers: frozenset[str] | None
    """Gids; None: everybody."""
    value: Decimal
    percentage: bool
    minimum: Decimal | None
    made_at: datetime
    variants: frozenset[str] | None = None
    """Gids; None: everything."""
    free_shipping: bool = False
    used: int = 0
    users: set[str] = field(default_factory=set)

    def status(self, now: datetime) -> str:
        """ACTIVE, SCHEDULED or EXPIRED; a code that is used up stays ACTIVE."""
        if self.ends_at is not None and self.ends_at <= now:
            return "EXPIRED"
        return "SCHEDULED" if self.starts_at > now else "ACTIVE"


@dataclass(slots=True)
class Shop:
    """The whole shop, in memory."""

    domain: str
    books: Books
    customers: dict[int, JSON] = field(default_factory=dict)
    orders: dict[int, JSON] = field(default_factory=dict)
    products: dict[str, JSON] = field(default_factory=dict)
    """By sku."""
    discounts: dict[str, Discount] = field(default_factory=dict)
    """By gid."""
    metafields: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """(owner gid, namespace, key) -> value."""

    def discount_by_code(self, code: str) -> Discount | None:
        """Immediate, and without regard to case."""
        return next((d for d in self.discounts.values() if d.code.lower() == code.lower()), None)

    def use_code(self, code: str, order: JSON, now: datetime) -> None:
        """What the checkout does with a code; `Refused` in the storefront's words."""
        discount = self.discount_by_code(code)
        if discount is None or discount.status(now) != "ACTIVE":
            raise Refused(f"{code} discount code isn't valid")
        customer = order["customer"]
        buyer = f"gid://shopify/Customer/{customer['id']}" if customer else ""
        if discount.customers is not None and buyer not in discount.customers:
            raise Refused(f"{code} discount code isn't available to you right now")
        if discount.usage_limit is not None and discount.used >= discount.usage_limit:
            raise Refused(f"{code} discount code has reached its usage limit")
        if discount.once_per_customer and buyer in discount.users:
            raise Refused(f"{code} discount code was already used by this customer")
        if order["discount_codes"]:
            raise Refused(f"{code} couldn't be used with your existing discounts")
        lines = self.books.discountable(order)
        worth = sum(Decimal(line["price"]) * line["quantity"] for line in lines)
        if discount.minimum is not None and worth < discount.minimum:
            raise Refused(f"{code} needs a minimum purchase of {discount.minimum}")
        if discount.free_shipping:
            self.books.free_shipping(order, discount.code)
        else:
            its = [line for line in lines if _is_for(discount, line)]
            if not its:
                raise Refused(f"{code} discount code isn't valid for the items in your cart")
            self.books.apply(
                order, discount.code, discount.value, percentage=discount.percentage, lines=its
            )
        discount.used += 1
        discount.users.add(buyer)


def _is_for(discount: Discount, line: JSON) -> bool:
    variant = f"gid://shopify/ProductVariant/{line['variant_id']}"
    return discount.variants is None or variant in discount.variants


# --- mutations ---------------------------------------------------------------------------------


def create_discount(shop: Shop, wish: JSON, now: datetime) -> JSON:
    """discountCodeBasicCreate."""
    code = wish.get("code") or ""
    if errors := list(_faulty(shop, wish, code)):
        return {"codeDiscountNode": None, "userErrors": errors}
    value = wish["customerGets"]["value"]
    products = (wish["customerGets"].get("items") or {}).get("products") or {}
    variants = products.get("productVariantsToAdd")
    percentage = value.get("percentage")
    discount = _discount(shop, wish, now)
    discount.value = Decimal(
        str(percentage if percentage is not None else value["discountAmount"]["amount"])
    )
    discount.percentage = percentage is not None
    discount.variants = None if variants is None else frozenset(variants)
    shop.discounts[discount.id] = discount
    return {"codeDiscountNode": discount_node(discount, now), "userErrors": []}


def create_free_shipping(shop: Shop, wish: JSON, now: datetime) -> JSON:
    """discountCodeFreeShippingCreate; a shipping discount does not combine with others of its class."""
    code, root = wish.get("code") or "", "freeShippingCodeDiscount"
    errors = list(_faulty(shop, wish, code, root))
    if (wish.get("combinesWith") or {}).get("shippingDiscounts"):
        field = [root, "combinesWith"]
        message = "Shipping discounts cannot combine with shipping discounts"
        errors.append(error(field, message, "INVALID_COMBINES_WITH_FOR_DISCOUNT_CLASS"))
    if errors:
        return {"codeDiscountNode": None, "userErrors": errors}
    discount = _discount(shop, wish, now)
    discount.free_shipping = True
    shop.discounts[discount.id] = discount
    return {"codeDiscountNode": discount_node(discount, now), "userErrors": []}


def _discount(shop: Shop, wish: JSON, now: datetime) -> Discount:
    subtotal = (wish.get("minimumRequirement") or {}).get("subtotal") or {}
    minimum = subtotal.get("greaterThanOrEqualToSubtotal")
    customers = (wish["context"].get("customers") or {}).get("add")
    return Discount(
        id=f"gid://shopify/DiscountCodeNode/{shop.books.new_id()}",
        code=wish["code"],
        title=wish["title"],
        starts_at=_time(wish["startsAt"]),
        ends_at=_time(wish["endsAt"]) if wish.get("endsAt") else None,
        usage_limit=wish.get("usageLimit"),
        once_per_customer=bool(wish.get("appliesOncePerCustomer")),
        customers=None if customers is None else frozenset(customers),
        value=Decimal(0),
        percentage=False,
        minimum=None if minimum is None else Decimal(str(minimum)),
        made_at=now,
    )


def _faulty(shop: Shop, wish: JSON, code: str, root: str = "basicCodeDiscount") -> Iterable[JSON]:
    gets = ("customerGets",) if root == "basicCodeDiscount" else ()
    for name in ("code", "title", "startsAt", *gets, "context"):
        if not wish.get(name):
            yield error([root, name], f"{name} can't be blank", "BLANK")
            return
    if len(code) > 255:
        yield error([root, "code"], "Code is too long (maximum is 255 characters)", "TOO_LONG")
    if "\n" in code or "\r" in code:
        yield error([root, "code"], "Code cannot contain a newline", "INVALID")
    if shop.discount_by_code(code) is not None:
        message = "Code must be unique. Please try a different code."
        yield error([root, "code"], message, "TAKEN")
    if wish.get("endsAt") and _time(wish["endsAt"]) <= _time(wish["startsAt"]):
        message = "Ends at needs to be after starts at"
        yield error([root, "endsAt"], message, "END_DATE_BEFORE_START_DATE")
    for customer in (wish["context"].get("customers") or {}).get("add") or ():
        if _number(customer) not in shop.customers:
            field = [root, "context", "customers", "add"]
            yield error(field, f"Customer with id: {_number(customer)} is invalid", "INVALID")
    if gets:
        yield from _faulty_value(wish["customerGets"].get("value") or {})


def _faulty_value(value: JSON) -> Iterable[JSON]:
    field = ["basicCodeDiscount", "customerGets", "value"]
    percentage, amount = value.get("percentage"), (value.get("discountAmount") or {}).get("amount")
    if (percentage is None) == (amount is None):
        yield error(field, "Exactly one value must be given", "INVALID")
    elif percentage is not None and not 0 < percentage <= 1:
        message = "Value must be between 0.0 and 1.0"
        yield error([*field, "percentage"], message, "VALUE_OUTSIDE_RANGE")
    elif amount is not None and _decimal(amount) <= 0:
        yield error([*field, "discountAmount", "amount"], "Value must be positive", "GREATER_THAN")


def deactivate_discount(shop: Shop, gid: str, now: datetime) -> JSON:
    """discountCodeDeactivate: it ends now, the code stays taken; twice is no error."""
    discount = shop.discounts.get(gid)
    if discount is None:
        message = "Code discount does not exist."
        return {"codeDiscountNode": None, "userErrors": [error(["id"], message, "INVALID")]}
    if discount.status(now) != "EXPIRED":
        discount.ends_at = now
    return {"codeDiscountNode": discount_node(discount, now), "userErrors": []}


def delete_discount(shop: Shop, gid: str) -> JSON:
    """discountCodeDelete."""
    if shop.discounts.pop(gid, None) is None:
        message = "Code discount does not exist."
        return {"deletedCodeDiscountId": None, "userErrors": [error(["id"], message, "INVALID")]}
    return {"deletedCodeDiscountId": gid, "userErrors": []}


def set_metafields(shop: Shop, wishes: list[JSON], now: datetime) -> JSON:
    """metafieldsSet: at most 25, all or none."""
    if len(wishes) > _MOST_METAFIELDS:
        message = "Exceeded the maximum metafields input limit of 25."
        return _no_metafields("LESS_THAN_OR_EQUAL_TO", message, 0)
    for index, wish in enumerate(wishes):
        if not _owner_exists(shop, wish["ownerId"]):
            return _no_metafields("INVALID", "Owner does not exist.", index)
        if wish.get("type") == "number_integer" and not wish["value"].lstrip("-").isdigit():
            return _no_metafields("INVALID_VALUE", "Value must be an integer.", index)
        found = shop.metafields.get((wish["ownerId"], _namespace(wish), wish["key"]))
        if wish.get("compareDigest") not in (None, _digest(found or "")):
            return _no_metafields("STALE_OBJECT", "The resource has been updated.", index)
    made = []
    for wish in wishes:
        key = (wish["ownerId"], _namespace(wish), wish["key"])
        shop.metafields[key] = wish["value"]
        made.append(_metafield(key, wish["value"], now))
    return {"metafields": made, "userErrors": []}


def _owner_exists(shop: Shop, gid: str) -> bool:
    return gid.startswith("gid://shopify/Customer/") and _number(gid) in shop.customers


def _no_metafields(code: str, message: str, index: int) -> JSON:
    fault = error(["metafields", str(index)], message, code) | {"elementIndex": index}
    return {"metafields": None, "userErrors": [fault]}


def _namespace(wish: JSON) -> str:
    """`$app:x` becomes `app--<app id>--x`: reserved for this app."""
    namespace: str = wish.get("namespace") or "$app"
    return namespace.replace("$app:", "app--1234567--").replace("$app", "app--1234567")


def _metafield(key: tuple[str, str, str], value: str, now: datetime) -> JSON:
    number = int(_digest("/".join(key))[:10], 16)
    return {
        "id": f"gid://shopify/Metafield/{number}",
        "namespace": key[1],
        "key": key[2],
        "value": value,
        "compareDigest": _digest(value),
        "updatedAt": _instant(now),
    }


def error(field: list[str] | None, message: str, code: str | None) -> JSON:
    """One of the `userErrors`."""
    return {"field": field, "message": message, "code": code, "extraInfo": None}


def discount_body(discount: Discount, now: datetime) -> JSON:
    """The body of discounts/create and discounts/update."""
    return {
        "admin_graphql_api_id": discount.id,
        "title": discount.title,
        "status": discount.status(now),
        "created_at": stamp(discount.made_at),
        "updated_at": stamp(now),
    }


def discount_made(discount: Discount, now: datetime) -> list[tuple[str, JSON]]:
    """The webhooks a new discount causes."""
    redeem = {"id": discount.id.replace("CodeNode", "RedeemCode"), "code": discount.code}
    added = {"admin_graphql_api_id": discount.id, "redeem_code": redeem, "updated_at": stamp(now)}
    return [("discounts/create", discount_body(discount, now)), ("discounts/redeemcode_added", added)]


# --- views -------------------------------------------------------------------------------------


def discount_node(discount: Discount, now: datetime) -> JSON:
    """A `DiscountCodeNode`, which is also what a `DiscountNode` shows."""
    redeem = {"id": discount.id.replace("CodeNode", "RedeemCode"), "code": discount.code}
    basic = {
        "__typename": "DiscountCodeFreeShipping" if discount.free_shipping else "DiscountCodeBasic",
        "title": discount.title,
        "status": discount.status(now),
        "startsAt": _instant(discount.starts_at),
        "endsAt": _instant(discount.ends_at) if discount.ends_at else None,
        "usageLimit": discount.usage_limit,
        "appliesOncePerCustomer": discount.once_per_customer,
        "asyncUsageCount": discount.used,
        "combinesWith": dict.fromkeys(
            ("orderDiscounts", "productDiscounts", "shippingDiscounts"), False
        ),
        "codes": pages([redeem | {"asyncUsageCount": discount.used}]),
    }
    return {"id": discount.id, "codeDiscount": basic, "discount": basic}


def order_view(shop: Shop, order: JSON) -> JSON:
    """An `Order`."""
    pos = order["app_id"] == POS_APP and order["location_id"]
    return {
        "id": order["admin_graphql_api_id"],
        "legacyResourceId": str(order["id"]),
        "name": order["name"],
        "test": order["test"],
        "createdAt": order["created_at"],
        "processedAt": order["processed_at"],
        "updatedAt": order["updated_at"],
        "cancelledAt": order["cancelled_at"],
        "cancelReason": (order["cancel_reason"] or "").upper() or None,
        "edited": bool(order.get("_edited")),
        "fullyPaid": Decimal(order["total_outstanding"]) == 0,
        "displayFinancialStatus": order["financial_status"].upper(),
        "displayFulfillmentStatus": (order["fulfillment_status"] or "unfulfilled").upper(),
        "sourceName": order["source_name"],
        "sourceIdentifier": order["source_identifier"],
        "retailLocation": {"id": f"gid://shopify/Location/{order['location_id']}"} if pos else None,
        "currencyCode": order["currency"],
        "presentmentCurrencyCode": order["presentment_currency"],
        "taxesIncluded": order["taxes_included"],
        "dutiesIncluded": order["duties_included"],
        "email": order["email"] or None,
        "phone": order["phone"],
        "customerLocale": order["customer_locale"],
        "discountCodes": [code["code"] for code in order["discount_codes"]],
        "customer": customer_view(shop, order["customer"]),
        "billingAddress": _address(order["billing_address"]),
        "subtotalPriceSet": _bag(order["subtotal_price_set"]),
        "totalPriceSet": _bag(order["total_price_set"]),
        "totalOutstandingSet": _bag(shop.books.bag(Decimal(order["total_outstanding"]))),
        "totalTipReceivedSet": _bag(shop.books.bag(Decimal(order["total_tip_received"]))),
        "currentSubtotalPriceSet": _bag(order["current_subtotal_price_set"]),
        "currentTotalPriceSet": _bag(order["current_total_price_set"]),
        "currentTotalDiscountsSet": _bag(order["current_total_discounts_set"]),
        "currentTotalTaxSet": _bag(order["current_total_tax_set"]),
        "totalRefundedSet": _bag(shop.books.bag(shop.books.paid_back(order))),
        "originalTotalDutiesSet": None,
        "originalTotalAdditionalFeesSet": None,
        "shippingLines": pages([_shipping_line(s) for s in order["shipping_lines"]]),
        "transactions": _listed(_order_transactions(shop, order)),
        "refunds": _listed([refund_view(order, refund) for refund in order["refunds"]]),
        "lineItems": pages([_line(line) for line in order["line_items"]]),
    }


def refund_view(order: JSON, refund: JSON) -> JSON:
    """A `Refund`."""
    lines = {line["id"]: line for line in order["line_items"]}
    return {
        "id": refund["admin_graphql_api_id"],
        "createdAt": refund["created_at"],
        "note": refund["note"],
        "refundLineItems": pages(
            [
                {
                    "id": f"gid://shopify/RefundLineItem/{r['id']}",
                    "quantity": r["quantity"],
                    "subtotalSet": _bag(r["subtotal_set"]),
                    "totalTaxSet": _bag(r["total_tax_set"]),
                    "lineItem": _line(lines[r["line_item_id"]]),
                }
                for r in refund["refund_line_items"]
            ]
        ),
        "orderAdjustments": pages(
            [
                {
                    "id": f"gid://shopify/OrderAdjustment/{a['id']}",
                    "reason": a["reason"].upper().replace(" ", "_"),
                    "amountSet": _bag(a["amount_set"]),
                    "taxAmountSet": _bag(a["tax_amount_set"]),
                }
                for a in refund["order_adjustments"]
            ]
        ),
        "refundShippingLines": pages(
            [
                {
                    "id": f"gid://shopify/RefundShippingLine/{s['id']}",
                    "subtotalAmountSet": _bag(s["subtotal_amount_set"]),
                    "taxAmountSet": _bag(s["tax_amount_set"]),
                }
                for s in refund["refund_shipping_lines"]
            ]
        ),
        "transactions": pages([_transaction(t, refund) for t in refund["transactions"]]),
    }


def customer_view(shop: Shop, customer: JSON | None) -> JSON | None:
    """A `Customer`."""
    if customer is None:
        return None
    gid = customer["admin_graphql_api_id"]
    consent = {"state": "NEVER_SUBSCRIBED", "updatedAt": None}
    email = {"emailAddress": customer["email"], "marketingState": "NOT_SUBSCRIBED"}
    phone = {"phoneNumber": customer["phone"], "smsMarketingConsent": consent}

    def metafield(_info: Any, key: str, namespace: str | None = None) -> JSON | None:
        found = (gid, _namespace({"namespace": namespace}), key)
        value = shop.metafields.get(found)
        return None if value is None else _metafield(found, value, _time(customer["updated_at"]))

    return {
        "id": gid,
        "legacyResourceId": str(customer["id"]),
        "updatedAt": customer["updated_at"],
        "firstName": customer["first_name"],
        "lastName": customer["last_name"],
        "locale": "en",
        "email": customer["email"],
        "phone": customer["phone"],
        "defaultEmailAddress": email | {"marketingUpdatedAt": None} if customer["email"] else None,
        "defaultPhoneNumber": phone if customer["phone"] else None,
        "defaultAddress": None,
        "metafield": metafield,
    }


def product_view(product: JSON) -> JSON:
    """A `Product`; its category is both its type and a collection."""
    category = product["category"]
    collections = [{"title": category, "handle": category.lower()}] if category else []
    return {
        "id": f"gid://shopify/Product/{product['id']}",
        "title": product["title"],
        "productType": category,
        "tags": [],
        "collections": pages(collections),
        "variants": pages([variant_view(product)]),
    }


def variant_view(product: JSON) -> JSON:
    """A `ProductVariant`."""
    return {
        "id": f"gid://shopify/ProductVariant/{product['id'] + 1}",
        "sku": product["sku"],
        "price": product["price"],
    }


def variants_found(shop: Shop, query: str) -> list[JSON]:
    """What the search `sku:"A" OR sku:"B"` finds; words of another kind find nothing here."""
    wanted = set(re.findall(r'sku:"((?:[^"\\]|\\.)*)"', query))
    return [variant_view(p) for sku, p in shop.products.items() if sku in wanted]


def _line(line: JSON) -> JSON:
    product, variant = line["product_id"], line["variant_id"]
    return {
        "id": line["admin_graphql_api_id"],
        "name": line["name"],
        "title": line["title"],
        "sku": line["sku"] or None,
        "quantity": line["quantity"],
        "currentQuantity": line["current_quantity"],
        "isGiftCard": line["gift_card"],
        "requiresShipping": line["requires_shipping"],
        "taxable": line["taxable"],
        "product": {"id": f"gid://shopify/Product/{product}"} if product else None,
        "variant": {"id": f"gid://shopify/ProductVariant/{variant}"} if variant else None,
        "originalUnitPriceSet": _bag(line["price_set"]),
        "priceAfterAllDiscountsBeforeTaxesSet": _after_all(line),
        "discountAllocations": [
            {"allocatedAmountSet": _bag(a["amount_set"])} for a in line["discount_allocations"]
        ],
        "taxLines": _listed(
            [{"title": t["title"], "priceSet": _bag(t["price_set"])} for t in line["tax_lines"]]
        ),
    }


def _after_all(line: JSON) -> JSON:
    code = line["price_set"]["shop_money"]["currency_code"]
    worth = Decimal(line["price"]) * line["quantity"] - allocated(line)
    amount = worth * line["current_quantity"] / line["quantity"]
    half = {"amount": _trimmed(str(amount)), "currencyCode": code}
    return {"shopMoney": half, "presentmentMoney": half}


def _shipping_line(line: JSON) -> JSON:
    return {
        "id": f"gid://shopify/ShippingLine/{line['id']}",
        "title": line["title"],
        "isRemoved": line["is_removed"],
        "originalPriceSet": _bag(line["price_set"]),
        "discountAllocations": [],
        "taxLines": [],
    }


def _order_transactions(shop: Shop, order: JSON) -> list[JSON]:
    sale = {
        "id": f"gid://shopify/OrderTransaction/{order['id'] + 7}",
        "kind": "SALE",
        "status": "SUCCESS",
        "gateway": order["payment_gateway_names"][0],
        "processedAt": order.get("_paid_at"),
        "amountSet": _bag(shop.books.bag(order["_paid"])),
    }
    refunds = [_transaction(t, r) for r in order["refunds"] for t in r["transactions"]]
    return ([sale] if order["_paid"] else []) + refunds


def _transaction(transaction: JSON, refund: JSON) -> JSON:
    half = {"amount": transaction["amount"], "currency_code": transaction["currency"]}
    return {
        "id": f"gid://shopify/OrderTransaction/{transaction['id']}",
        "kind": transaction["kind"].upper(),
        "status": transaction["status"].upper(),
        "gateway": transaction["gateway"],
        "processedAt": refund["processed_at"],
        "amountSet": _bag({"shop_money": half, "presentment_money": half}),
    }


def _address(address: JSON | None) -> JSON | None:
    if address is None:
        return None
    names = ("company", "address1", "address2", "city", "province", "zip", "country", "phone")
    return {name: address[name] for name in names} | {
        "firstName": address["first_name"],
        "lastName": address["last_name"],
        "countryCodeV2": address["country_code"],
    }


def _bag(bag: JSON) -> JSON:
    """GraphQL trims what webhooks print in full: "13.50" is "13.5"."""
    return {
        f"{side}Money": {
            "amount": _trimmed(bag[f"{side}_money"]["amount"]),
            "currencyCode": bag[f"{side}_money"]["currency_code"],
        }
        for side in ("shop", "presentment")
    }


def _trimmed(amount: str) -> str:
    if "." not in amount:
        return amount
    whole, digits = amount.split(".")
    return f"{whole}.{digits.rstrip('0') or '0'}"


def pages(items: list[JSON]) -> Callable[..., JSON]:
    """A connection: `first` and `after`, nodes, edges and pageInfo."""

    def connection(_info: Any, first: int | None = None, after: str | None = None, **_: Any) -> JSON:
        start = int(after.removeprefix("c")) if after else 0
        end = start + (first if first is not None else len(items))
        nodes = items[start:end]
        return {
            "nodes": nodes,
            "edges": [{"node": node} for node in nodes],
            "pageInfo": {"hasNextPage": end < len(items), "endCursor": f"c{end}" if nodes else None},
        }

    return connection


def _listed(items: list[JSON]) -> Callable[..., list[JSON]]:
    def some(_info: Any, first: int | None = None, **_: Any) -> list[JSON]:
        return items if first is None else items[:first]

    return some


def _instant(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _number(gid: str) -> int:
    tail = gid.rpartition("/")[2]
    return int(tail) if tail.isdigit() else -1


def _decimal(value: Any) -> Decimal:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return Decimal(0)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def changed_since(orders: Iterable[JSON], query: str | None) -> list[JSON]:
    """`orders(query: "updated_at:>='...'")`, the one filter the sandbox knows; oldest change first."""
    known = sorted(orders, key=lambda order: datetime.fromisoformat(order["updated_at"]))
    if not query:
        return known
    since = datetime.fromisoformat(query.partition(">=")[2].strip("'\" "))
    return [order for order in known if datetime.fromisoformat(order["updated_at"]) >= since]


def product_of(shop: Shop, wish: Mapping[str, Any]) -> JSON:
    """The product of a sku; made when it is sold for the first time."""
    sku = wish["sku"]
    if sku not in shop.products:
        shop.products[sku] = {
            "id": shop.books.new_id(),
            "sku": sku,
            "title": wish.get("name") or sku,
            "category": wish.get("category") or "",
            "price": str(wish.get("price", "0")),
        }
    return shop.products[sku]


def touch(record: JSON, now: datetime) -> None:
    """Every change moves updated_at, which has whole seconds."""
    record["updated_at"] = stamp(now)
