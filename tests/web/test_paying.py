"""Paying with points over the API: a quote changes nothing, a code takes the money off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from hub.ledger import commands
from hub.ledger.commands import Command
from hub.web import keys
from tests.hubs import Hub, running_hub
from tests.people import add

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "paying": {"points": 1, "worth": {"VND": "1000"}, "step": 50, "min_balance": 60},
}


class Counter:
    """A till that asks the hub."""

    def __init__(self, hub: Hub, points: int) -> None:
        self.hub = hub
        with hub.runtime.sessions.begin() as session:
            _, self.key = keys.create(session, hub.program, name="t", scopes=keys.SCOPES, actor="test")
            self.member = f"mem_{points}"
            member = add(
                session, "members", public_id=self.member, program_id=hub.program.id, name="Ann"
            )
            order = Command(hub.program.id, member, "start", "test", hub.runtime.chain_key)
            commands.adjust(session, order, points)

    def ask(self, path: str, key: str = "", **wish: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.key}"} | ({"Idempotency-Key": key} if key else {})
        body = {"member": self.member, **wish}
        return requests.post(f"{self.hub.url}/api/v1/{path}", json=body, headers=headers, timeout=10)

    def balance(self) -> int:
        return int(self.hub.rows("SELECT balance FROM accounts")[0].balance)


@pytest.fixture
def counter(database: str, redis_url: str, tmp_path: Path) -> Iterator[Counter]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        yield Counter(hub, 120)


def test_a_quote_says_what_could_be_used_and_changes_nothing(counter: Counter) -> None:
    answer = counter.ask("redemptions/quote", points=120, bill=1_000_000)
    assert answer.json() == {
        "points": 100, "off": 100_000, "currency": "VND", "why": "whole_steps_only", "code_needed": False,
    }  # fmt: skip
    small = counter.ask("redemptions/quote", points=100, bill=60_000)
    assert (small.json()["points"], small.json()["why"]) == (50, "bill_too_small")
    assert counter.hub.rows("SELECT 1 FROM redemptions") == []
    assert counter.balance() == 120


def test_points_become_a_code_for_money_off_once_for_each_key(counter: Counter) -> None:
    first = counter.ask("redemptions", key="a", points=100, bill=500_000)
    assert (first.status_code, first.json()["points"], first.json()["reward"]) == (201, 100, "points")
    assert counter.ask("redemptions", key="a", points=100, bill=500_000).json() == first.json()
    assert counter.ask("redemptions", key="a", points=50).json()["code"] == "key_reused"
    (voucher,) = counter.hub.rows("SELECT reward_terms FROM redemptions")
    assert voucher.reward_terms["amounts"] == {"VND": 100_000}
    assert counter.balance() == 20
    counter.hub.assert_clean()


@pytest.mark.parametrize(
    ("wish", "why", "points"),
    [
        ({"points": 75}, "whole_steps_only", 50),
        ({"points": 100, "bill": 99_999}, "bill_too_small", 50),
        ({"points": 50, "currency": "USD"}, "currency_has_no_worth", 0),
    ],
)
def test_what_cannot_be_paid_is_refused_whole_with_what_could(
    counter: Counter, wish: dict[str, Any], why: str, points: int
) -> None:
    answer = counter.ask("redemptions", **wish)
    assert (answer.status_code, answer.json()["code"]) == (409, "not_payable")
    assert (answer.json()["why"], answer.json()["points"]) == (why, points)
    assert counter.balance() == 120
    assert counter.hub.rows("SELECT 1 FROM redemptions") == []


def test_more_than_the_balance_is_not_enough_points(counter: Counter) -> None:
    answer = counter.ask("redemptions", points=150)
    assert (answer.status_code, answer.json()["code"]) == (409, "not_enough_points")
    assert counter.balance() == 120


def test_the_balance_needed_to_begin_with_is_asked_for(counter: Counter) -> None:
    assert counter.ask("redemptions", points=50).status_code == 201
    assert counter.ask("redemptions", points=50).status_code == 201
    assert counter.balance() == 20
    with counter.hub.runtime.sessions.begin() as session:
        (row,) = counter.hub.rows("SELECT member_id FROM accounts")
        key = counter.hub.runtime.chain_key
        commands.adjust(session, Command(counter.hub.program.id, row.member_id, "more", "test", key), 35)
    answer = counter.ask("redemptions", points=50)
    assert (answer.status_code, answer.json()["why"]) == (409, "balance_too_small")
    assert counter.balance() == 55
    counter.hub.assert_clean()


@pytest.mark.parametrize(
    "wish", [{}, {"reward": "x", "points": 5}, {"reward": "x", "bill": 5}, {"points": 0}]
)
def test_a_request_names_one_thing(counter: Counter, wish: dict[str, Any]) -> None:
    assert counter.ask("redemptions", **wish).status_code == 422
