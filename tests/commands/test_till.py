"""`hub staff` and `hub alert`: sales of one's own are found by the sweeper and told until somebody has looked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from hub.sync.doorbell import Doorbell
from hub.sync.sweep import Sweeper
from tests import signed
from tests.hubs import Hub, running_hub

Command = Callable[..., list[dict[str, Any]]]
DOCUMENT = {"earn": {"points": 1, "per": {"VND": "10000"}}}


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        yield hub


def sell(hub: Hub, number: int, phone: str, cashier: str | None) -> None:
    (till,) = hub.rows("SELECT token FROM channels") or (None,)
    if till is None:
        hub.add_channel("generic_pos", signed.SETTINGS["generic_pos"], "Till")
        (till,) = hub.rows("SELECT token FROM channels")
    body = json.loads(signed.till_sale(number, phone, 420_000))
    body |= {"place": {"location": "1", "till": "2"} | ({"staff": cashier} if cashier else {})}
    content = json.dumps(body).encode()
    headers = signed.headers("generic_pos", content, f"msg-{number}")
    assert requests.post(
        f"{hub.url}/webhooks/{till.token}", data=content, headers=headers, timeout=10
    ).ok
    hub.work()


def test_a_sale_of_ones_own_is_told_once_and_until_somebody_has_looked(
    hub: Hub,
    run: Command,
) -> None:
    sell(hub, 1, "0912345678", "lan")
    sell(hub, 2, "0912345678", "minh")
    sell(hub, 3, "0987654321", "lan")
    sell(hub, 4, "0912345678", None)
    assert run("staff", "list") == []
    run("staff", "add", "lan", "0912345678")
    assert [one["ref"] for one in run("staff", "list")] == ["lan"]
    for _ in range(2):
        Sweeper(hub.runtime, Doorbell(hub.runtime.settings.redis_url)).once()
        with hub.runtime.sessions.begin() as session:
            session.connection().exec_driver_sql("DELETE FROM leases")
    (order,) = hub.rows(
        "SELECT public_id FROM transactions WHERE external_id = '1' OR number = '1' LIMIT 1"
    )
    (alert,) = run("alert", "list")
    assert (alert["kind"], alert["times"]) == ("own_sale", 1)
    assert alert["what"] == (
        f"lan rang up a sale of their own ({order.public_id}), which gave them 42 points."
    )
    run("alert", "settle", str(alert["id"]))
    assert run("alert", "list") == []
    Sweeper(hub.runtime, Doorbell(hub.runtime.settings.redis_url)).once()
    assert run("alert", "list") == [], "a sale that was looked at is not told again"
    assert hub.balance(phone="+84912345678") == 126, "points stay as they are: a person decides"
    run("staff", "remove", "lan")
    assert run("staff", "list") == []


def test_what_is_not_there_is_refused_in_a_sentence(hub: Hub, run: Command) -> None:
    for words, said in (
        (("alert", "settle", "alr_nothing"), "there is no open alert 'alr_nothing'"),
        (("staff", "remove", "nobody"), "nobody of the staff is called 'nobody'"),
        (("staff", "add", "x" * 65, "0912345678"), "a cashier's name has 1 to 64 characters"),
    ):
        (answer,) = run(*words, code=1, as_json=False)
        assert said in answer["said"]
