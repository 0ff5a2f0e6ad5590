"""From WooCommerce's bytes to the hub's happenings: pure, no I/O and no clock."""

from __future__ import annotations

import email.utils
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from connectors.woocommerce import schemas
from hub.canonical import (
    PAID_STATES,
    Code,
    Customer,
    CustomerRef,
    Deleted,
    Happening,
    Ignored,
    Line,
    LineKind,
    Payment,
    Place,
    Product,
    Refund,
    RefundLine,
    RefundMoney,
    Sale,
    SaleState,
    Thin,
)
from hub.connector import Inbound
from hub.errors import BadPayload, Misconfigured
from hub.money import NotMoney, divide_half_up, to_minor
from hub.payload import load, parse_json, parse_object

PING = "ping"
"""The topic we give the unsigned form that WooCommerce posts when a webhook is made."""

LOOKUP_ID = "x-hub-lookup"
LOOKUP_STATUS = "x-hub-status"
LOOKUP_CURRENCY = "x-hub-currency"
"""Headers `fetch` adds to an answer: what was asked, the HTTP status, the currency of the order."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# https://woocommerce.com/document/managing-orders/order-statuses/
# `processing` is not here: it counts as paid only once date_paid is set (cash on delivery is not).
# `failed` frees the order's coupon as cancelling does, so its use of a code must not count either.
_STATES: dict[str, SaleState] = {
    "auto-draft": SaleState.DRAFT,
    "checkout-draft": SaleState.DRAFT,
    "pending": SaleState.PENDING,
    "on-hold": SaleState.PENDING,
    "completed": SaleState.FULFILLED,
    "cancelled": SaleState.CANCELLED,
    "failed": SaleState.CANCELLED,
    "trash": SaleState.CANCELLED,
    "refunded": SaleState.REFUNDED,
}

# https://wordpress.org/documentation/article/roles-and-capabilities/ and
# https://woocommerce.com/document/roles-capabilities/ : accounts that run the shop.
_STAFF_ROLES = frozenset({"administrator", "shop_manager", "editor", "author", "contributor"})

# Line meta of the gift card plugins: https://woocommerce.com/document/gift-cards/ (wc_gc_...) and
# https://wordpress.org/plugins/pw-woocommerce-gift-cards/ (pw_gift_card_...). WooCommerce itself
# has no gift cards; one sold as a plain product is excluded by its category.
_GIFT_CARD_META = frozenset(
    {
        "wc_gc_giftcard_to",
        "wc_gc_giftcard_to_multiple",
        "wc_gc_giftcard_amount",
        "pw_gift_card_to",
        "pw_gift_card_amount",
        "pw_gift_card_number",
    }
)

# Order meta by which payment plugins mark an order paid in their test mode:
# https://woocommerce.com/document/woopayments/testing-and-troubleshooting/testing/ and
# https://woocommerce.com/document/woocommerce-paypal-payments/
_TEST_META: dict[str, str] = {"_wcpay_mode": "test", "_ppcp_paypal_payment_mode": "sandbox"}

# Hooks whose first argument is an order id: https://woocommerce.github.io/code-reference/hooks/hooks.html
_ORDER_HOOKS = frozenset(
    {
        "woocommerce_new_order",
        "woocommerce_update_order",
        "woocommerce_payment_complete",
        "woocommerce_checkout_order_processed",
        "woocommerce_checkout_order_created",
        "woocommerce_trash_order",
        "woocommerce_untrash_order",
        "woocommerce_cancelled_order",
        "woocommerce_order_edit_status",
    }
)
_REFUND_HOOKS = frozenset(
    {
        "woocommerce_order_refunded",
        "woocommerce_order_fully_refunded",
        "woocommerce_order_partially_refunded",
    }
)


def normalise(inbound: Inbound) -> list[Happening]:
    """Translate one message. Raises `BadPayload`, and `Misconfigured` when the shop says that the
    webhook's owner may no longer read what it is to send."""
    topic = inbound.topic
    handler = _HANDLERS.get(topic)
    if handler is not None:
        return handler(inbound)
    if topic.startswith("action."):
        return [_action(inbound)]
    if topic.startswith("product."):
        return [Ignored("unused_topic", "facts about products are looked up when a rule needs them")]
    return [Ignored("unknown_topic", topic[:100])]


