"""From the bytes of real stores to happenings."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.woocommerce.connector import WooCommerceConnector
from hub.canonical import (
    Code,
    Customer,
    Deleted,
    Happening,
    Ignored,
    LineKind,
    Product,
    Refund,
    RefundLine,
    Sale,
    SaleState,
    Thin,
)
from hub.connector import Inbound
from hub.errors import BadPayload, Misconfigured
from hub.money import MINOR_UNITS
from tests.connectors import goldens
from tests.connectors.channel import message
from tests.connectors.recorded import recorded
from tests.connectors.wrecking import paths, refusals, with_value

Deliveries = Mapping[str, Inbound]
REAL = Path(__file__).parents[4] / "shared" / "fixtures" / "woocommerce"
ASKED = {"Date": "Mon, 23 Nov 2026 03:00:00 GMT", "X-Hub-Lookup": "21", "X-Hub-Status": "200"}
AS_OF = datetime(2026, 11, 23, 3, 0, 0, tzinfo=UTC)


def sale_of(woo: WooCommerceConnector, inbound: Inbound) -> Sale:
    found = woo.normalise(inbound)[0]
    assert isinstance(found, Sale)
    return found


def order(deliveries: Deliveries, number: str = "017", **changes: Any) -> Inbound:
    """A recorded order with some fields changed."""
    body = {**json.loads(deliveries[number].body), **changes}
    return message("order.updated", json.dumps(body))


def one(
    woo: WooCommerceConnector, topic: str, body: Any, headers: Mapping[str, str] | None = None
) -> Happening:
    (found,) = woo.normalise(message(topic, json.dumps(body), headers))
    return found


# --- recorded deliveries -----------------------------------------------------------------------


def test_the_representative_set_gives_the_golden_answers(
    woo: WooCommerceConnector, deliveries: Deliveries
) -> None:
    found = {number: goldens.plain(woo.normalise(m)) for number, m in deliveries.items()}
    goldens.check(Path(__file__).parent / "goldens.json", found)


def test_what_the_buyer_paid_is_the_sum_of_what_was_read(
    woo: WooCommerceConnector, deliveries: Deliveries
) -> None:
    """Lines, fees and shipping with their tax are the order's total, to a unit for each rounding."""
    sums = {n: _difference(s) for n, m in deliveries.items() if (s := _sale_in(woo, m)) is not None}
    assert len(sums) > 35
    assert all(abs(off) <= 1 for off in sums.values()), sums


@pytest.mark.skipif(not REAL.is_dir(), reason="the full recording does not stand beside the checkout")
def test_all_recorded_deliveries_are_understood(woo: WooCommerceConnector) -> None:
    found = recorded(woo, REAL)
    assert len(found) >= 200
    assert len({woo.delivery_key(m) for m in found.values()}) == len(found)
    for name, inbound in found.items():
        woo.verify(inbound)
        happenings = woo.normalise(inbound)
        assert happenings, name
        sale = _sale_in(woo, inbound)
        if sale is not None:
            _agrees_with_plain_arithmetic(sale, json.loads(inbound.body), name)


def _agrees_with_plain_arithmetic(sale: Sale, body: Mapping[str, Any], name: str) -> None:
    digits = MINOR_UNITS[body["currency"]]

    def minor(text: str) -> int:
        return int(Decimal(text).scaleb(digits).quantize(Decimal(1), ROUND_HALF_UP))

    goods = sum(minor(item["total"]) for item in body["line_items"])
    goods += sum(minor(fee["total"]) for fee in body["fee_lines"] if fee["total"].startswith("-"))
    assert sum(line.net for line in sale.lines if line.kind is LineKind.GOODS) == goods, name
    assert sale.shipping == minor(body["shipping_total"]), name
    assert sale.total == minor(body["total"]), name
    back = [minor(r["total"].removeprefix("-")) for r in body["refunds"]]
    assert [r.money[0].amount for r in sale.refunds] == back, name


