"""A quote says what a hold would say: each of its refusals is asked for both ways."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from hub.ledger import commands
from hub.ledger.commands import Command
from hub.members import switch
from hub.web import keys
from tests.hubs import Hub, running_hub
from tests.people import add

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "paying": {"points": 1, "worth": {"VND": "1000"}, "step": 10, "most_per_day": 50},
    "till": {"code_above": 40},
    "rewards": [
        {"id": "tea", "name": "Tea", "cost": 10, "amount": {"VND": "50000"}, "per_member": 1},
        {"id": "cup", "name": "Cup", "cost": 10, "perk": "a cup", "stock": 1},
        {"id": "car", "name": "Car", "cost": 9_000, "amount": {"VND": "50000"}},
        {"id": "old", "name": "Old", "cost": 10, "perk": "old", "until": "2021-01-01T00:00:00Z"},
    ],
}


class Till:
    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        with hub.runtime.sessions.begin() as session:
            _, self.key = keys.create(session, hub.program, name="t", scopes=keys.SCOPES, actor="test")
            self.ids = {}
            for name in ("ann", "bob"):
                row = add(
                    session, "members", public_id=f"mem_{name}", program_id=hub.program.id, name=name
                )
                commands.adjust(
                    session, Command(hub.program.id, row, name, "test", hub.runtime.chain_key), 200
                )
                self.ids[name] = row

    def ask(self, path: str, member: str = "ann", **wish: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.key}"}
        body = {"member": f"mem_{member}", **wish}
        return requests.post(
            f"{self.hub.url}/api/v1/redemptions{path}", json=body, headers=headers, timeout=10
        )

    def quote(self, member: str = "ann", **wish: Any) -> tuple[int, int, str | None]:
        found = self.ask("/quote", member, **wish).json()
        return found["points"], found["off"], found["why"]

    def refused(self, member: str = "ann", **wish: Any) -> str:
        """What a hold is refused with."""
        answer = self.ask("", member, hold=True, **wish)
        assert answer.status_code == 409, answer.text
        return str(answer.json().get("why", answer.json()["code"]))


@pytest.fixture
def till(database: str, redis_url: str, tmp_path: Path) -> Iterator[Till]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        yield Till(hub)


def test_a_quote_knows_what_was_paid_today(till: Till) -> None:
    assert till.quote(points=40, bill=900_000) == (40, 40_000, None)
    assert till.ask("", points=30, bill=900_000, hold=True).status_code == 201
    assert till.quote(points=40, bill=900_000) == (20, 20_000, "limit_of_today_reached")
    assert till.refused(points=40, bill=900_000) == "limit_of_today_reached"
    assert till.ask("", points=20, bill=900_000).status_code == 201
    assert till.quote(points=40, bill=900_000) == (0, 0, "limit_of_today_reached")
    assert till.quote("bob", points=40, bill=900_000) == (40, 40_000, None)


def test_a_quote_of_a_reward_knows_what_a_hold_is_refused_for(till: Till) -> None:
    assert till.quote(reward="tea") == (10, 50_000, None)
    assert till.ask("", reward="tea", hold=True).status_code == 201
    assert till.ask("", "bob", reward="cup").status_code == 201
    for reward, why in (("tea", "limit_reached"), ("cup", "sold_out"), ("car", "not_enough_points"),
                        ("old", "no_longer_valid")):  # fmt: skip
        assert till.quote(reward=reward) == (0, 0, why)
        assert till.refused(reward=reward) == why
    assert till.ask("/quote", reward="none").status_code == 404
    assert till.ask("/quote").status_code == 422
    assert till.ask("/quote", reward="tea", points=10).status_code == 422


def test_a_quote_tells_that_a_code_is_needed_and_of_an_account_that_is_off(till: Till) -> None:
    assert till.ask("/quote", points=50, bill=900_000).json()["code_needed"] is True
    assert till.ask("/quote", points=40, bill=900_000).json()["code_needed"] is False
    with till.hub.runtime.sessions.begin() as session:
        switch.switch_off(session, till.ids["ann"], till.hub.runtime.clock())
    for wish in ({"points": 40, "bill": 900_000}, {"reward": "tea"}):
        assert till.quote(**wish) == (0, 0, "account_disabled")
        assert till.refused(**wish) == "account_disabled"
