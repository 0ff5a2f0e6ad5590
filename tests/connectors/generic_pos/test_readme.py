"""What the README shows works as it stands."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema
import pytest

import connectors.generic_pos
from connectors.generic_pos.connector import GenericPosConnector
from connectors.generic_pos.push import message_of
from connectors.generic_pos.schemas import MESSAGES
from hub.canonical import Happening, Refund, Sale
from hub.connector import CreateCode, CustomerKey, Inbound, RevokeCode, SetBalance, Verdict
from tests.connectors.channel import Channel
from tests.connectors.generic_pos.conftest import SECRET
from tests.connectors.receiver import Receiver

HOME = Path(connectors.generic_pos.__file__).parent
README = (HOME / "README.md").read_text()
SCHEMA = json.loads((HOME / "hub.sale-1.schema.json").read_text())


def examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def run(command: list[str]) -> Happening:
    """Run an example against a hub; what it sent must verify and mean something."""
    till = GenericPosConnector(Channel({"webhook_secret": SECRET}))
    with Receiver() as hub:
        known = {"HUB_URL": hub.url, "HUB_SECRET": SECRET, "PATH": os.environ["PATH"]}
        done = subprocess.run(
            command, env=known, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr
    ((headers, body),) = hub.got
    inbound = Inbound(till.topic(headers, body), headers, body, datetime.now(UTC))
    assert till.verify(inbound) is Verdict.VERIFIED
    jsonschema.validate(json.loads(body), SCHEMA)
    (happening,) = till.normalise(inbound)
    return happening


def test_the_python_example_sends_a_sale() -> None:
    (example,) = examples("python")
    sale = run([sys.executable, "-c", example])
    assert isinstance(sale, Sale)
    assert (sale.external_id, sale.total) == ("T1-1001", 97200)
    assert sale.placed_at is not None  # not before the reader's programme began: it would earn nothing
    assert abs(datetime.now(UTC) - sale.placed_at) < timedelta(minutes=1)


@pytest.mark.skipif(
    not all(map(shutil.which, ("curl", "openssl", "base64"))), reason="needs curl and openssl"
)
def test_the_shell_example_sends_a_refund() -> None:
    (example,) = examples("sh")
    refund = run(["sh", "-c", example])
    assert isinstance(refund, Refund)
    assert (refund.sale_external_id, refund.money[0].amount) == ("T1-1001", 48600)


def test_the_callbacks_it_shows_are_those_that_are_sent() -> None:
    at = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
    until = datetime(2026, 12, 23, 5, 0, tzinfo=UTC)
    mai = CustomerKey("mem_1", external_id="K7", phone="+84912345678", card="0001")
    create = CreateCode(
        "LYL-Q7F2",
        "vch_1",
        "50.000đ off",
        mai,
        at,
        until,
        amount=50000,
        currency="VND",
        minimum_total=100000,
    )
    balance = SetBalance(CustomerKey("mem_1", phone="+84912345678"), 120, 100, 20, at)
    sent = [message_of(c) for c in (create, RevokeCode("LYL-Q7F2", "vch_1"), balance)]
    assert [json.loads(example) for example in examples("json")] == sent


def test_every_message_and_its_required_fields_are_named() -> None:
    for kind, schema in MESSAGES.items():
        (row,) = (line for line in README.splitlines() if line.startswith(f"| `{kind}`"))
        required = {name for name, field in schema.fields.items() if field.required} - {
            "type",
            "customer",
        }
        assert all(f"`{name}`" in row for name in required), kind
