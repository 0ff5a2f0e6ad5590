"""A corner shop with a till, rewards, and a desk at which staff act."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import requests

from hub.desk.place import Desk, carry_out
from hub.outbox.channels import Channel
from tests import signed
from tests.hubs import Hub, running_hub

Result = TypeVar("Result")
Act = Callable[[Callable[[Desk], Any]], Any]
Sell = Callable[..., str]

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "rewards": [
        {"id": "coffee", "name": "Coffee", "cost": 5, "amount": {"VND": "35000"}},
        {"id": "dinner", "name": "Dinner", "cost": 500, "amount": {"VND": "900000"}},
    ],
}


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        yield hub


@pytest.fixture
def till(hub: Hub) -> Channel:
    return hub.add_channel("generic_pos", signed.SETTINGS["generic_pos"], "Till")


@pytest.fixture
def act(hub: Hub) -> Act:
    """Carry a deed out as a member of staff."""

    def act(deed: Callable[[Desk], Result]) -> Result:
        return carry_out(hub.runtime, hub.program, "user:usr_staff", deed)

    return act


@pytest.fixture
def sell(hub: Hub, till: Channel) -> Sell:
    """A sale at the till, processed; returns its txn_ id. No phone: a guest."""

    def sell(number: int, phone: str = "", net: int = 420_000, version: int = 1, **more: Any) -> str:
        body = json.loads(signed.till_sale(number, phone, net, version, **more))
        if not phone:
            del body["customer"]
        content = json.dumps(body).encode()
        headers = signed.headers("generic_pos", content, f"msg-{number}-{version}")
        assert requests.post(hub.webhook(till), data=content, headers=headers, timeout=10).ok
        hub.work()
        rows = hub.rows("SELECT public_id FROM transactions WHERE number = :number", number=str(number))
        return str(rows[0].public_id) if rows else ""

    return sell
