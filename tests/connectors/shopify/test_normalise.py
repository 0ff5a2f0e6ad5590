"""From Shopify's bytes to happenings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.shopify.connector import ShopifyConnector
from hub.canonical import (
    Code,
    Customer,
    CustomerMerged,
    Deleted,
    Happening,
    Ignored,
    Line,
    LineKind,
    Origin,
    Payment,
    Place,
    Refund,
    RefundMoney,
    Sale,
    SaleState,
    Thin,
)
from hub.connector import Inbound
from hub.errors import BadPayload
from hub.transactions.merge import amounts
from tests.connectors import goldens
from tests.connectors.channel import message
from tests.connectors.wrecking import paths, with_value, without, wrecks
from tests.pace import paced

Deliveries = Mapping[str, Inbound]


def sale_of(shopify: ShopifyConnector, inbound: Inbound) -> Sale:
    (found,) = shopify.normalise(inbound)
    assert isinstance(found, Sale)
    return found


def refund_of(shopify: ShopifyConnector, inbound: Inbound) -> Refund:
    (found,) = shopify.normalise(inbound)
    assert isinstance(found, Refund)
    return found


def one(shopify: ShopifyConnector, topic: str, body: Any, **headers: str) -> Happening:
    (found,) = shopify.normalise(message(topic, json.dumps(body), headers))
    return found


def body_of(deliveries: Deliveries, name: str = "orders-create-paid") -> Any:
    return json.loads(deliveries[name].body)


def changed(deliveries: Deliveries, name: str = "orders-create-paid", **fields: Any) -> Inbound:
    return message("orders/updated", json.dumps({**body_of(deliveries, name), **fields}))


def nets(sale: Sale) -> list[int]:
    return [line.net for line in sale.lines]


# --- recorded messages -------------------------------------------------------------------------


def test_recorded_messages_give_what_they_gave(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    found = {name: goldens.plain(shopify.normalise(inbound)) for name, inbound in deliveries.items()}
    goldens.check(Path(__file__).with_name("goldens.json"), found)


WRECKED = (
    "orders-updated-partly-refunded",
    "refunds-create-pending",
    "customers-update",
    "customers-merge",
    "orders-edited",
    "discounts-redeemcode-removed",
    "app-uninstalled",
    "customers-redact",
)


@pytest.mark.parametrize("name", WRECKED)
def test_whatever_is_done_to_a_field_there_is_an_answer_or_bad_payload(
    shopify: ShopifyConnector, deliveries: Deliveries, name: str
) -> None:
    inbound, answered, refused = deliveries[name], 0, set()
    for _, body in wrecks(lean(inbound.body)):
        try:
            answered += len(shopify.normalise(message(inbound.topic, body)))
        except BadPayload as error:
            refused.add(error.path)
    assert answered > paced(3, 10)
    assert refused
    assert all(path.startswith("$") for path in refused)


def lean(body: bytes) -> bytes:
    """An order with one line and without most of what nobody reads, to be wrecked in good time."""
    whole = json.loads(body)
    for key in ("client_details", "shipping_address", "returns", "payment_terms", "fulfillments"):
        whole.pop(key, None)
    for key in [k for k in whole if k.startswith("current_") or k.endswith("_set")]:
        del whole[key]
    for refund in (whole, *whole.get("refunds", ())):
        del refund.get("refund_line_items", [])[1:]
        for line in refund.get("refund_line_items", ()):
            line["line_item"] = {"id": line["line_item_id"], "quantity": 3, "price": "1"}
    del whole.get("line_items", [])[1:]
    return json.dumps(whole).encode()


def test_a_field_that_is_not_read_changes_nothing(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    inbound = deliveries["orders-updated-partly-refunded"]
    whole, expected = json.loads(inbound.body), shopify.normalise(inbound)
    unread = {"browser_ip", "client_details", "token", "note_attributes", "fulfillments", "total_weight"}
    tried = [path for path in paths(whole) if path[0] in unread]
    assert len(tried) > len(unread)
    for path in tried:
        body = json.dumps(with_value(whole, path, "garbage"))
        assert shopify.normalise(message(inbound.topic, body, inbound.headers)) == expected, path


@pytest.mark.parametrize("key", ["updated_at", "created_at", "currency", "line_items", "refunds"])
def test_a_payload_that_lacks_a_part_of_the_sale_is_thin_not_half_a_sale(
    shopify: ShopifyConnector, deliveries: Deliveries, key: str
) -> None:
    body = without(body_of(deliveries), (key,))
    found = one(shopify, "orders/updated", body)
    assert found == Thin("sale", "6200360501551", f"partial_payload: no {key}")


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (("line_items", 1, "price_set", "shop_money"), 5, "$.line_items[1].price"),
        (("line_items", 0, "quantity"), -1, "$.line_items[0].quantity"),
        (("updated_at",), "yesterday", "$.updated_at"),
        (("currency",), "EURO", "$.currency"),
        (("shipping_lines", 0, "price"), "free", "$.shipping_lines[0].price"),
    ],
)
def test_bad_payload_names_the_path(
    shopify: ShopifyConnector,
    deliveries: Deliveries,
    path: tuple[str | int, ...],
    value: Any,
    where: str,
) -> None:
    body = with_value(body_of(deliveries), path, value)
    with pytest.raises(BadPayload) as refused:
        one(shopify, "orders/updated", body)
    assert refused.value.path == where


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff\xfe", b'{"id": 1e999}'])
def test_what_is_no_json_object_is_bad_payload(shopify: ShopifyConnector, body: bytes) -> None:
    with pytest.raises(BadPayload):
        shopify.normalise(message("orders/paid", body))


@pytest.mark.parametrize("topic", ["carts/update", "", "fetch.weather", "orders/PAID"])
def test_an_unknown_topic_is_ignored_whatever_it_carries(shopify: ShopifyConnector, topic: str) -> None:
    assert shopify.normalise(message(topic, b"\xff")) == [Ignored("unknown_topic", topic)]


# --- orders ------------------------------------------------------------------------------------


def test_create_paid_and_updated_say_the_same(shopify: ShopifyConnector, deliveries: Deliveries) -> None:
    created, paid = (sale_of(shopify, deliveries[n]) for n in ("orders-create-paid", "orders-paid"))
    assert created.lines == paid.lines
    assert (created.version, created.as_of) == (paid.version, paid.as_of)
    assert created.paid_at is None
    assert paid.paid_at == paid.as_of


def test_version_is_updated_at_and_as_of_is_when_it_was_triggered(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    sale = sale_of(shopify, deliveries["orders-paid"])
    assert sale.version == 1_793_672_107_000_000
    assert sale.as_of == datetime(2026, 11, 3, 2, 15, 7, 481516, tzinfo=UTC)
    undated = sale_of(shopify, changed(deliveries))
    assert undated.as_of == datetime(2026, 11, 3, 2, 15, 7, tzinfo=UTC)


def test_money_is_minor_units_without_tax(shopify: ShopifyConnector, deliveries: Deliveries) -> None:
    sale = sale_of(shopify, deliveries["orders-paid"])
    assert [(line.net, line.tax) for line in sale.lines] == [(3720, 298), (999, 80)]
    assert (sale.shipping, sale.total) == (500, 5597)


def test_tax_inside_the_prices_is_taken_off(shopify: ShopifyConnector, deliveries: Deliveries) -> None:
    sale = sale_of(shopify, deliveries["orders-create-taxes-included"])
    assert [(line.net, line.tax) for line in sale.lines] == [(3100, 620), (832, 167)]


def test_tax_inside_the_prices_that_only_the_total_names_is_spread(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    body = body_of(deliveries, "orders-create-taxes-included")
    for line in body["line_items"]:
        del line["tax_lines"]
    sale = sale_of(shopify, message("orders/updated", json.dumps(body)))
    assert sum(line.tax for line in sale.lines) == 787
    assert sum(nets(sale)) == 4719 - 787


def test_dong_have_no_minor_unit(shopify: ShopifyConnector, deliveries: Deliveries) -> None:
    sale = sale_of(shopify, deliveries["orders-create-vnd"])
    assert (sale.currency, nets(sale), sale.shipping) == ("VND", [99360, 105000], 15000)


def test_a_code_is_spread_over_the_lines(shopify: ShopifyConnector, deliveries: Deliveries) -> None:
    sale = sale_of(shopify, deliveries["orders-create-with-code"])
    assert sale.codes == ("LOY-7QXM2K",)
    assert sum(nets(sale)) == 4719 - 1000
    assert all(line.discounted for line in sale.lines)


def test_a_discount_on_shipping_leaves_the_goods_alone(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    sale = sale_of(shopify, deliveries["orders-create-guest-free-shipping"])
    assert (sale.shipping, sum(nets(sale))) == (0, 4719)


def test_a_payload_without_allocations_takes_the_discount_from_the_subtotal(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    sale = sale_of(shopify, deliveries["orders-updated-old-payload"])
    assert nets(sale) == [3326, 893]
    assert sum(nets(sale)) == 4219


def test_a_set_that_contradicts_the_plain_value_is_an_old_mistake(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    body = body_of(deliveries, "orders-updated-partly-refunded")
    line = body["refunds"][0]["refund_line_items"][0]
    for half in ("shop_money", "presentment_money"):
        line["subtotal_set"][half] = {"amount": "12.40", "currency_code": "XXX"}
        line["total_tax_set"][half] = {"amount": "0.99", "currency_code": "USD"}
    (refund,) = sale_of(shopify, message("orders/updated", json.dumps(body))).refunds
    assert (refund.lines[0].net, refund.lines[0].tax) == (2480, 199)


def test_amounts_are_the_shops_not_the_buyers(shopify: ShopifyConnector, deliveries: Deliveries) -> None:
    sale = sale_of(shopify, deliveries["orders-updated-two-currencies"])
    assert (sale.currency, nets(sale)) == ("CAD", [3720, 999])
    (refund,) = sale.refunds
    # 9.65 USD were paid back for 13.02 CAD
    assert refund.money == (RefundMoney("pending", 1302, "CAD"),)
    assert refund.goods_money == 1240


def test_a_refund_document_in_two_currencies_converts_by_its_own_sets(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    refund = refund_of(shopify, deliveries["refunds-create-two-currencies"])
    assert refund.money == (RefundMoney("pending", 1302, "CAD"),)
    assert refund.goods_money == 1240


def test_what_nothing_converts_stays_in_its_currency(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    body = body_of(deliveries, "orders-updated-goodwill")
    body["refunds"][0]["transactions"][0] |= {"currency": "EUR", "amount": "3.70"}
    (refund,) = sale_of(shopify, message("orders/updated", json.dumps(body))).refunds
    assert refund.money == (RefundMoney("success", 370, "EUR"),)


def test_gift_cards_tips_duties_and_fees_are_no_goods(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    pos = sale_of(shopify, deliveries["orders-create-pos-tip-gift-card"])
    kinds = [line.kind for line in pos.lines]
    assert kinds == [LineKind.GOODS, LineKind.GOODS, LineKind.TIP, LineKind.GIFT_CARD]
    assert amounts(pos).eligible == 4719
    imported = sale_of(shopify, deliveries["orders-create-duties-and-fees"])
    fees = {line.key: line.net for line in imported.lines if line.kind is LineKind.FEE}
    assert fees == {"duties": 700, "additional_fees": 150}
    assert amounts(imported).eligible == 4719


def test_a_tip_without_a_mark_is_known_by_its_worth(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    body = body_of(deliveries, "orders-create-pos-tip-gift-card")
    for line in body["line_items"]:
        for key in ("tip", "tip_payment_gateway", "tip_payment_method"):
            line.pop(key, None)
    sale = sale_of(shopify, message("orders/updated", json.dumps(body)))
    assert [line.name for line in sale.lines if line.kind is LineKind.TIP] == ["Tip"]
    custom = {**body["line_items"][2], "id": 1, "name": "Gift wrap"}
    body["line_items"].insert(0, custom)
    sale = sale_of(shopify, message("orders/updated", json.dumps(body)))
    assert [line.name for line in sale.lines if line.kind is LineKind.TIP] == ["Tip"]
    body["total_tip_received"] = "0.00"
    sale = sale_of(shopify, message("orders/updated", json.dumps(body)))
    assert LineKind.TIP not in {line.kind for line in sale.lines}


def test_a_line_of_no_pieces_is_no_line(shopify: ShopifyConnector, deliveries: Deliveries) -> None:
    body = with_value(body_of(deliveries), ("line_items", 0, "quantity"), 0)
    sale = sale_of(shopify, message("orders/updated", json.dumps(body)))
    assert [line.name for line in sale.lines] == ["Cup"]


def test_an_edit_changes_the_current_quantity_alone(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    sale = sale_of(shopify, deliveries["orders-updated-edited"])
    tea = sale.lines[0]
    assert (tea.quantity, tea.current_quantity, tea.net) == (Decimal(3), Decimal(1), 3720)
    assert amounts(sale).eligible == 1240 + 999


@pytest.mark.parametrize(
    ("status", "fulfilment", "state"),
    [
        ("pending", None, SaleState.PENDING),
        ("authorized", None, SaleState.PENDING),
        ("partially_paid", None, SaleState.PENDING),
        ("expired", None, SaleState.PENDING),
        ("paid", None, SaleState.PAID),
        ("paid", "partial", SaleState.PAID),
        ("paid", "fulfilled", SaleState.FULFILLED),
        ("partially_refunded", "fulfilled", SaleState.FULFILLED),
        ("refunded", "fulfilled", SaleState.REFUNDED),
        ("voided", None, SaleState.CANCELLED),
        ("a new status of 2027", None, SaleState.PENDING),
        (None, None, SaleState.PENDING),
    ],
)
def test_financial_and_fulfilment_status_give_the_state(
    shopify: ShopifyConnector,
    deliveries: Deliveries,
    status: str | None,
    fulfilment: str | None,
    state: SaleState,
) -> None:
    inbound = changed(deliveries, financial_status=status, fulfillment_status=fulfilment)
    assert sale_of(shopify, inbound).state is state


def test_cancelled_at_outranks_any_status(shopify: ShopifyConnector, deliveries: Deliveries) -> None:
    inbound = changed(deliveries, financial_status="paid", cancelled_at="2026-11-03T10:00:00+07:00")
    sale = sale_of(shopify, inbound)
    assert sale.state is SaleState.CANCELLED
    assert sale.cancelled_at == datetime(2026, 11, 3, 3, 0, tzinfo=UTC)


def test_a_test_order_is_a_sale_marked_as_such(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    assert sale_of(shopify, deliveries["orders-create-test"]).test


def test_an_imported_order_is_placed_when_it_was_processed(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    imported = changed(deliveries, processed_at="2019-01-02T03:04:05Z")
    assert sale_of(shopify, imported).placed_at == datetime(2019, 1, 2, 3, 4, 5, tzinfo=UTC)
    unprocessed = changed(deliveries, processed_at=None)
    assert sale_of(shopify, unprocessed).placed_at == datetime(2026, 11, 3, 2, 15, 7, tzinfo=UTC)


def test_a_pos_sale_names_place_till_and_staff(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    sale = sale_of(shopify, deliveries["orders-create-pos-tip-gift-card"])
    assert sale.place == Place("103709376812", "1", "116651032876", "pos")
    assert sale.customer is None
    assert sale.origin is None
    assert sale.payments == (Payment("money", 7519, "USD", "cash"),)


def test_a_sale_that_another_system_synced_names_its_origin(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    sale = sale_of(shopify, deliveries["orders-create-synced-from-a-till"])
    assert sale.origin == Origin("kiotviet", "HD004711")


@pytest.mark.parametrize("source", ["755357713", "web", "shopify_draft_order", None, ""])
def test_shopify_itself_and_app_numbers_are_no_origin(
    shopify: ShopifyConnector, deliveries: Deliveries, source: str | None
) -> None:
    inbound = changed(deliveries, source_name=source, source_identifier="fhwdgads")
    assert sale_of(shopify, inbound).origin is None


@pytest.mark.parametrize(
    ("gateways", "payments"),
    [
        (["gift_card"], [Payment("gift_card", 5597, "USD", "gift_card")]),
        (["shopify_store_credit"], [Payment("store_credit", 5597, "USD", "shopify_store_credit")]),
        (["gift_card", "shopify_payments"], []),
        ([], []),
    ],
)
def test_payments_are_told_where_there_is_one_gateway(
    shopify: ShopifyConnector, deliveries: Deliveries, gateways: list[str], payments: list[Payment]
) -> None:
    inbound = changed(deliveries, payment_gateway_names=gateways)
    assert list(sale_of(shopify, inbound).payments) == payments


def test_ids_beyond_53_bits_stay_whole(shopify: ShopifyConnector, deliveries: Deliveries) -> None:
    sale = sale_of(shopify, changed(deliveries, id=9_007_199_254_740_993_123))
    assert sale.external_id == "9007199254740993123"


# --- refunds -----------------------------------------------------------------------------------


def test_a_pending_refund_is_worth_its_lines_not_its_fake_discrepancy(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    body = body_of(deliveries, "refunds-create-pending")
    assert body["order_adjustments"][0]["amount"] == "55.97"  # all of it, as Shopify sends it
    refund = refund_of(shopify, deliveries["refunds-create-pending"])
    assert refund.money == (RefundMoney("pending", 5597, "USD"),)
    assert refund.goods_money == 4719


def test_settling_a_refund_changes_its_version_and_nothing_it_is_worth(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    pending, settled = (
        sale_of(shopify, deliveries[f"orders-updated-refund-{state}"]).refunds[0]
        for state in ("pending", "settled")
    )
    assert (pending.external_id, pending.goods_money) == (settled.external_id, settled.goods_money)
    assert [m.status for m in (*pending.money, *settled.money)] == ["pending", "success"]
    assert settled.version > pending.version


def test_goodwill_counts_against_goods_and_a_restocking_fee_does_not(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    assert refund_of(shopify, deliveries["refunds-create-goodwill"]).goods_money == 400
    body = body_of(deliveries, "refunds-create-lines")
    body["transactions"][0]["amount"] = "20.00"  # 26.79 were due
    body["order_adjustments"] = [
        {
            "kind": "refund_discrepancy",
            "reason": "Refund discrepancy",
            "amount": "6.79",
            "tax_amount": "0.00",
        }
    ]
    refund = one(shopify, "refunds/create", body)
    assert isinstance(refund, Refund)
    assert refund.goods_money == 2480


def test_goodwill_that_is_pending_is_read_off_the_money(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    body = body_of(deliveries, "refunds-create-goodwill")
    body["transactions"][0]["status"] = "pending"
    body["order_adjustments"] = []
    refund = one(shopify, "refunds/create", body)
    assert isinstance(refund, Refund)
    assert refund.goods_money == 400


def test_shipping_paid_back_is_no_goodwill_in_either_form(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    body = body_of(deliveries, "refunds-create-pending")
    for transaction in body["transactions"]:
        transaction["status"] = "success"
    body["order_adjustments"] = []
    new = one(shopify, "refunds/create", body)
    old = {
        "kind": "shipping_refund",
        "reason": "Shipping refund",
        "amount": "-5.00",
        "tax_amount": "0.00",
    }
    both = one(shopify, "refunds/create", {**body, "order_adjustments": [old]})
    only_old = one(
        shopify, "refunds/create", {**body, "order_adjustments": [old], "refund_shipping_lines": None}
    )
    assert isinstance(new, Refund)
    assert new.goods_money == 4719
    assert new == both == only_old


def test_a_failed_refund_brings_no_money_back(shopify: ShopifyConnector, deliveries: Deliveries) -> None:
    body = body_of(deliveries, "refunds-create-goodwill")
    body["transactions"][0]["status"] = "failure"
    body["order_adjustments"] = []
    refund = one(shopify, "refunds/create", body)
    assert isinstance(refund, Refund)
    assert (refund.money, refund.goods_money) == ((RefundMoney("failed", 400, "USD"),), 0)


def test_authorisations_and_voids_are_no_money_back(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    body = body_of(deliveries, "refunds-create-lines")
    body["transactions"][0]["kind"] = "void"
    refund = one(shopify, "refunds/create", body)
    assert isinstance(refund, Refund)
    assert refund.money == ()


def test_tax_inside_the_subtotal_of_a_refund_line_is_found_by_the_sum(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    inside = refund_of(shopify, deliveries["refunds-create-taxes-included"])
    assert (inside.lines[0].net, inside.lines[0].tax) == (1033, 207)
    outside = refund_of(shopify, deliveries["refunds-create-lines"])
    assert (outside.lines[0].net, outside.lines[0].tax) == (2480, 199)


def test_a_gift_card_given_back_takes_no_goods_away(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    body = body_of(deliveries, "refunds-create-lines")
    body["refund_line_items"][0]["line_item"]["gift_card"] = True
    refund = one(shopify, "refunds/create", body)
    assert isinstance(refund, Refund)
    assert (refund.lines[0].kind, refund.goods_money) == (LineKind.GIFT_CARD, 0)


def test_a_document_and_the_sales_own_list_tell_the_same_refund(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    document = refund_of(shopify, deliveries["refunds-create-lines"])
    (listed,) = sale_of(shopify, deliveries["orders-updated-partly-refunded"]).refunds
    assert (document.external_id, document.sale_external_id) == (
        listed.external_id,
        listed.sale_external_id,
    )
    assert (document.lines, document.money) == (listed.lines, listed.money)
    assert document.goods_money == listed.goods_money
    assert document.version <= listed.version


@pytest.mark.parametrize(
    ("name", "eligible"),
    [
        ("orders-create-paid", 4719),
        ("orders-updated-partly-refunded", 4719 - 2480),
        ("orders-updated-goodwill", 3719 - 400),
        ("orders-updated-refund-pending", 0),
        ("orders-updated-refund-settled", 0),
        ("orders-updated-taxes-included", 3932 - 1033),
        ("orders-updated-two-currencies", 4719 - 1240),
        ("orders-cancelled", 0),
        ("orders-create-pending", 0),
        ("orders-create-test", 0),
    ],
)
def test_what_remains_and_earns(
    shopify: ShopifyConnector, deliveries: Deliveries, name: str, eligible: int
) -> None:
    assert amounts(sale_of(shopify, deliveries[name])).eligible == eligible


def test_a_refund_without_its_order_is_bad_payload(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    body = without(body_of(deliveries, "refunds-create-lines"), ("order_id",))
    with pytest.raises(BadPayload) as refused:
        one(shopify, "refunds/create", body)
    assert refused.value.path == "$.order_id"


# --- people ------------------------------------------------------------------------------------


def test_the_buyer_has_what_was_typed_and_what_the_record_says(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    buyer = sale_of(shopify, deliveries["orders-paid"]).customer
    assert buyer is not None
    assert (buyer.external_id, buyer.name) == ("6200360403244", "Ann Lee")
    assert (buyer.phones, buyer.emails) == (("+84 90 123 4567",), ("Ann@Example.com",))
    assert (buyer.country, buyer.locale) == ("VN", "en")


def test_the_receiver_of_the_parcel_is_not_the_buyer(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    buyer = sale_of(shopify, deliveries["orders-create-guest-free-shipping"]).customer
    assert buyer is not None
    assert (buyer.external_id, buyer.phones) == (None, ("+84912345678",))
    assert [(c.what, c.given) for c in buyer.consents] == [("email_marketing", True)]


@pytest.mark.parametrize("customer", [None, "absent", {"id": None}])
def test_an_order_without_a_customer_is_a_guests(
    shopify: ShopifyConnector, deliveries: Deliveries, customer: Any
) -> None:
    body = {**body_of(deliveries), "customer": customer, "email": "", "billing_address": None}
    if customer == "absent":
        del body["customer"]
    found = one(shopify, "orders/updated", body)
    assert isinstance(found, Sale)
    assert found.customer is None


def test_a_customer_keeps_the_phone_of_their_record_not_of_an_address(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    (found,) = shopify.normalise(deliveries["customers-update"])
    assert isinstance(found, Customer)
    assert found.customer.phones == ("+84 90 123 4567",)
    assert found.customer.address == {
        "line1": "1 Example Street",
        "city": "Da Nang",
        "country": "Vietnam",
    }


def test_only_a_word_of_the_person_is_consent(shopify: ShopifyConnector, deliveries: Deliveries) -> None:
    (found,) = shopify.normalise(deliveries["customers-update"])
    assert isinstance(found, Customer)
    assert [(c.what, c.given) for c in found.customer.consents] == [("email_marketing", True)]


def test_a_merge_counts_only_when_it_happened(shopify: ShopifyConnector, deliveries: Deliveries) -> None:
    (merged,) = shopify.normalise(deliveries["customers-merge"])
    assert isinstance(merged, CustomerMerged)
    assert (merged.kept_external_id, merged.gone_external_id) == ("6200360403244", "6200360501551")
    (failed,) = shopify.normalise(deliveries["customers-merge-failed"])
    assert failed == Ignored("merge_failed", "failed")
    waiting = {**body_of(deliveries, "customers-merge"), "status": "in_progress"}
    assert one(shopify, "customers/merge", waiting) == Ignored("merge_not_finished", "in_progress")


# --- deletions, hints, discounts ---------------------------------------------------------------


def test_a_deleted_order_never_comes_back(shopify: ShopifyConnector, deliveries: Deliveries) -> None:
    (gone,) = shopify.normalise(deliveries["orders-delete"])
    assert isinstance(gone, Deleted)
    assert (gone.what, gone.final, gone.as_of is not None) == ("sale", True, True)
    assert one(shopify, "orders/delete", {"id": 7}) == Deleted("sale", "7", final=True)


def test_an_uninstalled_app_can_return_and_a_redacted_shop_cannot(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    (uninstalled,) = shopify.normalise(deliveries["app-uninstalled"])
    assert isinstance(uninstalled, Deleted)
    assert (uninstalled.what, uninstalled.external_id) == ("shop", "example.myshopify.com")
    assert not uninstalled.final
    redacted = one(shopify, "shop/redact", {"shop_id": 1, "shop_domain": "example.myshopify.com"})
    assert redacted == Deleted("shop", "example.myshopify.com", final=True)


def test_ids_and_deltas_are_only_a_hint(shopify: ShopifyConnector, deliveries: Deliveries) -> None:
    order_id = str(body_of(deliveries, "orders-edited")["order_edit"]["order_id"])
    assert shopify.normalise(deliveries["orders-edited"]) == [Thin("sale", order_id, "order_edited")]
    (hint,) = shopify.normalise(deliveries["order-transactions-create"])
    assert isinstance(hint, Thin)
    assert hint.what == "sale"


def test_a_data_request_is_named_not_lost(shopify: ShopifyConnector) -> None:
    found = one(shopify, "customers/data_request", {"customer": {"id": 1}})
    assert isinstance(found, Ignored)
    assert found.reason == "data_request"


def test_changes_to_a_code_in_the_admin_are_told(
    shopify: ShopifyConnector, deliveries: Deliveries
) -> None:
    gid = "gid://shopify/DiscountCodeNode/1207119551"
    nine = datetime(2026, 11, 9, 13, 0, tzinfo=UTC)
    cases = {
        "discounts-update": Code(None, gid, "updated", active=False, as_of=nine),
        "discounts-delete": Code(None, gid, "deleted", active=False, as_of=nine),
        "discounts-redeemcode-removed": Code("LOY-7QXM2K", gid, "deleted", active=False, as_of=nine),
    }
    for name, expected in cases.items():
        assert shopify.normalise(deliveries[name]) == [expected], name
    (automatic,) = shopify.normalise(deliveries["discounts-create-automatic"])
    assert isinstance(automatic, Ignored)


def test_lines_are_told_apart_by_shopifys_id(shopify: ShopifyConnector, deliveries: Deliveries) -> None:
    tea = sale_of(shopify, deliveries["orders-paid"]).lines[0]
    assert tea == Line(
        key="6200360534320",
        kind=LineKind.GOODS,
        quantity=Decimal(3),
        net=3720,
        tax=298,
        sku="TEA-250",
        product_id="6200360436013",
        variant_id="6200360436014",
        name="Oolong <250 g> & tin",
        current_quantity=Decimal(3),
    )
