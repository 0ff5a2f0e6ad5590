"""Events and referrals over the API: points once for each key, people made when they are new."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from hub.desk import tiers as desk_tiers
from hub.desk.place import Desk
from hub.program import store
from hub.web import keys
from tests.actions.conftest import DOCUMENT
from tests.hubs import Hub, running_hub


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        yield hub


def ask(hub: Hub, path: str, key: str | None = "k", *, scopes: Any = ("events",), **body: Any) -> Any:
    with hub.runtime.sessions.begin() as session:
        _, secret = keys.create(session, hub.program, name="t", scopes=scopes, actor="test")
    headers = {"Authorization": f"Bearer {secret}"} | ({"Idempotency-Key": key} if key else {})
    return requests.post(f"{hub.url}/api/v1/{path}", json=body, headers=headers, timeout=10)


def test_an_event_of_somebody_new_makes_a_member_and_gives_points_once(hub: Hub) -> None:
    first = ask(hub, "events", phone="0912 345 678", event="review")
    assert (first.status_code, first.json()["points"], first.json()["why"]) == (201, 20, None)
    again = ask(hub, "events", phone="0912 345 678", event="review")
    assert (again.status_code, again.json()) == (201, first.json())
    assert hub.balance(phone="+84912345678") == 20
    hub.assert_clean()


def test_an_event_that_earns_nothing_says_why(hub: Hub) -> None:
    answer = ask(hub, "events", card="C-1", event="moonwalk").json()
    assert (answer["points"], answer["why"]) == (0, "no_such_action")


@pytest.mark.parametrize(
    ("key", "body", "status", "code"),
    [
        (None, {"phone": "0912345678", "event": "review"}, 400, "no_key"),
        ("k" * 201, {"phone": "0912345678", "event": "review"}, 400, "key_too_long"),
        ("k", {"phone": "12", "event": "review"}, 422, "invalid_contact"),
        ("k", {"event": "review"}, 422, "invalid_request"),
        ("k", {"phone": "0912345678", "email": "a@b.vn", "event": "review"}, 422, "invalid_request"),
        ("k", {"member": "mem_nobody", "event": "review"}, 404, "not_found"),
        ("k", {"phone": "0912345678", "event": "review", "occurred_at": "2099-01-01T00:00:00Z"}, 422, "in_the_future"),
        ("k", {"phone": "0912345678", "event": "review", "occurred_at": "2026-01-01T00:00:00"}, 422, "invalid_request"),
    ],
)  # fmt: skip
def test_what_cannot_be_recorded_is_refused_and_nothing_is_made(
    hub: Hub, key: str | None, body: dict[str, str], status: int, code: str
) -> None:
    answer = ask(hub, "events", key, **body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert hub.rows("SELECT 1 FROM actions UNION ALL SELECT 1 FROM members") == []


def test_a_key_for_another_event_is_refused(hub: Hub) -> None:
    assert ask(hub, "events", phone="0912345678", event="review").status_code == 201
    answer = ask(hub, "events", phone="0912345678", event="tet")
    assert (answer.status_code, answer.json()["code"]) == (422, "key_reused")


def test_a_referral_is_told_once_and_a_friend_is_brought_by_one(hub: Hub) -> None:
    ann, bob, eve = {"phone": "0912345678"}, {"email": "bob@example.com"}, {"card": "E-1"}
    first = ask(hub, "referrals", referrer=ann, friend=bob)
    assert first.status_code == 201
    assert ask(hub, "referrals", None, referrer=ann, friend=bob).json() == first.json()
    assert ask(hub, "referrals", "k2", referrer=eve, friend=bob).json()["code"] == "friend_of_another"
    assert ask(hub, "referrals", None, referrer=ann, friend=ann).json()["code"] == "own_friend"
    (row,) = hub.rows("SELECT action, actor FROM audit WHERE action = 'referral.told'")
    assert row.actor.startswith("key:")


def test_a_key_without_the_scope_is_refused(hub: Hub) -> None:
    answer = ask(hub, "events", scopes=("redeem",), phone="0912345678", event="review")
    assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")


def test_a_till_asks_what_a_cart_gets_off_without_points(hub: Hub) -> None:
    document = {**DOCUMENT, "discounts": [{"id": "shoes", "percent": "5", "categories": ["Giày"]}]}
    with hub.runtime.sessions.begin() as session:
        now = hub.runtime.clock()
        store.add_version(session, hub.program, document, effective_from=now, now=now, actor="test")
    cart: dict[str, Any] = {
        "currency": "VND",
        "lines": [{"net": 200_000, "categories": ["Áo"]}, {"net": 400_000, "categories": ["Giày"]}],
    }
    answer = ask(hub, "discounts/quote", scopes=("simulate",), **cart)
    assert answer.json() == {
        "off": 20_000, "left": 580_000, "currency": "VND",
        "lines": [{"line": 1, "off": 20_000, "discount": "shoes"}],
    }  # fmt: skip
    missing = ask(hub, "discounts/quote", scopes=("simulate",), **cart, channel="chn_nobody")
    assert missing.status_code == 404


def test_a_discount_of_a_group_is_for_its_members_alone(hub: Hub) -> None:
    document = {
        **DOCUMENT,
        "segments": [{"id": "wholesale", "name": "Wholesale", "tags": ["wholesale"]}],
        "discounts": [{"id": "trade", "percent": "10", "segments": ["wholesale"]}],
    }
    ask(hub, "events", phone="0912345678", event="review", key="a")
    (ann,) = hub.rows("SELECT id, public_id FROM members")
    with hub.runtime.sessions.begin() as session:
        now = hub.runtime.clock()
        store.add_version(session, hub.program, document, effective_from=now, now=now, actor="test")
    cart: dict[str, Any] = {"currency": "VND", "lines": [{"net": 80_000}]}
    quotes = [ask(hub, "discounts/quote", scopes=("simulate",), **cart, member=ann.public_id)]
    with hub.runtime.sessions.begin() as session:
        desk = Desk(hub.runtime, session, hub.program, "test")
        desk_tiers.tag(desk, ann.id, "wholesale", on=True)
    quotes.append(ask(hub, "discounts/quote", scopes=("simulate",), **cart, member=ann.public_id))
    quotes.append(ask(hub, "discounts/quote", scopes=("simulate",), **cart))
    assert [one.json()["off"] for one in quotes] == [0, 8000, 0]
    missing = ask(hub, "discounts/quote", scopes=("simulate",), **cart, member="mem_nobody")
    assert (missing.status_code, "member" in missing.json()["detail"].lower()) == (404, True)
