"""Foreign JSON: what gets in, what is refused, and that the quick way of reading is marshmallow's."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from marshmallow import Schema, ValidationError

from connectors.generic_pos.schemas import MESSAGES
from connectors.shopify import schemas as shopify
from connectors.woocommerce import schemas as woocommerce
from hub.errors import BadPayload
from hub.payload import MAX_VALUES, Message, parse_json
from tests.connectors.generic_pos.corpus import SALE
from tests.connectors.wrecking import wrecks
from tests.pace import paced

PAYLOADS = Path(__file__).parent / "payloads"


def _body(kind: str, name: str) -> bytes:
    return (PAYLOADS / kind / f"{name}.body").read_bytes()


@pytest.mark.parametrize(
    ("schema", "body"),
    [
        (MESSAGES["hub.sale/1"], json.dumps(SALE).encode()),
        (shopify.ORDER, _body("shopify", "013-orders-create-pos-tip-gift-card")),
        (shopify.REFUND, _body("shopify", "005-refunds-create-lines")),
        (woocommerce.ORDER, _body("woocommerce", "017-order.created")),
        (woocommerce.CUSTOMER, _body("woocommerce", "015-customer.created")),
    ],
    ids=["till sale", "shopify order", "shopify refund", "woocommerce order", "woocommerce customer"],
)
def test_the_quick_way_reads_and_refuses_what_marshmallow_does(
    schema: Schema, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = islice(wrecks(body), 0, None, paced(1, 5))  # of all ways to wreck a field, in turns
    values = [json.loads(body), *(json.loads(wrecked) for _, wrecked in some)]
    quick = [_loaded(schema, value) for value in values]
    monkeypatch.delattr(Message, "_deserialize")
    assert quick == [_loaded(schema, value) for value in values]
    assert isinstance(schema, Message)
    assert any(refused for _, refused in quick)


def _loaded(schema: Schema, value: Any) -> tuple[Any, Any]:
    """(what was read, what was refused)."""
    try:
        return schema.load(value), None
    except ValidationError as error:
        return None, error.messages


def test_a_message_of_more_values_than_any_order_has_is_refused_before_they_are_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def made(*_: object, **__: object) -> None:
        raise AssertionError("the values were made")

    monkeypatch.setattr(json, "loads", made)
    with pytest.raises(BadPayload, match="more than") as refused:
        parse_json(b"[" + b"[]," * (MAX_VALUES + 1) + b"[]]")
    assert refused.value.code == "too_many_values"


def test_a_large_order_within_that_number_is_read() -> None:
    body = json.dumps({"lines": [{"id": n, "name": "x" * 60} for n in range(MAX_VALUES // 4)]}).encode()
    assert len(body) > 9_000_000
    assert len(parse_json(body)["lines"]) == MAX_VALUES // 4
