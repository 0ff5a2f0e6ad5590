"""Giving a guest's order to a member by the API; and keys that are used twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from hub.outbox.channels import Channel
from hub.web import keys
from tests import signed
from tests.hubs import Hub, running_hub

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "points": {"available_after_days": 3},
    "rewards": [{"id": "small", "name": "Small", "cost": 20, "amount": {"VND": "50000"}}],
}
Ask = Callable[..., requests.Response]


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        yield hub


@pytest.fixture
def ask(hub: Hub) -> Ask:
    with hub.runtime.sessions.begin() as session:
        _, key = keys.create(session, hub.program, name="t", scopes=keys.SCOPES, actor="test")

    def ask(path: str, body: Any = None, **headers: str) -> requests.Response:
        return requests.post(
            f"{hub.url}/api/v1{path}", json=body, headers={"Authorization": f"Bearer {key}", **headers},
            timeout=10,
        )  # fmt: skip

    return ask


def sell(hub: Hub, till: Channel, phone: str = "", **more: Any) -> str:
    body = json.loads(signed.till_sale(1, phone, 420_000, **more))
    if not phone:
        del body["customer"]
    content = json.dumps(body).encode()
    headers = signed.headers("generic_pos", content, "msg-1")
    assert requests.post(hub.webhook(till), data=content, headers=headers, timeout=10).ok
    hub.work()
    return str(hub.rows("SELECT public_id FROM transactions")[0].public_id)


@pytest.fixture
def till(hub: Hub) -> Channel:
    return hub.add_channel("generic_pos", signed.SETTINGS["generic_pos"], "Till")


def test_a_guests_order_is_given_to_whoever_has_the_phone(hub: Hub, till: Channel, ask: Ask) -> None:
    order = sell(hub, till)
    first = ask(f"/transactions/{order}/claim", {"phone": "0912 345 678", "name": "Ann"})
    again = ask(f"/transactions/{order}/claim", {"member": first.json()["member"]})
    assert (first.status_code, first.json()["points"], again.json()) == (200, 42, first.json())
    assert hub.balance(phone="+84912345678") == 42
    back = ask(f"/transactions/{order}/release")
    assert (back.status_code, back.json()["member"]) == (200, None)
    assert hub.balance(phone="+84912345678") == 0
    assert ask(f"/transactions/{order}/release").json()["code"] == "not_claimable"
    hub.assert_clean()


def test_what_belongs_to_somebody_is_not_claimable(hub: Hub, till: Channel, ask: Ask) -> None:
    order = sell(hub, till, "0987654321")
    answer = ask(f"/transactions/{order}/claim", {"phone": "0912345678"})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_claimable")
    assert hub.rows("SELECT 1 FROM identities WHERE value = '+84912345678'") == [], "nobody was made"


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({}, 422, "give exactly one of member, phone, email"),
        ({"phone": "1", "member": "mem_1"}, 422, "give exactly one of member, phone, email"),
        ({"phone": "12"}, 422, "This is no valid phone number or e-mail address."),
        ({"member": "mem_nobody"}, 404, "There is no such member."),
        ({"phone": 12}, 422, "phone: Not a valid string."),
    ],
)
def test_a_claim_that_names_nobody_says_what_is_wrong(
    hub: Hub, till: Channel, ask: Ask, body: Any, status: int, detail: str
) -> None:
    answer = ask(f"/transactions/{sell(hub, till)}/claim", body)
    assert (answer.status_code, answer.json()["detail"]) == (status, detail)


def test_a_used_key_is_refused_before_anything_else(hub: Hub, till: Channel, ask: Ask) -> None:
    sell(hub, till, "0987654321", placed_at="2026-10-01T03:04:05Z")
    (member,) = hub.rows("SELECT public_id FROM members")
    key = {"Idempotency-Key": "till-7"}
    wish = {"member": member.public_id, "reward": "small"}
    first = ask("/redemptions", wish, **key)
    assert first.status_code == 201
    assert ask("/redemptions", wish, **key).json() == first.json()
    for other in ({"reward": "no-such"}, {"member": "mem_nobody"}):
        answer = ask("/redemptions", {**wish, **other}, **key)
        assert (answer.status_code, answer.json()["code"]) == (422, "key_reused"), other
    assert ask("/redemptions", {**wish, "reward": "no-such"}).status_code == 404


def test_points_that_come_later_are_told_with_the_time(hub: Hub, till: Channel, ask: Ask) -> None:
    from datetime import UTC, datetime, timedelta

    sell(hub, till, "0987654321", placed_at=datetime.now(UTC).isoformat())
    (member,) = hub.rows("SELECT public_id FROM members")
    answer = ask("/redemptions", {"member": member.public_id, "reward": "small"})
    day = datetime.now(UTC) + timedelta(hours=7, days=3)
    shown = f"from {day.day} {day:%B %Y}, 00:00 on."
    assert answer.json()["detail"] == (
        f"The reward costs 20 points; 0 are available, and 42 more become available {shown}"
    )
