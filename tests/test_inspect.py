"""`hub inspect`: recorded messages, without a database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hub.cli import main

PAYLOADS = Path(__file__).parent / "payloads"
SHARED = Path(__file__).parents[2] / "shared"


def inspect(*words: str, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    with pytest.raises(SystemExit) as ended:
        main(["inspect", *words])
    assert ended.value.code == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A till's message with its headers, as somebody recorded it."""
    sale = {
        "type": "hub.sale/1",
        "id": "1",
        "version": 1,
        "state": "paid",
        "currency": "VND",
        "placed_at": "2026-11-02T09:00:00+07:00",
        "lines": [{"id": "1", "quantity": 1, "net": "50000", "tax": "4000"}],
        "shipping": {"net": "10000"},
    }
    body = json.dumps(sale).encode()
    (tmp_path / "one.body").write_bytes(body)
    (tmp_path / "one.headers").write_text(
        "POST /x HTTP/1.1\nwebhook-id: a\nwebhook-timestamp: 1762048800\n"
    )
    return tmp_path


def test_a_sale_is_shown_in_minor_units(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = inspect("generic_pos", str(recorded), capsys=capsys)
    (sale,) = line["happenings"]
    assert {k: line[k] for k in ("verified", "ignored", "error")} == dict.fromkeys(
        ("verified", "ignored", "error")
    )
    assert {k: sale[k] for k in ("kind", "state", "goods_net", "goods_tax", "shipping", "refunded", "eligible")} == {
        "kind": "sale", "state": "paid", "goods_net": 50000, "goods_tax": 4000, "shipping": 10000,
        "refunded": 0, "eligible": 50000,
    }  # fmt: skip


def test_a_wrong_secret_does_not_verify_and_the_message_is_shown_all_the_same(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "whsec_dGhlIHRpbGwgYW5kIHRoZSBodWIga25vdyB0aGlz"
    (line,) = inspect("generic_pos", "--secret", secret, str(recorded / "one.headers"), capsys=capsys)
    assert line["verified"] is False
    assert line["happenings"]


def test_what_cannot_be_understood_is_an_error_with_its_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.json"
    file.write_text('{"type": "hub.sale/1", "id": 5}')
    (line,) = inspect("generic_pos", "--topic", "hub.sale/1", str(file), capsys=capsys)
    assert (line["error"]["fault"], line["happenings"]) == ("payload", [])
    assert "$.id" in line["error"]["detail"]


@pytest.mark.parametrize("kind", ["woocommerce", "shopify"])
def test_every_recorded_message_of_ours_is_a_result(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = inspect(kind, str(PAYLOADS / kind), capsys=capsys)
    assert len(lines) > 20
    assert not [line for line in lines if line["error"] and line["error"]["fault"] == "hub"]


@pytest.mark.skipif(not SHARED.exists(), reason="the larger set stands beside the checkout in CI")
def test_every_recorded_delivery_of_a_real_store_verifies(capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(SHARED / "fixtures" / "woocommerce")
    lines = inspect("woocommerce", "--secret", "hub-secret-1", folder, capsys=capsys)
    assert len(lines) >= 200
    assert {line["verified"] for line in lines if line["ignored"] != "ping"} == {True}
    assert not [line for line in lines if line["error"]]