def _sale_in(woo: WooCommerceConnector, inbound: Inbound) -> Sale | None:
    found = woo.normalise(inbound)[0]
    return found if isinstance(found, Sale) else None


def _difference(sale: Sale) -> int:
    parts = sum(line.net + line.tax for line in sale.lines) + sale.shipping + sale.shipping_tax
    return parts - (sale.total or 0)


# --- states ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "paid", "state"),
    [
        ("checkout-draft", None, SaleState.DRAFT),
        ("auto-draft", None, SaleState.DRAFT),
        ("pending", None, SaleState.PENDING),
        ("on-hold", None, SaleState.PENDING),
        ("processing", None, SaleState.PENDING),
        ("processing", "2026-11-23T00:41:59", SaleState.PAID),
        ("completed", "2026-11-23T00:41:59", SaleState.FULFILLED),
        ("completed", None, SaleState.FULFILLED),
        ("cancelled", "2026-11-23T00:41:59", SaleState.CANCELLED),
        ("failed", None, SaleState.CANCELLED),
        ("trash", "2026-11-23T00:41:59", SaleState.CANCELLED),
        ("refunded", "2026-11-23T00:41:59", SaleState.REFUNDED),
        ("awaiting-shipment", "2026-11-23T00:41:59", SaleState.PAID),
        ("awaiting-shipment", None, SaleState.PENDING),
    ],
)
def test_a_status_is_paid_only_when_money_came(
    woo: WooCommerceConnector, deliveries: Deliveries, status: str, paid: str | None, state: SaleState
) -> None:
    sale = sale_of(woo, order(deliveries, status=status, date_paid_gmt=paid))
    assert sale.state is state
    assert bool(sale.payments) == (state in {SaleState.PAID, SaleState.FULFILLED, SaleState.REFUNDED})


def test_an_unfinished_block_checkout_is_a_draft_with_its_code(
    woo: WooCommerceConnector, deliveries: Deliveries
) -> None:
    sale = sale_of(woo, deliveries["090"])
    assert (sale.state, sale.codes) == (SaleState.DRAFT, ("lyl-q7f2-x9",))


def test_cash_on_delivery_is_not_paid_when_it_is_being_processed(
    woo: WooCommerceConnector, deliveries: Deliveries
) -> None:
    assert sale_of(woo, deliveries["188"]).state is SaleState.PENDING


@pytest.mark.parametrize(
    ("meta", "test"),
    [
        ([{"id": 1, "key": "_wcpay_mode", "value": "test"}], True),
        ([{"id": 1, "key": "_wcpay_mode", "value": "prod"}], False),
        ([{"id": 1, "key": "_ppcp_paypal_payment_mode", "value": "sandbox"}], True),
        ([{"id": 1, "key": "_wcpay_mode", "value": ["test"]}], False),
        ([{"key": None}, "x", None, {"key": ["a"]}], False),
        ({"a": 1}, False),
        (None, False),
    ],
)
def test_a_payment_in_test_mode_makes_a_test_sale(
    woo: WooCommerceConnector, deliveries: Deliveries, meta: Any, test: bool
) -> None:
    assert sale_of(woo, order(deliveries, meta_data=meta)).test is test


# --- money -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "currency", "goods", "total"),
    [
        ("115", "VND", 460000, 496800),  # printed with two decimals
        ("140", "JPY", 1500, 1500),
        ("142", "KWD", 3750, 3750),  # the shop lost the third decimal
        ("138", "EUR", 1234, 1234),
        ("136", "USD", 5080, 6096),  # prices include tax
    ],
)
def test_amounts_are_read_in_the_minor_units_of_their_currency(
    woo: WooCommerceConnector,
    deliveries: Deliveries,
    number: str,
    currency: str,
    goods: int,
    total: int,
) -> None:
    sale = sale_of(woo, deliveries[number])
    assert (sale.currency, sum(line.net for line in sale.lines), sale.total) == (currency, goods, total)