def is_ping(headers: Mapping[str, str], body: bytes) -> bool:
    """Whether a message is exactly the unsigned form `webhook_id=7` WooCommerce posts when a webhook
    is made or its address changes: https://github.com/woocommerce/woocommerce, `deliver_ping`."""
    name, _, number = body.partition(b"=")
    return (
        name == b"webhook_id"
        and 0 < len(number) <= 20
        and number.isdigit()
        and headers.get("content-type", "").split(";")[0].strip().lower()
        == "application/x-www-form-urlencoded"
        and not any(header.startswith("x-wc-webhook-") for header in headers)
    )


# --- orders ------------------------------------------------------------------------------------


def _order(inbound: Inbound) -> list[Happening]:
    body = parse_object(inbound.body)
    error = _error(body)
    if error is not None:
        return [error]
    sale = sale_of(load(schemas.ORDER, body), None)
    # The list in an order has no lines and no tax: fetch them where they can change the points.
    if sale.refunds and sale.state in PAID_STATES - {SaleState.REFUNDED}:
        return [sale, Thin("refunds", sale.external_id, "refund_without_lines")]
    return [sale]


def _polled_order(inbound: Inbound) -> list[Happening]:
    """An order out of a list: as a webhook carries it, true when the store answered (rules.md A2)."""
    sale = sale_of(load(schemas.ORDER, parse_object(inbound.body)), _date(inbound))
    if sale.refunds and sale.state in PAID_STATES - {SaleState.REFUNDED}:
        return [sale, Thin("refunds", sale.external_id, "refund_without_lines")]
    return [sale]


def _polled_customer(inbound: Inbound) -> list[Happening]:
    return [_account(load(schemas.CUSTOMER, parse_object(inbound.body)), _date(inbound))]


def _order_hint(reason: str) -> Callable[[Inbound], list[Happening]]:
    def hint(inbound: Inbound) -> list[Happening]:
        body = parse_object(inbound.body)
        return [_error(body) or Thin("sale", _named(body), reason)]

    return hint


def _fetched_sale(inbound: Inbound) -> list[Happening]:
    asked = _asked(inbound)
    if _is_gone(inbound):
        # Not final: a shop that is set back to a backup has the order again.
        return [Deleted("sale", asked, final=False, as_of=_date(inbound))]
    return [sale_of(load(schemas.ORDER, parse_object(inbound.body)), _date(inbound))]


def sale_of(order: Mapping[str, Any], fetched_at: datetime | None) -> Sale:
    """The sale an order (loaded by `OrderSchema`) describes; `fetched_at` is the Date of a fetch."""
    currency: str = order["currency"]
    modified = order["date_modified_gmt"] or order["date_created_gmt"]
    as_of = fetched_at or modified
    state = _state(order["status"], order["date_paid_gmt"])
    total = _money(order["total"], currency, "$.total")
    return Sale(
        external_id=str(order["id"]),
        number=order["number"] or str(order["id"]),
        state=state,
        currency=currency,
        lines=_lines(order, currency),
        placed_at=order["date_created_gmt"],
        version=_microseconds(modified),
        as_of=as_of,
        shipping=_money(order["shipping_total"], currency, "$.shipping_total"),
        shipping_tax=_money(order["shipping_tax"], currency, "$.shipping_tax"),
        total=total,
        paid_at=order["date_paid_gmt"],
        customer=_buyer(order),
        codes=tuple(dict.fromkeys(c["code"] for c in order["coupon_lines"] if c["code"])),
        payments=_payments(order["payment_method"], total, currency, state),
        refunds=_listed_refunds(order, currency, as_of),
        place=Place(source=order["created_via"] or None),
        test=_is_test(order["meta_data"] or {}),
    )


