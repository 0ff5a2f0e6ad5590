"""A code is asked what it takes off before the bill is paid; coupons that cost nothing are codes too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from hub.desk.place import Desk
from hub.desk.rewards import redeem, take_back
from hub.program import document as documents
from hub.program.document import DocumentRefused
from hub.redemption.limits import NotOffered
from hub.web import keys
from tests.hubs import Hub, running_hub
from tests.people import add

WELCOME = {"id": "welcome", "name": "Welcome", "cost": 0, "percent": "10", "per_member": 1}
DOCUMENT: dict[str, Any] = {"earn": {"per": {"VND": "10000"}}, "rewards": [WELCOME]}


class Counter:
    """A till that asks the hub, and Ann and Bob."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        with hub.runtime.sessions.begin() as session:
            _, key = keys.create(session, hub.program, name="t", scopes=keys.SCOPES, actor="test")
            for name in ("ann", "bob"):
                add(session, "members", public_id=f"mem_{name}", program_id=hub.program.id, name=name)
        self.head = {"Authorization": f"Bearer {key}"}

    def deed(self, what: Any) -> Any:
        with self.hub.runtime.sessions.begin() as session:
            return what(Desk(self.hub.runtime, session, self.hub.program, "test"))

    def welcome(self) -> Any:
        (row,) = self.hub.rows("SELECT id FROM members WHERE public_id = 'mem_ann'")
        return self.deed(lambda desk: redeem(desk, row.id, "welcome", key=None))

    def ask(self, code: str, **more: Any) -> requests.Response:
        wish = {"lines": [{"sku": "A", "quantity": "2", "amount": 70_000}, {"amount": 30_000}], **more}
        url = f"{self.hub.url}/api/v1/vouchers/{code}/quote"
        return requests.post(url, json=wish, headers=self.head, timeout=10)


@pytest.fixture
def counter(database: str, redis_url: str, tmp_path: Path) -> Iterator[Counter]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        yield Counter(hub)
        hub.assert_clean()


def test_a_coupon_costs_nothing_takes_its_share_off_and_is_had_once(counter: Counter) -> None:
    done = counter.welcome()
    assert done.points == 0
    told = counter.ask(done.code.lower(), shipping=5_000).json()
    assert (told["off"], told["lines"], told["left"]) == (10_000, [7_000, 3_000], 95_000)
    with pytest.raises(NotOffered):
        counter.welcome()
    assert counter.hub.rows("SELECT 1 FROM entries") == []


def test_why_a_code_takes_nothing_off_is_said(counter: Counter) -> None:
    done = counter.welcome()
    assert counter.ask(done.code, member="mem_ann").json()["why"] is None
    strange = counter.ask(done.code, member="mem_bob").json()
    assert (strange["off"], strange["why"], strange["left"]) == (0, "belongs_to_another", 100_000)
    counter.deed(lambda desk: take_back(desk, done.id))
    assert counter.ask(done.code).json()["why"] == "code_taken_back"
    assert counter.ask("NOBODY").status_code == 404
    counter.welcome()  # what was taken back can be had again


def test_what_costs_nothing_needs_an_end() -> None:
    endless = {**DOCUMENT, "rewards": [{**WELCOME, "per_member": None}]}
    with pytest.raises(DocumentRefused, match="cost"):
        documents.check(endless)