def test_each_line_is_rounded_half_up_once(woo: WooCommerceConnector, deliveries: Deliveries) -> None:
    line = json.loads(deliveries["115"].body)["line_items"][0]
    halves = [{**line, "id": n, "total": "217592.5", "total_tax": "0.4999"} for n in (1, 2)]
    sale = sale_of(woo, order(deliveries, "115", line_items=halves))
    assert [(line.net, line.tax) for line in sale.lines] == [(217593, 0), (217593, 0)]


def test_a_coupon_has_already_lowered_the_lines(
    woo: WooCommerceConnector, deliveries: Deliveries
) -> None:
    sale = sale_of(woo, deliveries["129"])
    assert [(line.net, line.tax, line.discounted) for line in sale.lines] == [(171296, 13704, True)]
    assert sale.codes == ("lyl-vn50k",)


def test_a_fee_is_no_goods(woo: WooCommerceConnector, deliveries: Deliveries) -> None:
    kinds = [(line.kind, line.net) for line in sale_of(woo, deliveries["029"]).lines]
    assert kinds == [(LineKind.GOODS, 4995), (LineKind.GOODS, 4500), (LineKind.FEE, 250)]


def test_a_negative_fee_is_a_discount_on_the_goods(
    woo: WooCommerceConnector, deliveries: Deliveries
) -> None:
    sale = sale_of(woo, deliveries["254"])
    assert [(line.kind, line.net, line.tax) for line in sale.lines] == [(LineKind.GOODS, 1350, 125)]
    assert sale.lines[0].discounted


def test_a_negative_fee_is_spread_to_the_last_cent(
    woo: WooCommerceConnector, deliveries: Deliveries
) -> None:
    line = json.loads(deliveries["017"].body)["line_items"][0]
    lines = [{**line, "id": n, "total": "10.00", "total_tax": "0.00"} for n in (1, 2, 3)]
    fees = [
        {"id": 8, "name": "Bag", "total": "0.50", "total_tax": "0.00"},
        {"id": 9, "name": "Thanks", "total": "-10.00", "total_tax": "-1.00"},
    ]
    sale = sale_of(woo, order(deliveries, line_items=lines, fee_lines=fees))
    assert [line.net for line in sale.lines] == [667, 666, 667, 50]
    assert sum(line.tax for line in sale.lines) == -100


def test_a_negative_fee_above_the_goods_stays_a_fee(
    woo: WooCommerceConnector, deliveries: Deliveries
) -> None:
    fees = [{"id": 9, "name": "Store credit", "total": "-500.00", "total_tax": "0.00"}]
    sale = sale_of(woo, order(deliveries, fee_lines=fees))
    assert [line.net for line in sale.lines] == [3700, 9900, -50000]
    assert sale.lines[-1].kind is LineKind.FEE


@pytest.mark.parametrize("key", ["wc_gc_giftcard_to_multiple", "pw_gift_card_amount"])
def test_a_gift_card_of_a_plugin_is_one(
    woo: WooCommerceConnector, deliveries: Deliveries, key: str
) -> None:
    line = json.loads(deliveries["017"].body)["line_items"][0]
    sale = sale_of(
        woo, order(deliveries, line_items=[{**line, "meta_data": [{"key": key, "value": "x"}]}])
    )
    assert sale.lines[0].kind is LineKind.GIFT_CARD


@pytest.mark.parametrize("amount", ["1e30", "NaN", "5,5", "abc", [], {}, True, "9" * 30])
def test_an_amount_that_is_none_names_its_path(
    woo: WooCommerceConnector, deliveries: Deliveries, amount: Any
) -> None:
    with pytest.raises(BadPayload) as caught:
        woo.normalise(order(deliveries, shipping_total=amount))
    assert caught.value.path == "$.shipping_total"


def test_an_unknown_currency_is_a_bad_payload(woo: WooCommerceConnector, deliveries: Deliveries) -> None:
    with pytest.raises(BadPayload) as caught:
        woo.normalise(order(deliveries, currency="BTC"))
    assert caught.value.path == "$.currency"


# --- people ------------------------------------------------------------------------------------