def _is_test(meta: Mapping[str, Any]) -> bool:
    return any(meta.get(key) == value for key, value in _TEST_META.items())


def _state(status: str, paid_at: datetime | None) -> SaleState:
    """`processing` and the statuses plugins add are paid when, and only when, date_paid is set."""
    known = _STATES.get(status)
    if known is not None:
        return known
    return SaleState.PAID if paid_at else SaleState.PENDING


def _lines(order: Mapping[str, Any], currency: str) -> tuple[Line, ...]:
    lines = [
        _line(item, currency, f"$.line_items[{index}]") for index, item in enumerate(order["line_items"])
    ]
    fees = [_fee(fee, currency, f"$.fee_lines[{index}]") for index, fee in enumerate(order["fee_lines"])]
    for fee in fees:
        # A negative fee is how plugins and staff take money off an order: a discount on the goods.
        # WooCommerce too spreads it over the lines when it computes its tax.
        if fee.net < 0 and sum(_worth(line) for line in lines) >= -fee.net:
            lines = _spread(lines, fee.net, fee.tax)
        else:
            lines.append(fee)
    return tuple(lines)


def _worth(line: Line) -> int:
    return 0 if line.kind is LineKind.FEE else line.net


def _line(item: Mapping[str, Any], currency: str, path: str) -> Line:
    gift_card = not _GIFT_CARD_META.isdisjoint(item["meta_data"] or ())
    return Line(
        key=str(item["id"]),
        kind=LineKind.GIFT_CARD if gift_card else LineKind.GOODS,
        quantity=item["quantity"],
        net=_money(item["total"], currency, f"{path}.total"),
        tax=_money(item["total_tax"], currency, f"{path}.total_tax"),
        sku=item["sku"] or None,
        product_id=str(item["product_id"]) if item["product_id"] else None,
        variant_id=str(item["variation_id"]) if item["variation_id"] else None,
        name=item["name"],
        # An order does not tell whether the price was a sale price: never False.
        discounted=True if item["total"] < item["subtotal"] else None,
    )


def _fee(fee: Mapping[str, Any], currency: str, path: str) -> Line:
    return Line(
        key=str(fee["id"]),
        kind=LineKind.FEE,
        quantity=Decimal(1),
        net=_money(fee["total"], currency, f"{path}.total"),
        tax=_money(fee["total_tax"], currency, f"{path}.total_tax"),
        name=fee["name"],
    )


def _spread(lines: Sequence[Line], net: int, tax: int) -> list[Line]:
    """Put a discount on the lines in proportion to their value; fees among them are left alone."""
    goods = [_worth(line) for line in lines]
    taxes = [0 if line.kind is LineKind.FEE else line.tax for line in lines]
    nets = _shares(net, goods)
    tax_shares = _shares(tax, taxes if sum(taxes) > 0 else goods)
    return [
        replace(line, net=line.net + n, tax=line.tax + t, discounted=True) if n or t else line
        for line, n, t in zip(lines, nets, tax_shares, strict=True)
    ]


def _shares(amount: int, weights: Sequence[int]) -> list[int]:
    """Split so that the parts sum to the amount: each part ends at the rounded running share."""
    whole = sum(weights)
    if whole <= 0:
        return [0] * len(weights)
    ends = [0]
    running = 0
    for weight in weights:
        running += weight
        ends.append(divide_half_up(amount * running, whole))
    return [after - before for before, after in itertools.pairwise(ends)]


def _payments(method: str, total: int, currency: str, state: SaleState) -> tuple[Payment, ...]:
    if total <= 0 or state not in PAID_STATES:
        return ()
    return (Payment("money", total, currency, method),)


def _listed_refunds(order: Mapping[str, Any], currency: str, as_of: datetime) -> tuple[Refund, ...]:
    """The order's own list: ids and money only. Version 1, so that the document with its lines
    (version 2) stands in for it. Listed totals are negative."""
    return tuple(
        Refund(
            external_id=str(refund["id"]),
            sale_external_id=str(order["id"]),
            version=1,
            as_of=as_of,
            money=(
                RefundMoney(
                    "success",
                    -_money(refund["total"], currency, f"$.refunds[{index}].total"),
                    currency,
                ),
            ),
            reason=refund["reason"],
        )
        for index, refund in enumerate(order["refunds"])
    )


