"""What support asks most: what became of this message, and why these points. In two languages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import requests

from connectors.generic_pos.sandbox import TillSandbox
from tests import signed
from tests.commands.conftest import Command
from tests.hubs import Hub, Running

Tell = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def till(hub: Hub) -> Iterator[str]:
    sandbox = TillSandbox()
    with Running(sandbox) as address:
        hub.connect(sandbox, address, "Till")
        yield f"{address}/_sandbox"


@pytest.fixture
def tell(run: Command) -> Tell:
    """The JSON lines of one command, in a language."""
    return partial(run, "--lang")


def sell(till: str, price: str, **customer: str) -> str:
    lines = [{"sku": "TEA", "name": "Trà sen", "quantity": 1, "price": price}]
    wish = {"customer": customer or None, "lines": lines}
    answer = requests.post(f"{till}/sales", json=wish, timeout=10)
    return str(answer.json()["external_id"])


def refund(till: str, sale: str, amount: str) -> None:
    requests.post(f"{till}/sales/{sale}/refund", json={"amount": amount}, timeout=10)


def test_points_are_told_with_their_numbers(hub: Hub, till: str, tell: Tell) -> None:
    sale = sell(till, "125000", name="Ann", phone="0912345678")
    hub.work()
    refund(till, sale, "50000")
    hub.work()
    head, back, given = tell("vi", "member", "show", "0912345678")
    assert (head["name"], head["balance"], head["movements"]) == ("Ann", 8, 2)
    assert (given["points"], given["codes"]) == (13, "rate, rounding")
    assert given["why"].replace("\xa0", " ") == (
        "cứ 10.000 ₫ được 1 điểm: 125.000 ₫ được 12,5; làm tròn đến điểm gần nhất: +0,5"
    )
    assert back["points"] == -5
    assert back["why"].startswith("đơn hàng hiện được 8 điểm: cứ ")
    english = tell("en", "member", "show", "0912345678")[1]["why"]
    assert english.startswith(
        "the sale is now worth 8 points: 1 point for every ₫10,000: ₫75,000 give 7.5"
    )


def test_a_guests_order_says_why_nobody_got_points(hub: Hub, till: str, tell: Tell) -> None:
    sell(till, "90000")
    hub.work()
    (row,) = tell("vi", "deliveries", "--direction", "inbound")
    assert (row["state"], row["code"]) == ("done", "guest")
    assert row["what"].startswith("Không tích điểm: khách lẻ")


def test_a_failed_message_is_told_in_the_channels_own_words(hub: Hub, tell: Tell) -> None:
    channel = hub.add_channel("generic_pos", signed.SETTINGS["generic_pos"], "Till")
    body = b'{"type": "hub.weather/1"}'
    headers = signed.headers("generic_pos", body, "msg_1")
    assert requests.post(hub.webhook(channel), data=body, headers=headers, timeout=10).ok
    hub.work()
    (row,) = tell("vi", "deliveries", "--state", "failed")
    one, attempt = tell("vi", "deliveries", str(row["id"]))
    assert row["code"] == "unknown_type"
    assert row["what"] == one["what"] == attempt["what"] == "Hub không biết loại tin này."
    assert "hub.sale/1" in one["detail"]  # what exactly was found stays as it was noted


def test_a_body_that_is_cut_within_a_character_is_shown(hub: Hub, till: str, tell: Tell) -> None:
    lines = [{"sku": "T", "name": "Trà sen Tây Hồ ướp hương " * 4, "quantity": 1, "price": "1000"}] * 60
    requests.post(f"{till}/sales", json={"customer": None, "lines": lines}, timeout=10)
    (row,) = tell("en", "deliveries", "--direction", "inbound")
    (one,) = tell("en", "deliveries", str(row["id"]))
    assert one["body"].startswith("{")
    assert len(one["body"].encode()) <= 4002