def test_texts_are_plain(woo: WooCommerceConnector, deliveries: Deliveries) -> None:
    sale = sale_of(woo, deliveries["020"])
    assert sale.lines[0].name == 'Decaf & "friends" 250g – Đặc biệt ☕'
    assert sale.customer is not None
    assert sale.customer.name == "Linh Trần"
    assert sale.customer.address["line1"] == "12 Lý Thường Kiệt"


def test_a_guest_has_no_customer_id_even_with_a_members_email(
    woo: WooCommerceConnector, deliveries: Deliveries
) -> None:
    customer = sale_of(woo, deliveries["052"]).customer
    assert customer is not None
    assert customer.external_id is None
    assert customer.emails == ("linh.tran@example.com",)


@pytest.mark.parametrize("nobody", [0, None])
def test_no_customer_id_is_a_guest(
    woo: WooCommerceConnector, deliveries: Deliveries, nobody: int | None
) -> None:
    customer = sale_of(woo, order(deliveries, "020", customer_id=nobody)).customer
    assert customer is not None
    assert customer.external_id is None


def test_nobody_is_named_by_a_name_alone(woo: WooCommerceConnector, deliveries: Deliveries) -> None:
    assert sale_of(woo, deliveries["063"]).customer is None


def test_the_receivers_phone_is_not_the_buyers(
    woo: WooCommerceConnector, deliveries: Deliveries
) -> None:
    body = json.loads(deliveries["017"].body)
    body["billing"]["phone"], body["shipping"]["phone"] = "", "0999 999 999"
    customer = sale_of(woo, message("order.updated", json.dumps(body))).customer
    assert customer is not None
    assert customer.phones == ()


def test_addresses_of_machines_are_not_kept(woo: WooCommerceConnector, deliveries: Deliveries) -> None:
    kept = repr([woo.normalise(m) for m in deliveries.values()])
    assert "127.0.0.1" not in kept
    assert "python-requests" not in kept
    assert "wc_order_" not in kept


def test_an_account_carries_both_its_addresses(
    woo: WooCommerceConnector, deliveries: Deliveries
) -> None:
    body = json.loads(deliveries["015"].body)
    body["billing"]["email"] = "other@example.com"
    found = one(woo, "customer.updated", body)
    assert isinstance(found, Customer)
    assert found.customer.emails == ("Linh.Tran@Example.com", "other@example.com")
    assert found.version == 1795394372000000


def test_one_email_typed_two_ways_is_one(woo: WooCommerceConnector, deliveries: Deliveries) -> None:
    body = json.loads(deliveries["015"].body)
    body["billing"]["email"] = "linh.tran@example.com"
    found = one(woo, "customer.updated", body)
    assert isinstance(found, Customer)
    assert found.customer.emails == ("Linh.Tran@Example.com",)


def test_staff_are_no_customers(woo: WooCommerceConnector, deliveries: Deliveries) -> None:
    assert woo.normalise(deliveries["223"]) == [Ignored("staff_account", "shop_manager")]


def test_a_deleted_account_is_gone_for_good(woo: WooCommerceConnector, deliveries: Deliveries) -> None:
    assert woo.normalise(deliveries["070"]) == [Deleted("customer", "3", final=True)]


# --- refunds -----------------------------------------------------------------------------------


def test_listed_refunds_are_positive_money_and_ask_for_their_lines(
    woo: WooCommerceConnector, deliveries: Deliveries
) -> None:
    sale, hint = woo.normalise(deliveries["035"])
    assert isinstance(sale, Sale)
    assert [(r.external_id, r.version, r.money[0].amount) for r in sale.refunds] == [
        ("23", 1, 300),
        ("22", 1, 2000),
    ]
    assert all(r.goods_money is None and r.as_of == sale.as_of for r in sale.refunds)
    assert hint == Thin("refunds", "21", "refund_without_lines")