# --- refunds -----------------------------------------------------------------------------------


def _fetched_refunds(inbound: Inbound) -> list[Happening]:
    order_id = _asked(inbound)
    currency = inbound.headers.get(LOOKUP_CURRENCY, "")
    documents = parse_json(inbound.body)
    if not isinstance(documents, list):
        raise BadPayload("not_a_list", "a list of refunds is expected")
    return [
        refund_of(load(schemas.REFUND, document, root=f"$[{index}]"), order_id, currency, _date(inbound))
        for index, document in enumerate(documents)
    ]


def refund_of(
    document: Mapping[str, Any], order_id: str, currency: str, fetched_at: datetime | None
) -> Refund:
    """The refund a document (loaded by `RefundSchema`) describes."""
    amount = _money(document["amount"], currency, "$.amount")
    return Refund(
        external_id=str(document["id"]),
        sale_external_id=order_id,
        version=2,
        as_of=fetched_at or document["date_created_gmt"],
        created_at=document["date_created_gmt"],
        lines=tuple(_refund_lines(document["line_items"], currency)),
        money=(RefundMoney("success", amount, currency),),
        goods_money=_goods_money(document, amount, currency),
        reason=document["reason"],
    )


def _refund_lines(items: Sequence[Mapping[str, Any]], currency: str) -> Iterator[RefundLine]:
    for index, item in enumerate(items):
        sold = item["meta_data"].get("_refunded_item_id") if item["meta_data"] else None
        if not isinstance(sold, str | int) or isinstance(sold, bool) or not str(sold).isdigit():
            continue  # which line came back is not told; the money still counts
        path = f"$.line_items[{index}]"
        # Staff who type an amount but no quantity give back a part of the price while the goods stay
        # with the buyer: quantity 0, and `net` says how much. With a quantity the goods are gone,
        # however little was paid for them.
        yield RefundLine(
            line_key=str(sold),
            quantity=abs(item["quantity"]),
            net=-_money(item["total"], currency, f"{path}.total"),
            tax=-_money(item["total_tax"], currency, f"{path}.total_tax"),
        )


def _goods_money(document: Mapping[str, Any], amount: int, currency: str) -> int | None:
    """Money for goods without tax, when lines, fees and shipping account for the whole amount. An
    amount typed freely beside them is not told apart: None, and the fold estimates it.

    A negative fee of the order is a discount on its goods; given back it comes as a positive fee
    and lowers what is paid for them.
    """
    goods = itemised = parts = 0
    for group in ("line_items", "fee_lines", "shipping_lines"):
        for item in document[group]:
            net = -_money(item["total"], currency, f"$.{group}")
            itemised += net - _money(item["total_tax"], currency, f"$.{group}")
            goods += net if group == "line_items" or (group == "fee_lines" and net < 0) else 0
            parts += 2
    # Each part was rounded to the shop's decimals by itself.
    return goods if parts and abs(itemised - amount) <= parts // 2 else None


# --- customers ---------------------------------------------------------------------------------


def _customer(inbound: Inbound) -> list[Happening]:
    body = parse_object(inbound.body)
    error = _error(body)
    return [error or _account(load(schemas.CUSTOMER, body), None)]


def _fetched_customer(inbound: Inbound) -> list[Happening]:
    asked = _asked(inbound)
    if _is_gone(inbound):
        return [Deleted("customer", asked, final=True, as_of=_date(inbound))]
    return [_account(load(schemas.CUSTOMER, parse_object(inbound.body)), _date(inbound))]


def _customer_deleted(inbound: Inbound) -> list[Happening]:
    body = parse_object(inbound.body)
    # WordPress has no trash for accounts: an id that was deleted never comes back.
    return [_error(body) or Deleted("customer", _named(body), final=True)]


