"""A customer pays with points at the till's sandbox, from the question to the bill with the code on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from connectors.generic_pos.sandbox import TillSandbox
from connectors.sandbox_kit import Running
from hub.web import keys
from tests.hubs import Hub, running_hub

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "1000"}},
    "paying": {"points": 1, "worth": {"VND": "100"}, "step": 50},
}
ANN = {"name": "Ann", "phone": "+84912345678"}


class Counter:
    """A till, and the hub behind it."""

    def __init__(self, hub: Hub, till: str) -> None:
        self.hub, self.till = hub, till
        with hub.runtime.sessions.begin() as session:
            _, self.key = keys.create(session, hub.program, name="t", scopes=keys.SCOPES, actor="test")

    def sell(self, price: str, *codes: str) -> requests.Response:
        line = {"sku": "TEA", "name": "Tea", "quantity": 1, "price": price}
        wish = {"customer": ANN, "lines": [line], "codes": list(codes)}
        answer = requests.post(f"{self.till}/_sandbox/sales", json=wish, timeout=10)
        self.hub.work()
        return answer

    def pay(self, points: int, **more: Any) -> Any:
        wish = {"hub": self.hub.url, "key": self.key, "phone": ANN["phone"], "points": points, **more}
        answer = requests.post(f"{self.till}/_sandbox/points", json=wish, timeout=30)
        self.hub.work()
        return answer.json()


@pytest.fixture
def counter(database: str, redis_url: str, tmp_path: Path) -> Iterator[Counter]:
    sandbox = TillSandbox()
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub, Running(sandbox) as till:
        hub.connect(sandbox, till)
        yield Counter(hub, till)


def test_points_pay_for_a_part_of_the_bill(counter: Counter) -> None:
    counter.sell("420000")
    paid = counter.pay(225, bill=100_000)
    assert (paid["points"], paid["off"]) == (200, 20_000)
    assert counter.hub.balance(phone="+84912345678") == 220
    assert counter.sell("100000", paid["code"]).ok
    (voucher,) = counter.hub.rows("SELECT state FROM vouchers")
    (sale,) = counter.hub.rows("SELECT goods_net FROM transactions ORDER BY id DESC LIMIT 1")
    assert (voucher.state, sale.goods_net) == ("used", 80_000)
    counter.hub.assert_clean()


def test_a_customer_who_walks_away_keeps_the_points(counter: Counter) -> None:
    counter.sell("420000")
    assert counter.pay(200, void=True) == {"let_go": 200}
    assert counter.hub.balance(phone="+84912345678") == 420
    assert counter.hub.rows("SELECT 1 FROM vouchers") == []
    counter.hub.assert_clean()