@pytest.mark.parametrize("number", ["038", "043", "131"])
def test_a_full_refund_has_nothing_left_to_ask(
    woo: WooCommerceConnector, deliveries: Deliveries, number: str
) -> None:
    (sale,) = woo.normalise(deliveries[number])
    assert isinstance(sale, Sale)
    assert sale.state is SaleState.REFUNDED


def refund_document(**changes: Any) -> dict[str, Any]:
    """A refund as GET orders/21/refunds answers it: one of three bags, with its tax."""
    line = {
        "id": 31,
        "name": "House beans 1kg",
        "product_id": 11,
        "variation_id": 0,
        "quantity": -1,
        "total": "-16.65",
        "total_tax": "-1.54",
        "subtotal": "-16.65",
        "sku": "BEAN-1KG",
        "meta_data": [{"id": 1, "key": "_refunded_item_id", "value": "8"}],
    }
    return {
        "id": 22,
        "date_created": "2026-11-23T07:42:08",
        "date_created_gmt": "2026-11-23T00:42:08",
        "amount": "18.19",
        "reason": "damaged &amp; wet",
        "line_items": [line],
        "shipping_lines": [],
        "fee_lines": [],
        **changes,
    }


def refund(woo: WooCommerceConnector, currency: str = "USD", **changes: Any) -> Refund:
    headers = {**ASKED, "X-Hub-Currency": currency}
    found = one(woo, "fetch.refunds", [refund_document(**changes)], headers)
    assert isinstance(found, Refund)
    return found


def test_a_refund_document_tells_lines_and_the_money_for_goods(woo: WooCommerceConnector) -> None:
    found = refund(woo)
    assert (found.external_id, found.sale_external_id, found.version) == ("22", "21", 2)
    assert found.as_of == AS_OF
    assert found.lines == (RefundLine("8", Decimal(1), 1665, 154),)
    assert (found.money[0].amount, found.goods_money, found.reason) == (1819, 1665, "damaged & wet")


def test_a_part_of_a_price_is_a_line_without_quantity(woo: WooCommerceConnector) -> None:
    line = {**refund_document()["line_items"][0], "quantity": 0, "total": "-5.00", "total_tax": "0.00"}
    found = refund(woo, amount="5.00", line_items=[line])
    assert found.lines == (RefundLine("8", Decimal(0), 500, 0),)
    assert found.goods_money == 500


def test_an_amount_typed_freely_is_left_to_the_fold(woo: WooCommerceConnector) -> None:
    assert refund(woo, amount="20.00").goods_money is None
    assert refund(woo, amount="3.00", line_items=[]).goods_money is None


def test_shipping_and_fees_given_back_are_no_goods(woo: WooCommerceConnector) -> None:
    shipping = [{"id": 1, "total": "-5.00", "total_tax": "-0.46"}]
    fees = [{"id": 2, "name": "Gift wrap", "total": "-2.50", "total_tax": "-0.23"}]
    found = refund(woo, amount="26.38", shipping_lines=shipping, fee_lines=fees)
    assert found.goods_money == 1665


def test_a_discount_given_as_a_fee_comes_back_with_the_goods(woo: WooCommerceConnector) -> None:
    """Goods of 18.50 less a fee of -5.00: 13.50 was paid for them, and 13.50 comes back."""
    line = {**refund_document()["line_items"][0], "total": "-18.50", "total_tax": "-1.71"}
    fees = [{"id": 2, "name": "Loyalty discount", "total": "5.00", "total_tax": "0.46"}]
    assert refund(woo, amount="14.75", line_items=[line], fee_lines=fees).goods_money == 1350


def test_a_line_that_does_not_say_what_came_back_still_counts_as_money(
    woo: WooCommerceConnector,
) -> None:
    line = {**refund_document()["line_items"][0], "meta_data": []}
    found = refund(woo, line_items=[line])
    assert found.lines == ()
    assert found.goods_money == 1665


def test_refunds_without_their_currency_are_a_bad_payload(woo: WooCommerceConnector) -> None:
    with pytest.raises(BadPayload):
        refund(woo, currency="")