def _account(account: Mapping[str, Any], fetched_at: datetime | None) -> Customer | Ignored:
    role: str = account["role"]
    if role in _STAFF_ROLES:
        return Ignored("staff_account", role)
    changed = account["date_modified_gmt"] or account["date_created_gmt"] or fetched_at
    if changed is None:
        raise BadPayload("no_time", "neither date_modified_gmt nor date_created_gmt says when")
    billing = account["billing"] or {}
    return Customer(
        customer=CustomerRef(
            external_id=str(account["id"]),
            phones=_some(billing.get("phone")),
            emails=_some(account["email"], billing.get("email")),
            name=_name(account) or _name(billing),
            address=_address(billing),
            country=billing.get("country") or None,
        ),
        version=_microseconds(changed),
        as_of=fetched_at or changed,
    )


def _buyer(order: Mapping[str, Any]) -> CustomerRef | None:
    """Who bought. The receiver's phone under `shipping` is not the buyer's; None when nothing
    names the buyer (a name alone is no key)."""
    billing = order["billing"] or {}
    phones, emails = _some(billing.get("phone")), _some(billing.get("email"))
    if not order["customer_id"] and not phones and not emails:
        return None
    return CustomerRef(
        external_id=str(order["customer_id"]) if order["customer_id"] else None,
        phones=phones,
        emails=emails,
        name=_name(billing),
        address=_address(billing),
        country=billing.get("country") or None,
    )


def _name(person: Mapping[str, Any]) -> str:
    return f"{person.get('first_name', '')} {person.get('last_name', '')}".strip()


# WooCommerce's words for an address -> the hub's.
_ADDRESS = {
    "company": "company",
    "address_1": "line1",
    "address_2": "line2",
    "city": "city",
    "state": "region",
    "postcode": "postcode",
    "country": "country",
}


def _address(billing: Mapping[str, Any]) -> dict[str, str]:
    return {ours: billing[theirs] for theirs, ours in _ADDRESS.items() if billing.get(theirs)}


def _some(*values: str | None) -> tuple[str, ...]:
    """The values that say something, each once whatever its case."""
    return tuple({value.lower(): value for value in reversed(values) if value}.values())[::-1]


# --- coupons, products, hooks ------------------------------------------------------------------


def _coupon(inbound: Inbound) -> list[Happening]:
    body = parse_object(inbound.body)
    error = _error(body)
    return [error or _code(body, None, created=inbound.topic == "coupon.created")]


def _code(body: Mapping[str, Any], fetched_at: datetime | None, *, created: bool = False) -> Code:
    coupon = load(schemas.COUPON, body)
    limit = coupon["usage_limit"]
    used_up = bool(limit) and (coupon["usage_count"] or 0) >= limit
    trashed = coupon["status"] == "trash"
    return Code(
        code=coupon["code"] or None,
        external_id=str(coupon["id"]),
        change="deleted" if trashed else "created" if created else "updated",
        active=coupon["status"] in (None, "publish") and not used_up,
        as_of=fetched_at or coupon["date_modified_gmt"],
    )


def _coupon_deleted(inbound: Inbound) -> list[Happening]:
    # Sent for any post that goes to the trash, products and orders too: only a look-up can tell.
    body = parse_object(inbound.body)
    return [_error(body) or Thin("code", _named(body), "deleted")]


def _fetched_code(inbound: Inbound) -> list[Happening]:
    asked = _asked(inbound)
    if _is_gone(inbound):
        return [Code(None, asked, "deleted", active=False, as_of=_date(inbound))]
    return [_code(parse_object(inbound.body), _date(inbound))]


def _fetched_product(inbound: Inbound) -> list[Happening]:
    asked = _asked(inbound)
    found = parse_json(inbound.body)
    if not isinstance(found, list):
        raise BadPayload("not_a_list", "a list of products is expected")
    products = [_product(load(schemas.PRODUCT, item, root=f"$[{n}]")) for n, item in enumerate(found)]
    there = {product.external_id for product in products}
    # Deleted since it was sold: it has no category any more, and nobody need wait for one.
    gone = [Product(one, None, ()) for one in asked.split(",") if one not in there]
    return [*products, *gone]


