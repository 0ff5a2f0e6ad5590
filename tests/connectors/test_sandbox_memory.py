"""A sandbox with a memory goes on where its process was ended."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from connectors.generic_pos.sandbox import TillSandbox
from connectors.sandbox_kit import Memory, Running, Sandbox
from connectors.shopify.sandbox import ShopifySandbox
from connectors.woocommerce.sandbox import WooCommerceSandbox

KINDS = (ShopifySandbox, WooCommerceSandbox, TillSandbox)
SALE = {
    "customer": {"name": "Mai", "phone": "0912345678", "email": "mai@example.com"},
    "currency": "VND",
    "lines": [{"sku": "TEA", "name": "Tea", "quantity": 1, "price": "50000"}],
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_sales_codes_and_numbers_outlive_the_process(kind: type[Sandbox], tmp_path: Path) -> None:
    file = tmp_path / "memory"
    first = kind()
    first.app.after_request(Memory(first, file).after)
    with Running(first) as address:
        sold = requests.post(f"{address}/_sandbox/sales", json=SALE, timeout=10).json()
        requests.post(f"{address}/_sandbox/faults", json={"fault": "refuse_code"}, timeout=10)
    second = kind()
    Memory(second, file).recall()
    assert second.show_sale(sold["external_id"]) == first.show_sale(sold["external_id"]) is not None
    assert second.fault("refuse_code") is not None
    assert second.place_sale(SALE)["external_id"] not in ("", sold["external_id"])
    assert second.address == "", "where it listens is for the new process to say"


@pytest.mark.parametrize("content", [b"", b"no pickle", b"\x80\x04\x95"])
def test_what_cannot_be_read_any_more_is_forgotten(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "memory"
    file.write_bytes(content)
    sandbox = TillSandbox()
    Memory(sandbox, file).recall()
    assert sandbox.sales == {}