# --- hints, deletions, codes -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("051", Thin("sale", "28", "deleted")),
        ("019", Thin("sale", "17", "woocommerce_order_status_completed")),
        ("034", Thin("refunds", "21", "woocommerce_order_refunded")),
        ("033", Ignored("told_by_order", "refund 22")),
        ("267", Thin("code", "217", "deleted")),
        ("001", Ignored("ping")),
    ],
)
def test_what_tells_no_state_asks_for_it(
    woo: WooCommerceConnector, deliveries: Deliveries, number: str, expected: Happening
) -> None:
    assert woo.normalise(deliveries[number]) == [expected]


def test_a_restored_order_is_read_anew(woo: WooCommerceConnector, deliveries: Deliveries) -> None:
    body = json.loads(deliveries["017"].body)
    assert one(woo, "order.restored", body) == Thin("sale", "17", "restored")


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("product.updated", "unused_topic"),
        ("shipment.created", "unknown_topic"),
        ("action.wc_something", "unknown_topic"),
        ("", "unknown_topic"),
    ],
)
def test_other_topics_are_ignored_with_a_reason(
    woo: WooCommerceConnector, topic: str, reason: str
) -> None:
    found = one(woo, topic, {"id": 1})
    assert isinstance(found, Ignored)
    assert found.reason == reason


def test_a_fetched_order_is_true_at_the_moment_of_the_answer(
    woo: WooCommerceConnector, deliveries: Deliveries
) -> None:
    (sale,) = woo.normalise(message("fetch.sale", deliveries["035"].body, ASKED))
    assert isinstance(sale, Sale)
    assert sale.as_of == AS_OF
    assert sale.version == sale_of(woo, deliveries["035"]).version


def test_an_order_that_is_not_found_is_gone_but_not_for_ever(woo: WooCommerceConnector) -> None:
    gone = {**ASKED, "X-Hub-Status": "404"}
    body = {"code": "woocommerce_rest_shop_order_invalid_id", "message": "Invalid ID."}
    assert one(woo, "fetch.sale", body, gone) == Deleted("sale", "21", final=False, as_of=AS_OF)
    assert one(woo, "fetch.customer", body, gone) == Deleted("customer", "21", final=True, as_of=AS_OF)
    assert one(woo, "fetch.code", body, gone) == Code(None, "21", "deleted", active=False, as_of=AS_OF)


def test_a_trashed_order_is_cancelled(woo: WooCommerceConnector, deliveries: Deliveries) -> None:
    body = {**json.loads(deliveries["017"].body), "status": "trash"}
    found = one(woo, "fetch.sale", body, ASKED)
    assert isinstance(found, Sale)
    assert found.state is SaleState.CANCELLED


@pytest.mark.parametrize(
    ("changes", "active", "change"),
    [
        ({}, True, "updated"),
        ({"usage_limit": 1, "usage_count": 1}, False, "updated"),
        ({"usage_limit": 2, "usage_count": 1}, True, "updated"),
        ({"status": "draft"}, False, "updated"),
        ({"status": "trash"}, False, "deleted"),
    ],
)
def test_a_code_is_active_while_it_can_be_used(
    woo: WooCommerceConnector,
    deliveries: Deliveries,
    changes: dict[str, Any],
    active: bool,
    change: str,
) -> None:
    found = one(woo, "coupon.updated", {**json.loads(deliveries["027"].body), **changes})
    assert isinstance(found, Code)
    assert (found.code, found.active, found.change) == ("welcome10", active, change)


def test_a_product_tells_its_categories(woo: WooCommerceConnector) -> None:
    tea = {"id": 12, "sku": "TEA", "categories": [{"id": 1, "name": "Tea &amp; more"}], "tags": []}
    found = one(woo, "fetch.product", [tea], {**ASKED, "X-Hub-Lookup": "12"})
    assert found == Product("12", "TEA", ("Tea & more",))


def test_a_deleted_product_has_no_category_and_nobody_waits_for_one(woo: WooCommerceConnector) -> None:
    assert one(woo, "fetch.product", [], ASKED) == Product("21", None, ())


