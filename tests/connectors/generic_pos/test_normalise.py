"""From `hub.sale/1` to happenings."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from connectors.generic_pos.connector import GenericPosConnector
from connectors.generic_pos.normalise import normalise
from hub.canonical import (
    Customer,
    Deleted,
    Happening,
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
from hub.errors import BadPayload
from tests.connectors.channel import message
from tests.connectors.generic_pos.corpus import CUSTOMER, REFUND, SALE, SMALLEST, VOID, changed
from tests.connectors.wrecking import refusals


def one(wish: dict[str, Any]) -> Happening:
    (found,) = normalise(json.dumps(wish).encode())
    return found


def sale(wish: dict[str, Any]) -> Sale:
    found = one(wish)
    assert isinstance(found, Sale)
    return found


def refused(wish: dict[str, Any]) -> str:
    with pytest.raises(BadPayload) as caught:
        one(wish)
    return f"{caught.value.code} {caught.value.path}"


def test_a_sale_is_read_whole() -> None:
    found = sale(SALE)
    assert (found.external_id, found.number, found.version) == ("T1-1001", "1001", 1)
    assert (found.state, found.currency, found.total) == (SaleState.PAID, "VND", 148400)
    assert found.placed_at == datetime(2026, 11, 23, 2, 30, tzinfo=UTC)
    assert found.as_of == found.paid_at == datetime(2026, 11, 23, 2, 31, tzinfo=UTC)
    assert [(line.kind, line.net, line.tax) for line in found.lines] == [
        (LineKind.GOODS, 90000, 7200),
        (LineKind.GOODS, 30000, 0),
        (LineKind.TIP, 5000, 0),
    ]
    assert found.lines[0].categories == ("Tea",)
    assert found.lines[0].discounted is True
    assert found.lines[1].quantity == Decimal("0.25")
    assert (found.shipping, found.shipping_tax, found.codes) == (15000, 1200, ("LYL-Q7F2",))
    assert found.payments == (
        Payment("money", 100000, "VND", "cash"),
        Payment("gift_card", 48400, "VND"),
    )
    assert found.place == Place("HN1", "T1", "lan", "pos")
    assert found.origin == Origin("shopify", "5001", "a.myshopify.com")
    assert found.refunds == ()


def test_a_buyer_is_read_whole() -> None:
    customer = sale(SALE).customer
    assert customer is not None
    assert (customer.external_id, customer.name, customer.staff_claim) == ("K7", "Trần Thị Mai", "mem_7")
    assert customer.phones == ("0912 345 678",)
    assert customer.emails == ("mai@example.com",)
    assert customer.cards == ("9704 0001",)
    assert date.fromisoformat(customer.birthday or "") == date(1990, 2, 28)
    assert (customer.locale, customer.country) == ("vi", "VN")
    assert customer.address == {"line1": "12 Lý Thường Kiệt", "city": "Hà Nội", "country": "VN"}
    assert [(c.what, c.given, c.wording) for c in customer.consents] == [("loyalty", True, "Tôi đồng ý")]


def test_what_a_till_leaves_out_is_not_there() -> None:
    found = sale(SMALLEST)
    assert (found.number, found.as_of, found.customer) == ("1", found.placed_at, None)
    assert (found.total, found.payments, found.test) == (None, (), False)
    assert found.place == Place(source="pos")


def test_nobody_waits_for_categories_a_till_does_not_tell() -> None:
    assert sale(SALE).lines[1].categories == ()


@pytest.mark.parametrize("customer", [None, {}, {"name": "Walk-in"}, {"phone": "  ", "email": ""}])
def test_nobody_is_named_by_a_name_alone(customer: Any) -> None:
    assert sale(changed(SALE, "customer", customer)).customer is None


@pytest.mark.parametrize("key", ["id", "phone", "email", "card", "staff_claim"])
def test_one_key_is_enough(key: str) -> None:
    assert sale(changed(SALE, "customer", {key: "7"})).customer is not None


@pytest.mark.parametrize(
    ("currency", "amount", "minor"),
    [
        ("VND", "45000", 45000),
        ("VND", "45000.00", 45000),
        ("EUR", "19.9", 1990),
        ("EUR", "19.90", 1990),
        ("KWD", "1.234", 1234),
        ("JPY", "10.0000", 10),
        ("CLF", "1.2345", 12345),
    ],
)
def test_money_is_exact(currency: str, amount: str, minor: int) -> None:
    line = {"id": "1", "quantity": 1, "net": amount}
    assert sale({**SMALLEST, "currency": currency, "lines": [line]}).lines[0].net == minor


@pytest.mark.parametrize(
    ("currency", "amount"), [("VND", "45000.5"), ("EUR", "19.901"), ("JPY", "0.01"), ("KWD", "1.2345")]
)
def test_more_digits_than_the_currency_has_are_refused(currency: str, amount: str) -> None:
    line = {"id": "1", "quantity": 1, "net": amount}
    assert refused({**SMALLEST, "currency": currency, "lines": [line]}) == "not_money $.lines[0].net"


@pytest.mark.parametrize(
    ("where", "value", "path"),
    [
        ("total", "148401", "$.total"),
        ("shipping", None, "$.total"),
        ("lines.0.tax", None, "$.total"),
        ("lines.0.net", "97200", "$.lines[0].net"),
        ("lines.0.discount", "0", "$.lines[0].net"),
        ("lines.0.quantity", 3, "$.lines[0].net"),
    ],
)
def test_a_sale_that_does_not_add_up_is_refused(where: str, value: Any, path: str) -> None:
    assert refused(changed(SALE, where, value)) == f"does_not_add_up {path}"


def test_a_tills_rounding_is_allowed_for() -> None:
    line = {"id": "1", "quantity": 0.333, "unit_price": "10000", "discount": "0", "net": "3330"}
    for net in ("3329", "3330", "3331"):
        assert sale({**SMALLEST, "currency": "VND", "lines": [{**line, "net": net}]})
    assert refused({**SMALLEST, "currency": "VND", "lines": [{**line, "net": "3332"}]})


def test_two_lines_cannot_share_an_id() -> None:
    assert refused(changed(SALE, "lines.1.id", "1")) == "twice $.lines[1].id"


@pytest.mark.parametrize(
    ("where", "value"), [("placed_at", "2026-02-30T00:00:00Z"), ("customer.birthday", "2026-02-30")]
)
def test_a_day_that_is_not_in_the_calendar_is_refused(where: str, value: str) -> None:
    assert refused(changed(SALE, where, value)) == f"invalid_field $.{where}"


def test_a_misspelt_field_is_named() -> None:
    with pytest.raises(BadPayload) as caught:
        one(changed(SALE, "lines.0.qty", 2))
    assert caught.value.path == "$.lines[0].qty"
    assert "extra" in caught.value.detail


def test_a_refund_is_read_whole() -> None:
    assert one(REFUND) == Refund(
        external_id="R1",
        sale_external_id="T1-1001",
        version=3,
        as_of=datetime(2026, 11, 24, 3, 30, tzinfo=UTC),
        created_at=datetime(2026, 11, 24, 2, 30, tzinfo=UTC),
        lines=(RefundLine("1", Decimal(1), 45000, 3600), RefundLine("2", Decimal(0), 0, 0)),
        money=(RefundMoney("success", 48600, "VND"),),
        goods_money=45000,
        reason="damaged",
    )


def test_a_refund_without_details_leaves_the_estimate_to_the_fold() -> None:
    found = one({k: v for k, v in REFUND.items() if k not in ("goods_net", "lines", "changed_at")})
    assert isinstance(found, Refund)
    assert (found.goods_money, found.lines, found.as_of) == (None, (), found.created_at)


def test_a_voided_sale_is_gone_for_good() -> None:
    at = datetime(2026, 11, 23, 2, 40, tzinfo=UTC)
    assert one(VOID) == Deleted("sale", "T1-1001", final=True, as_of=at)


def test_a_customer_is_read_whole() -> None:
    found = one(CUSTOMER)
    assert isinstance(found, Customer)
    assert (found.customer.external_id, found.customer.name) == ("K7", "Mai")
    assert found.version == 1763864000123
    assert found.as_of == datetime(2026, 11, 23, 2, 40, 0, 123000, tzinfo=UTC)


@pytest.mark.parametrize("whole", [SALE, SMALLEST, REFUND, VOID, CUSTOMER], ids=lambda w: w["type"])
def test_a_wrecked_field_ends_as_a_result_or_a_bad_payload(whole: dict[str, Any]) -> None:
    found = refusals(normalise, json.dumps(whole).encode())
    assert found
    assert all(path.startswith("$") for path in found.values()), found


def test_what_stands_in_extra_changes_nothing() -> None:
    wanted = sale(SALE)
    for where in ("extra", "customer.extra", "lines.0.extra"):
        assert sale(changed(SALE, where, {"x": [1, {"y": None}]})) == wanted
        assert sale(changed(SALE, where, "-")) == wanted


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 100_000, b'{"type": NaN}'])
def test_a_body_that_is_no_object_is_a_bad_payload(till: GenericPosConnector, body: bytes) -> None:
    inbound = message("", body)
    with pytest.raises(BadPayload):
        till.normalise(inbound)
    assert till.topic({}, body) == ""
    assert till.describe(inbound) == ""


@pytest.mark.parametrize(
    ("whole", "topic", "name"),
    [
        (SALE, "hub.sale/1", "1001"),
        (SMALLEST, "hub.sale/1", "1"),
        (REFUND, "hub.refund/1", "T1-1001"),
        (VOID, "hub.void/1", "T1-1001"),
        (CUSTOMER, "hub.customer/1", ""),
        ({"type": "fetch.sale"}, "", ""),
        ({"type": 1, "number": 7}, "", ""),
    ],
)
def test_a_list_names_what_a_message_is_about(
    till: GenericPosConnector, whole: dict[str, Any], topic: str, name: str
) -> None:
    body = json.dumps(whole).encode()
    assert (till.topic({}, body), till.describe(message(topic, body))) == (topic, name)
