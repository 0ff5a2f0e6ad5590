"""Tiers over the API: the ladder, where a member stands, decisions once for each key, tags."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from hub.web import keys
from tests.counter import Counter
from tests.hubs import Hub, running_hub

DOCUMENT: dict[str, Any] = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "tiers": {
        "currency": "VND",
        "over": "calendar_year",
        "levels": [
            {"id": "member", "name": "Member", "from": 0},
            {"id": "gold", "name": "Gold", "from": "1000000", "discount": "7.5", "perks": ["A cake"]},
        ],
    },
    "segments": [{"id": "press", "tags": ["press"]}],
}


GUARANTEE = {"decision": "guarantee", "tier": "gold", "until": "2020-01-01T00:00:00Z", "reason": "r"}


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        till = Counter(hub)
        till.sell(1, 400_000, "2026-11-02T03:00:00Z")
        till.work()
        yield hub


def ask(
    hub: Hub, method: str, path: str, key: str | None = None, scope: str = "tiers", **body: Any
) -> Any:
    with hub.runtime.sessions.begin() as session:
        scopes = [scope] if method != "GET" else ["members:read"]
        _, secret = keys.create(session, hub.program, name="t", scopes=scopes, actor="test")
    headers = {"Authorization": f"Bearer {secret}"} | ({"Idempotency-Key": key} if key else {})
    url = f"{hub.url}/api/v1/{path}"
    return requests.request(method, url, json=body or None, headers=headers, timeout=10)


def member(hub: Hub) -> str:
    (row,) = hub.rows("SELECT public_id FROM members")
    return f"members/{row.public_id}"


def test_the_ladder_is_told(hub: Hub) -> None:
    told = ask(hub, "GET", "tiers").json()
    assert (told["counts"], told["currency"]) == ("spend", "VND")
    assert [(t["id"], t["from"], t["keep"], t["discount"]) for t in told["tiers"]] == [
        ("member", "0", "0", "0"), ("gold", "1000000", "1000000", "7.5"),
    ]  # fmt: skip


def test_where_a_member_stands_and_what_is_missing(hub: Hub) -> None:
    told = ask(hub, "GET", f"{member(hub)}/tier").json()
    assert (told["tier"]["id"], told["count"], told["next"]["id"], told["next"]["missing"]) == (
        "member", "400000", "gold", "600000",
    )  # fmt: skip
    assert (told["keep"], told["segments"], told["tags"]) == (None, [], [])
    assert [change["tier"] for change in told["history"]] == ["member"]


def test_a_decision_is_carried_out_once_for_each_key(hub: Hub) -> None:
    wish = {"decision": "set", "tier": "gold", "reason": "A good customer elsewhere"}
    first = ask(hub, "POST", f"{member(hub)}/tier/decisions", "k1", **wish)
    assert (first.status_code, first.json()) == (
        200,
        {"before": "member", "tier": "gold", "repeated": False},
    )
    again = ask(hub, "POST", f"{member(hub)}/tier/decisions", "k1", **wish)
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (first.json(), "true")
    assert len(hub.rows("SELECT 1 FROM tier_acts")) == 1
    (noted,) = hub.rows("SELECT actor, detail FROM audit WHERE action = 'tier.set'")
    assert (noted.actor.startswith("key:"), noted.detail["tier"]) == (True, "gold")
    other = ask(hub, "POST", f"{member(hub)}/tier/decisions", "k1", **{**wish, "tier": "member"})
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")


def test_what_was_bought_before_the_programme_counts(hub: Hub) -> None:
    wish = {"decision": "count", "amount": "1000000", "reason": "The old card"}
    assert ask(hub, "POST", f"{member(hub)}/tier/decisions", "k1", **wish).json()["tier"] == "gold"
    told = ask(hub, "GET", f"{member(hub)}/tier").json()
    assert (told["count"], told["next"], told["keep"]["from"]) == ("1000000", None, "1000000")


@pytest.mark.parametrize(
    ("key", "body", "status", "code"),
    [
        (None, {"decision": "review", "reason": "r"}, 400, "no_key"),
        ("k", {"decision": "set", "reason": "r"}, 422, "invalid_request"),
        ("k", {"decision": "review", "tier": "gold", "reason": "r"}, 422, "invalid_request"),
        ("k", GUARANTEE | {"decision": "set"}, 422, "invalid_request"),
        ("k", {"decision": "set", "tier": "gold"}, 422, "invalid_request"),
        ("k", {"decision": "set", "tier": "platinum", "reason": "r"}, 422, "tier_refused"),
        ("k", GUARANTEE, 422, "tier_refused"),
        ("k", {"decision": "count", "amount": "1.5", "reason": "r"}, 422, "invalid_amount"),
        ("k", {"decision": "count", "amount": "-1", "reason": "r"}, 422, "tier_refused"),
        ("k", {"decision": "count", "amount": "a lot", "reason": "r"}, 422, "invalid_amount"),
    ],
)  # fmt: skip
def test_what_cannot_be_decided_is_refused(
    hub: Hub, key: str | None, body: Any, status: int, code: str
) -> None:
    answer = ask(hub, "POST", f"{member(hub)}/tier/decisions", key, **body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert hub.rows("SELECT 1 FROM tier_acts") == []


def test_a_tag_makes_a_segment_and_is_put_on_once(hub: Hub) -> None:
    for _ in range(2):
        assert ask(hub, "PUT", f"{member(hub)}/tags/press").json() == {"tags": ["press"]}
    assert ask(hub, "GET", f"{member(hub)}/tier").json()["segments"] == ["press"]
    assert len(hub.rows("SELECT 1 FROM audit WHERE action = 'member.tagged'")) == 1
    for _ in range(2):
        assert ask(hub, "DELETE", f"{member(hub)}/tags/press").json() == {"tags": []}
    assert len(hub.rows("SELECT 1 FROM audit WHERE action = 'member.untagged'")) == 1


def test_a_key_without_the_scope_decides_nothing(hub: Hub) -> None:
    wish = {"decision": "review", "reason": "r"}
    assert (
        ask(hub, "POST", f"{member(hub)}/tier/decisions", "k", scope="redeem", **wish).status_code == 403
    )
    assert ask(hub, "PUT", f"{member(hub)}/tags/press", scope="redeem").status_code == 403