# --- errors the shop signs ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "topic", ["order.updated", "order.restored", "customer.updated", "coupon.created"]
)
@pytest.mark.parametrize("status", [401, 403])
def test_an_owner_who_lost_his_rights_is_the_merchants_move(
    woo: WooCommerceConnector, topic: str, status: int
) -> None:
    body = {
        "code": "woocommerce_rest_cannot_view",
        "message": "Sorry, you cannot view this resource.",
        "data": {"status": status},
    }
    with pytest.raises(Misconfigured) as caught:
        one(woo, topic, body)
    assert caught.value.code == "webhook_owner_lost_rights"


def test_an_order_deleted_before_its_delivery_is_ignored(woo: WooCommerceConnector) -> None:
    body = {
        "code": "woocommerce_rest_shop_order_invalid_id",
        "message": "Invalid ID.",
        "data": {"status": 404},
    }
    found = one(woo, "order.updated", body)
    assert isinstance(found, Ignored)
    assert found.reason == "gone_before_delivery"


def test_any_other_error_of_the_shop_is_a_bad_payload(woo: WooCommerceConnector) -> None:
    with pytest.raises(BadPayload) as caught:
        one(
            woo,
            "order.updated",
            {"code": "rest_no_route", "message": "No route", "data": {"status": 404}},
        )
    assert caught.value.code == "shop_error"


# --- wrecked messages --------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["017", "029", "032", "015", "028", "051", "034"])
def test_a_wrecked_field_ends_as_a_result_or_a_bad_payload(
    woo: WooCommerceConnector, deliveries: Deliveries, number: str
) -> None:
    recorded_one = deliveries[number]
    refused = refusals(_reader(woo, recorded_one), recorded_one.body)
    assert refused
    assert all(path.startswith("$") for path in refused.values()), refused


def test_wrecked_answers_end_as_a_result_or_a_bad_payload(woo: WooCommerceConnector) -> None:
    headers = {**ASKED, "X-Hub-Currency": "USD"}
    product = [{"id": 12, "sku": "TEA", "categories": [{"name": "Tea"}], "tags": [{"name": "hot"}]}]
    for topic, whole in (("fetch.refunds", [refund_document()]), ("fetch.product", product)):
        asked = message(topic, json.dumps(whole), headers)
        refused = refusals(_reader(woo, asked), asked.body)
        assert refused
        assert all(path.startswith("$") for path in refused.values()), refused


def _reader(woo: WooCommerceConnector, inbound: Inbound) -> Callable[[bytes], object]:
    return lambda body: woo.normalise(replace(inbound, body=body))


READ = {
    *("id", "number", "status", "currency", "date_created_gmt", "date_modified_gmt", "date_paid_gmt"),
    *("total", "shipping_total", "shipping_tax", "customer_id", "billing", "payment_method"),
    *("created_via", "meta_data", "line_items", "fee_lines", "coupon_lines", "refunds"),
}


def test_a_field_that_is_not_read_changes_nothing(
    woo: WooCommerceConnector, deliveries: Deliveries
) -> None:
    whole = json.loads(deliveries["029"].body)
    wanted = woo.normalise(deliveries["029"])
    unread = [path for path in paths(whole) if path[0] not in READ]
    unread += [("line_items", 0, "price"), ("line_items", 1, "taxes"), ("coupon_lines", 0, "discount")]
    assert len(unread) > 60
    for path in unread:
        changed = json.dumps(with_value(whole, path, {"other": [1]}))
        assert woo.normalise(message("order.created", changed)) == wanted, path


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"x"', b"{", b"\xff", b"[" * 100_000, b"NaN"])
@pytest.mark.parametrize("topic", ["order.updated", "customer.created", "coupon.deleted", "fetch.sale"])
def test_a_body_that_is_no_object_is_a_bad_payload(
    woo: WooCommerceConnector, topic: str, body: bytes
) -> None:
    with pytest.raises(BadPayload):
        woo.normalise(message(topic, body, ASKED))
