"""A simulation is the posting itself, rolled back: what it says is what comes, and nothing of it stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from hub.outbox.channels import Channel
from hub.program import store
from hub.web import keys
from tests import signed
from tests.hubs import Hub, running_hub

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000"}, "minimum": {"VND": "50000"}},
    "multipliers": [{"id": "web", "factor": "2", "channels": ["shopify"]}],
    "points": {"available_after_days": 3, "expire_after_days": 365},
    "rewards": [
        {"id": "small", "name": "Small", "cost": 20, "amount": {"VND": "50000"}},
        {"id": "large", "name": "Large", "cost": 100, "amount": {"VND": "300000"}},
    ],
}
DRAFT = {"earn": {"points": 3, "per": {"VND": "10000"}}}
PHONE = "0912345678"
Ask = Callable[[dict[str, Any]], requests.Response]


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        yield hub


@pytest.fixture
def ask(hub: Hub) -> Ask:
    with hub.runtime.sessions.begin() as session:
        _, key = keys.create(session, hub.program, name="t", scopes=("simulate",), actor="test")
    headers = {"Authorization": f"Bearer {key}"}
    return lambda body: requests.post(
        f"{hub.url}/api/v1/simulate", json=body, headers=headers, timeout=10
    )


@pytest.fixture
def till(hub: Hub) -> Channel:
    return hub.add_channel("generic_pos", signed.SETTINGS["generic_pos"], "Till")


def sell(hub: Hub, till: Channel, number: int, amount: int) -> str:
    content = signed.till_sale(number, PHONE, amount)
    headers = signed.headers("generic_pos", content, f"msg-{number}")
    assert requests.post(hub.webhook(till), data=content, headers=headers, timeout=10).ok
    hub.work()
    return str(hub.rows("SELECT public_id FROM transactions ORDER BY id DESC")[0].public_id)


def cart(amount: int, **more: Any) -> dict[str, Any]:
    return {"cart": {"currency": "VND", "lines": [{"net": amount}], **more}}


def everything(hub: Hub) -> list[tuple[str, int]]:
    """(table, rows) of all that posting writes."""
    tables = ("channels", "transactions", "contributions", "entries", "lots", "postings", "accounts")
    return [(name, hub.rows(f"SELECT count(*) AS n FROM {name}")[0].n) for name in tables]


def test_what_a_cart_would_earn_is_what_it_earns_when_it_is_bought(
    hub: Hub, till: Channel, ask: Ask
) -> None:
    sell(hub, till, 1, 120_000)
    member = hub.rows("SELECT public_id FROM members")[0].public_id
    before = everything(hub)
    told = ask(cart(420_000, member=member, channel=till.public_id)).json()
    assert everything(hub) == before, "nothing stays"
    assert (told["points"], told["change"], told["why"]) == (42, 42, None)
    assert [step["code"] for step in told["steps"]] == ["rate"]
    assert told["steps"][0]["text"] == "1 point for every ₫10,000: ₫420,000 give 42"
    assert (told["before"]["balance"], told["after"]["balance"]) == (12, 54)
    assert (told["after"]["available"], told["after"]["pending"]) == (12, 42)
    assert told["nudges"] == [
        {"code": "reward_short", "points": 46, "reward": "large", "text": "46 points short of “Large”"}
    ]
    sell(hub, till, 2, 420_000)
    assert hub.balance(phone="+84912345678") == 54
    hub.assert_clean()


def test_a_cart_is_judged_where_and_when_it_is_bought(ask: Ask) -> None:
    assert ask(cart(100_000)).json()["points"] == 10
    assert ask(cart(100_000, channel="shopify")).json()["points"] == 20
    small = ask(cart(30_000)).json()
    assert (small["points"], small["why"]) == (0, "bill_too_small")
    assert {"code": "bill_short", "amount": 20_000, "currency": "VND"}.items() <= small["nudges"][
        1
    ].items()
    early = ask(cart(100_000, placed_at="2001-01-01T00:00:00Z")).json()
    assert (early["points"], early["why"]) == (0, "before_program_start")


def test_an_order_of_the_past_by_a_draft_shows_the_difference(hub: Hub, till: Channel, ask: Ask) -> None:
    order = sell(hub, till, 1, 200_000)
    same = ask({"order": order}).json()
    assert (same["points"], same["change"], same["version"]) == (20, 0, 1)
    drafted = ask({"order": order, "program": DRAFT}).json()
    assert (drafted["points"], drafted["change"], drafted["version"]) == (60, 40, None)
    assert drafted["after"]["balance"] - drafted["before"]["balance"] == 40
    assert hub.balance(phone="+84912345678") == 20
    hub.assert_clean()


def test_a_cart_that_reaches_a_tier_says_so_and_earns_by_it(hub: Hub, till: Channel, ask: Ask) -> None:
    sell(hub, till, 1, 200_000)
    member = hub.rows("SELECT public_id FROM members")[0].public_id
    with_tiers = {
        "earn": {"points": 1, "per": {"VND": "10000"}},
        "multipliers": [{"id": "gold", "factor": "3", "tiers": ["gold"]}],
        "tiers": {
            "by": "points_earned",
            "levels": [
                {"id": "silver", "name": "Silver", "from": 0},
                {"id": "gold", "name": "Gold", "from": 30},
            ],
        },
    }
    told = ask({**cart(150_000, member=member), "program": with_tiers}).json()
    assert (told["tier_before"], told["tier_after"]) == ("silver", "gold")
    order = hub.rows("SELECT public_id FROM transactions")[0].public_id
    assert ask({"order": order, "program": with_tiers}).json()["points"] == 20
    assert hub.rows("SELECT 1 FROM sale_contexts") == []


def test_what_cannot_be_simulated_is_refused_with_its_reason(hub: Hub, ask: Ask) -> None:
    for body, status, code in (
        ({}, 422, "invalid_request"),
        ({"cart": {"currency": "VND", "lines": []}}, 422, "invalid_request"),
        ({"cart": {"currency": "XXZ", "lines": [{"net": 1}]}}, 422, "invalid_request"),
        (cart(-1), 422, "invalid_request"),
        (cart(2**60), 422, "invalid_request"),
        (cart(1, member="mem_nobody"), 404, "not_found"),
        (cart(1, channel="chn_none"), 404, "not_found"),
        ({"order": "txn_none"}, 404, "not_found"),
        ({**cart(1), "program": {"earn": {"points": -1}}}, 422, "invalid_program"),
    ):
        answer = ask(body)
        assert (answer.status_code, answer.json()["code"]) == (status, code), body


def test_another_programs_order_is_not_found(hub: Hub, till: Channel, ask: Ask) -> None:
    order = sell(hub, till, 1, 200_000)
    with hub.runtime.sessions.begin() as session:
        other = store.create(
            session, slug="other", name="Other", currency="VND", time_zone="UTC", region="VN",
            starts_at=hub.program.starts_at, actor="test",
        )  # fmt: skip
        _, key = keys.create(session, other, name="t", scopes=("simulate",), actor="test")
    for body in ({"order": order}, cart(1, channel=till.public_id)):
        answer = requests.post(
            f"{hub.url}/api/v1/simulate",
            json=body,
            headers={"Authorization": f"Bearer {key}"},
            timeout=10,
        )
        assert answer.status_code == 404
