"""Messages of `hub.sale/1`: whole ones, and changes that are right or wrong in themselves."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

JSON = dict[str, Any]
LONG, TOO_LONG = "x" * 100, "x" * 101

SALE: JSON = {
    "type": "hub.sale/1",
    "id": "T1-1001",
    "version": 1,
    "number": "1001",
    "state": "paid",
    "currency": "VND",
    "placed_at": "2026-11-23T09:30:00+07:00",
    "changed_at": "2026-11-23T09:31:00+07:00",
    "paid_at": "2026-11-23T09:31:00+07:00",
    "cancelled_at": None,
    "test": False,
    "customer": {
        "id": "K7",
        "name": "Trần Thị Mai",
        "phone": "0912 345 678",
        "email": "mai@example.com",
        "card": "9704 0001",
        "staff_claim": "mem_7",
        "birthday": "1990-02-28",
        "locale": "vi",
        "country": "VN",
        "address": {"line1": "12 Lý Thường Kiệt", "city": "Hà Nội", "country": "VN"},
        "consents": [
            {
                "what": "loyalty",
                "given": True,
                "at": "2026-11-23T09:30:00+07:00",
                "wording": "Tôi đồng ý",
            }
        ],
        "extra": {"tax_code": "0101"},
    },
    "lines": [
        {
            "id": "1",
            "kind": "goods",
            "sku": "TEA-1",
            "product_id": "p1",
            "variant_id": "v1",
            "name": "Trà",
            "categories": ["Tea"],
            "tags": ["hot"],
            "quantity": 2,
            "unit_price": "50000",
            "discount": "10000",
            "net": "90000",
            "tax": "7200",
            "extra": {"barcode": "893"},
        },
        {"id": "2", "quantity": 0.25, "net": "30000"},
        {"id": "3", "kind": "tip", "quantity": 1, "net": "5000"},
    ],
    "shipping": {"net": "15000", "tax": "1200"},
    "total": "148400",
    "codes": ["LYL-Q7F2"],
    "payments": [
        {"kind": "money", "amount": "100000", "method": "cash"},
        {"kind": "gift_card", "amount": "48400"},
    ],
    "place": {"location": "HN1", "till": "T1", "staff": "lan"},
    "origin": {"kind": "shopify", "external_id": "5001", "shop": "a.myshopify.com"},
    "extra": {"table": 4},
}
SMALLEST: JSON = {
    "type": "hub.sale/1",
    "id": "1",
    "version": 0,
    "state": "pending",
    "currency": "EUR",
    "placed_at": "2026-11-23T02:30:00Z",
    "lines": [],
}
REFUND: JSON = {
    "type": "hub.refund/1",
    "id": "R1",
    "version": 3,
    "sale_id": "T1-1001",
    "currency": "VND",
    "amount": "48600",
    "goods_net": "45000",
    "state": "success",
    "created_at": "2026-11-24T09:30:00+07:00",
    "changed_at": "2026-11-24T10:30:00+07:00",
    "lines": [
        {"line_id": "1", "kind": "goods", "quantity": 1, "net": "45000", "tax": "3600"},
        {"line_id": "2", "quantity": 0, "net": "0"},
    ],
    "reason": "damaged",
    "extra": {},
}
VOID: JSON = {
    "type": "hub.void/1",
    "sale_id": "T1-1001",
    "voided_at": "2026-11-23T09:40:00+07:00",
    "reason": "rung up twice",
    "extra": {"by": "lan"},
}
CUSTOMER: JSON = {
    "type": "hub.customer/1",
    "version": 1763864000123,
    "changed_at": "2026-11-23T09:40:00.123+07:00",
    "customer": {"id": "K7", "name": "Mai", "phone": "0912345678"},
}
WHOLE: dict[str, JSON] = {
    "sale": SALE,
    "smallest": SMALLEST,
    "refund": REFUND,
    "void": VOID,
    "customer": CUSTOMER,
}

_NOT_A_TEXT: tuple[Any, ...] = (1, True, [], {})
_ID: tuple[Any, ...] = ("", TOO_LONG, *_NOT_A_TEXT)
_AMOUNT: tuple[Any, ...] = (
    *("", "-1", "+1", "1.", ".5", "1,5", "1 000", "1e3", "NaN", "0.12345", "1234567890123", "١"),
    *(1, 1.5, True, [], {}),
)
_TIME: tuple[Any, ...] = (
    *("", "2026-11-23", "2026-11-23T09:30:00", "2026-11-23 09:30:00Z", "23/11/2026", "now"),
    *("2026-13-01T00:00:00Z", "2026-11-32T00:00:00Z", "2026-11-23T24:00:00Z", "2026-11-23T09:60:00Z"),
    *("2026-11-23T09:30:00+7", "2026-11-23T09:30:00.1234567Z", 1763864000, True, [], {}),
)

# Where -> what may not stand there. "-" takes the field away.
WRONG: dict[str, dict[str, tuple[Any, ...]]] = {
    "sale": {
        "id": ("-", None, *_ID),
        "version": ("-", None, -1, 1.5, "1", 2**53, True, [], {}),
        "number": _ID,
        "state": ("-", None, "PAID", "", "done", 1, [], {}),
        "currency": ("-", None, "vnd", "BTC", "", 704, [], {}),
        "placed_at": ("-", None, *_TIME),
        "changed_at": _TIME,
        "paid_at": _TIME,
        "cancelled_at": _TIME,
        "test": (None, "false", 0, "no", [], {}),
        "customer": ("Mai", 1, True, []),
        "customer.id": _ID,
        "customer.name": ("x" * 501, *_NOT_A_TEXT),
        "customer.phone": ("x" * 501, *_NOT_A_TEXT),
        "customer.birthday": ("28/02/1990", "1990-2-28", "1990-13-01", "", *_NOT_A_TEXT),
        "customer.country": ("vn", "VNM", "", *_NOT_A_TEXT),
        "customer.address": ("Hà Nội", [], 1),
        "customer.address.line1": _NOT_A_TEXT,
        "customer.address.street": ("12 Lý Thường Kiệt",),
        "customer.consents": (None, {}, "yes", [None], [1]),
        "customer.consents.0.what": ("-", None, "sms", 1),
        "customer.consents.0.given": ("-", None, "yes", 1),
        "customer.consents.0.at": _TIME,
        "customer.extra": ([], "x", 1),
        "customer.mail": ("mai@example.com",),
        "lines": ("-", None, {}, "x", [None], [1], [[]]),
        "lines.0.id": ("-", None, *_ID),
        "lines.0.kind": (None, "good", "", 1, []),
        "lines.0.sku": _ID,
        "lines.0.categories": ("Tea", {}, [""], [1], [None], ["x"] * 51),
        "lines.0.quantity": ("-", None, 0, -1, "2", True, 10**9 + 1, [], {}),
        "lines.0.unit_price": _AMOUNT,
        "lines.0.discount": _AMOUNT,
        "lines.0.net": ("-", None, *_AMOUNT),
        "lines.0.tax": _AMOUNT,
        "lines.0.price": ("50000",),
        "lines.0.extra": ([], "x", 1),
        "shipping": ("15000", [], 1),
        "shipping.net": ("-", None, *_AMOUNT),
        "shipping.tax": _AMOUNT,
        "shipping.amount": ("1",),
        "total": _AMOUNT,
        "codes": ("LYL", {}, [""], [1], [TOO_LONG]),
        "payments": (None, {}, "cash", [None], [1]),
        "payments.0.kind": ("-", None, "cash", 1),
        "payments.0.amount": ("-", None, *_AMOUNT),
        "payments.0.currency": ("VND",),
        "place": ("HN1", [], 1),
        "place.till": _ID,
        "place.shop": ("x",),
        "origin": ("shopify", [], 1),
        "origin.kind": ("-", None, *_ID),
        "origin.external_id": ("-", None, *_ID),
        "extra": ([], "x", 1),
        "items": ([],),
        "Total": ("1",),
    },
    "refund": {
        "id": ("-", None, *_ID),
        "version": ("-", None, -1, "1", True),
        "sale_id": ("-", None, *_ID),
        "currency": ("-", None, "XXX", 1),
        "amount": ("-", None, *_AMOUNT),
        "goods_net": _AMOUNT,
        "state": (None, "done", 1, []),
        "created_at": ("-", None, *_TIME),
        "changed_at": _TIME,
        "lines": (None, {}, "x", [None]),
        "lines.0.line_id": ("-", None, *_ID),
        "lines.0.kind": (None, "x", 1),
        "lines.0.quantity": ("-", None, -1, "1", True, 10**9 + 1),
        "lines.0.net": ("-", None, *_AMOUNT),
        "lines.0.tax": _AMOUNT,
        "lines.0.sku": ("TEA",),
        "reason": ("x" * 501, *_NOT_A_TEXT),
        "order_id": ("1",),
    },
    "void": {
        "sale_id": ("-", None, *_ID),
        "voided_at": ("-", None, *_TIME),
        "reason": ("x" * 501, *_NOT_A_TEXT),
        "id": ("1",),
    },
    "customer": {
        "version": ("-", None, -1, "1"),
        "changed_at": ("-", None, *_TIME),
        "customer": ("-", None, {}, [], "Mai"),
        "customer.id": ("-", None, *_ID),
        "id": ("K7",),
    },
}

# Where -> what may stand there although it looks odd.
RIGHT: dict[str, dict[str, tuple[Any, ...]]] = {
    "sale": {
        "id": ("x", LONG, "Số 1/2026", "😀"),
        "version": (0, 2.0, 2**53 - 1),
        "number": ("-", None, LONG),
        "placed_at": ("2026-11-23T02:30:00Z", "2024-02-29T23:59:59.123456-11:30"),
        "changed_at": ("-", None),
        "test": ("-", True),
        "customer": ("-", None, {}, {"phone": ""}, {"name": "Mai"}),
        "customer.email": ("-", None, ""),
        "customer.address": (None, {}),
        "customer.consents": ("-", []),
        "lines.0.quantity": (2, 2.0),
        "lines.0.categories": ("-", None, []),
        "lines.0.discount": ("-", None, "10000", "10000.0000"),
        "lines.0.extra": ("-", None, {}, {"deep": {"er": [1, None]}}),
        "total": ("-", None, "148400.00"),
        "codes": ("-", None, [], ["A", "A"]),
        "payments": ("-", []),
        "place": ("-", None, {}),
        "origin": ("-", None),
        "extra": ("-", None, {"anything": [{}]}),
    },
    "refund": {
        "goods_net": ("-", None, "0"),
        "state": ("-", "pending", "failed"),
        "lines": ("-", []),
        "lines.0.quantity": (0, 0.5),
        "reason": ("-", None, ""),
    },
    "void": {"reason": ("-", None), "extra": ("-", None)},
    "customer": {"customer.name": ("-", None, "")},
}


def changed(whole: JSON, where: str, value: Any) -> JSON:
    """A copy with one place changed; "-" takes it away."""
    copied = copy.deepcopy(whole)
    inner: Any = copied
    *steps, last = (int(step) if step.isdigit() else step for step in where.split("."))
    for step in steps:
        inner = inner[step]
    if value == "-":
        inner.pop(last, None)
    else:
        inner[last] = value
    return copied


def changes(table: dict[str, dict[str, tuple[Any, ...]]]) -> Iterator[tuple[str, JSON]]:
    """Every change of a table, named, with the message it makes."""
    for kind, places in table.items():
        for where, values in places.items():
            for value in values:
                shown = f"{value!r:.40}"
                yield f"{kind}.{where} = {shown}", changed(WHOLE[kind], where, value)