def _product(product: Mapping[str, Any]) -> Product:
    return Product(
        external_id=str(product["id"]),
        sku=product["sku"] or None,
        categories=tuple(term["name"] for term in product["categories"] if term["name"]),
        tags=tuple(term["name"] for term in product["tags"] if term["name"]),
    )


def _action(inbound: Inbound) -> Happening:
    body = parse_object(inbound.body)
    hook = inbound.topic.removeprefix("action.")
    if hook in _REFUND_HOOKS:
        return Thin("refunds", _argument(body), hook)
    if hook in _ORDER_HOOKS or hook.startswith("woocommerce_order_status_"):
        return Thin("sale", _argument(body), hook)
    if hook == "woocommerce_refund_created":
        # Its argument is the refund, not the order; order.updated of the same moment lists it.
        return Ignored("told_by_order", f"refund {_argument(body)}")
    return Ignored("unknown_topic", inbound.topic[:100])


def _argument(body: Mapping[str, Any]) -> str:
    return str(load(schemas.ACTION, body)["arg"])


def _ping(_: Inbound) -> list[Happening]:
    return [Ignored("ping")]


# --- errors the shop signs ---------------------------------------------------------------------


def _error(body: Mapping[str, Any]) -> Ignored | None:
    """A webhook whose payload could not be built carries WordPress' error body instead:
    https://github.com/woocommerce/woocommerce/issues/37806. None when the body is no error."""
    if "code" not in body or "message" not in body or "id" in body:
        return None
    error = load(schemas.ERROR, body)
    code = error["code"]
    if code.startswith("woocommerce_rest_cannot_"):
        raise Misconfigured(
            "webhook_owner_lost_rights",
            "the WordPress user who owns this webhook may no longer read what it sends;"
            " open the webhook in WooCommerce > Settings > Advanced as an administrator and save it",
        )
    if code.endswith("_invalid_id"):
        return Ignored(
            "gone_before_delivery", "deleted before the shop sent this; it does not say which"
        )
    raise BadPayload("shop_error", f"the shop sent its own error {code[:80]}", path="$.code")


# --- small pieces ------------------------------------------------------------------------------


def _named(body: Mapping[str, Any]) -> str:
    return str(load(schemas.ID, body)["id"])


def _asked(inbound: Inbound) -> str:
    asked = inbound.headers.get(LOOKUP_ID)
    if not asked:
        raise BadPayload("no_lookup", "this answer does not say what was asked", path=LOOKUP_ID)
    return asked


def _is_gone(inbound: Inbound) -> bool:
    return inbound.headers.get(LOOKUP_STATUS) == "404"


def _date(inbound: Inbound) -> datetime | None:
    """The shop's own clock when it answered (the Date header of RFC 9110)."""
    try:
        return email.utils.parsedate_to_datetime(inbound.headers["date"]).astimezone(UTC)
    except (KeyError, ValueError, OverflowError):
        return None


def _money(amount: Decimal, currency: str, path: str) -> int:
    try:
        return to_minor(amount, currency)
    except NotMoney as error:
        raise BadPayload("not_money", f"the amount {error}", path=path) from None


def _microseconds(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1)


_HANDLERS: dict[str, Callable[[Inbound], list[Happening]]] = {
    PING: _ping,
    "order.created": _order,
    "order.updated": _order,
    "order.deleted": _order_hint("deleted"),
    "order.restored": _order_hint("restored"),
    "customer.created": _customer,
    "customer.updated": _customer,
    "customer.deleted": _customer_deleted,
    "coupon.created": _coupon,
    "coupon.updated": _coupon,
    "coupon.restored": _coupon,
    "coupon.deleted": _coupon_deleted,
    "poll.sale": _polled_order,
    "poll.customer": _polled_customer,
    "fetch.sale": _fetched_sale,
    "fetch.refunds": _fetched_refunds,
    "fetch.customer": _fetched_customer,
    "fetch.code": _fetched_code,
    "fetch.product": _fetched_product,
}
