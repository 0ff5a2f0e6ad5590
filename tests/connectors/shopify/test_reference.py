"""Third-party samples, where they stand beside the checkout: real orders, and what Shopify documents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.shopify.connector import ShopifyConnector
from hub.canonical import Happening, Refund, Sale
from hub.errors import BadPayload
from hub.money import to_minor
from hub.transactions.merge import amounts
from tests.connectors.channel import message
from tests.connectors.wrecking import GARBAGE, paths, with_value, without

SAMPLES = Path(__file__).parents[4] / "shared" / "reference" / "shopify"

pytestmark = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="the third-party samples do not stand beside this checkout"
)

# By name; where the topic is not in the name.
TOPICS = {
    "customer_rest_usd": "customers/update",
    "docs_app_scopes_update": "app/scopes_update",
    "docs_app_uninstalled": "app/uninstalled",
    "docs_bulk_operation_finish": "bulk_operations/finish",
    "docs_compliance_customers_data_request": "customers/data_request",
    "docs_compliance_customers_redact": "customers/redact",
    "docs_compliance_shop_redact": "shop/redact",
    "docs_customer_create": "customers/create",
    "docs_customer_delete": "customers/delete",
    "docs_customer_merge": "customers/merge",
    "docs_customer_purchasing_summary": "customers/purchasing_summary",
    "docs_customer_update": "customers/update",
    "docs_discount_create": "discounts/create",
    "docs_discount_delete": "discounts/delete",
    "docs_discount_redeemcode_added": "discounts/redeemcode_added",
    "docs_discount_redeemcode_removed": "discounts/redeemcode_removed",
    "docs_discount_update": "discounts/update",
    "docs_order_cancelled": "orders/cancelled",
    "docs_order_create": "orders/create",
    "docs_order_delete": "orders/delete",
    "docs_order_edited": "orders/edited",
    "docs_order_paid": "orders/paid",
    "docs_order_transaction_create": "order_transactions/create",
    "docs_refund_create": "refunds/create",
    "docs_return_close": "returns/close",
    "transactions_rest_usd": "orders/transactions",
}

# Real, or adding up as real ones do: what still earns is what Shopify says remains. Those that carry
# current_subtotal_price are compared with it; two older ones state the number here.
PAID = {
    "order_create_code_and_shipping_hkd": None,
    "order_create_guest_automatic_discount_hkd": None,
    "order_create_guest_four_lines_hkd": None,
    "order_paid_fulfilled_usd": None,
    "order_paid_guest_eur": None,
    "order_paid_guest_many_tax_lines_usd": None,
    "order_paid_jpy_zero_decimal": None,
    "order_paid_manual_percentage_code_usd": None,
    "order_paid_pos_guest_usd": "16.00",
}

UNPAID = (
    "order_authorized_usd",
    "order_partially_paid_usd",
    "order_pending_usd",
    "order_legacy_2016_usd",
)


def topic_of(name: str) -> str:
    if name in TOPICS:
        return TOPICS[name]
    return "refunds/create" if name.startswith("refund_") else "orders/updated"


def sample(name: str) -> Any:
    return json.loads((SAMPLES / f"{name}.json").read_text(), parse_float=Decimal)


def understood(shopify: ShopifyConnector, name: str) -> Happening:
    inbound = message(topic_of(name), (SAMPLES / f"{name}.json").read_bytes())
    (found,) = shopify.normalise(inbound)
    return found


@pytest.mark.parametrize("name", sorted(PAID))
def test_what_earns_is_what_shopify_says_remains(shopify: ShopifyConnector, name: str) -> None:
    sale = understood(shopify, name)
    assert isinstance(sale, Sale)
    stated = PAID[name] or sample(name)["current_subtotal_price"]
    assert amounts(sale).eligible == to_minor(stated, sale.currency) > 0


@pytest.mark.parametrize("name", UNPAID)
def test_what_is_not_paid_earns_nothing(shopify: ShopifyConnector, name: str) -> None:
    sale = understood(shopify, name)
    assert isinstance(sale, Sale)
    assert amounts(sale).eligible == 0


@pytest.mark.parametrize(
    "name", ["order_cancelled_partially_refunded_usd", "order_cancelled_refunded_restocked_usd"]
)
def test_what_is_cancelled_earns_nothing_whatever_was_paid(shopify: ShopifyConnector, name: str) -> None:
    sale = understood(shopify, name)
    assert isinstance(sale, Sale)
    assert (sale.state, amounts(sale).eligible) == ("cancelled", 0)


def test_a_pos_refund_whose_sets_are_wrong_is_read_by_its_plain_values(
    shopify: ShopifyConnector,
) -> None:
    refund = understood(shopify, "refund_create_pos_full_usd")
    assert isinstance(refund, Refund)
    assert [(line.net, line.tax) for line in refund.lines] == [(600, 44), (1000, 76)]
    assert (refund.goods_money, [m.amount for m in refund.money]) == (1600, [1720])


def test_a_refund_of_shipping_alone_takes_no_goods_back(shopify: ShopifyConnector) -> None:
    refund = understood(shopify, "refund_shipping_only_usd")
    assert isinstance(refund, Refund)
    assert (refund.goods_money, [m.amount for m in refund.money]) == (0, [500])


def by_topic() -> dict[str, list[Path]]:
    """The samples of each topic, the smallest first; whole orders are read alike under each topic."""
    found: dict[str, list[Path]] = {}
    for path in sorted(SAMPLES.glob("*.json"), key=lambda p: p.stat().st_size):
        topic = topic_of(path.stem)
        whole = topic in {"orders/create", "orders/paid", "orders/cancelled"}
        found.setdefault("orders/updated" if whole else topic, []).append(path)
    return found


def one_of_each_field(samples: list[Path]) -> Iterator[tuple[Any, tuple[str | int, ...]]]:
    """Each field once, wherever it stands first; the second line of an order is read like the first."""
    seen = set()
    for path in samples:
        whole = sample(path.stem)
        for field in paths(whole):
            shape = tuple("*" if isinstance(step, int) else step for step in field)
            if shape not in seen:
                seen.add(shape)
                yield whole, field


def spoilt(whole: Any, field: tuple[str | int, ...]) -> Iterator[bytes]:
    yield json.dumps(without(whole, field), default=float).encode()
    for new in GARBAGE:
        yield json.dumps(with_value(whole, field, new), default=float).encode()


@pytest.mark.slow
@pytest.mark.parametrize("topic", sorted(by_topic()))
def test_spoilt_samples_end_as_a_result_or_bad_payload(shopify: ShopifyConnector, topic: str) -> None:
    answered, refused = 0, set()
    for whole, field in one_of_each_field(by_topic()[topic]):
        for body in spoilt(whole, field):
            try:
                answered += len(shopify.normalise(message(topic, body)))
            except BadPayload as error:
                refused.add(error.path)
    assert answered
    assert all(path.startswith("$") for path in refused)
