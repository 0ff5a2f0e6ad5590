"""The client against a real hub: typed answers, and what got lost on the way happens once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from hub.ledger import commands
from hub.ledger.commands import Command
from hub.web import keys
from hub_client import Client, HubAway, HubProblem
from tests.hubs import Hub, running_hub
from tests.people import add

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "paying": {"points": 1, "worth": {"VND": "1000"}, "step": 50},
    "rewards": [{"id": "tea", "name": "Tea", "cost": 10, "amount": {"VND": "50000"}}],
    "actions": [{"id": "review", "points": 5}],
}


class Line:
    """A line that loses answers, or requests, as often as it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loses_answers = self.loses_requests = self.asked = 0
        self._send = requests.Session.send

        def send(session: requests.Session, request: Any, **more: Any) -> requests.Response:
            return self.carry(session, request, **more)

        monkeypatch.setattr(requests.Session, "send", send)

    def carry(self, session: requests.Session, request: Any, **more: Any) -> requests.Response:
        self.asked += 1
        if self.loses_requests:
            self.loses_requests -= 1
            raise requests.ConnectionError("lost on the way there")
        answer = self._send(session, request, **more)
        if self.loses_answers:
            self.loses_answers -= 1
            raise requests.ReadTimeout("lost on the way back")
        return answer


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        with hub.runtime.sessions.begin() as session:
            ann = add(session, "members", public_id="mem_ann", program_id=hub.program.id, name="Ann")
            add(session, "identities", program_id=hub.program.id, member_id=ann, kind="phone",
                value="+84912345678")  # fmt: skip
            order = Command(hub.program.id, ann, "start", "test", hub.runtime.chain_key)
            commands.adjust(session, order, 1000)
        yield hub


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def client(hub: Hub, waits: list[float]) -> Iterator[Client]:
    with hub.runtime.sessions.begin() as session:
        _, key = keys.create(session, hub.program, name="t", scopes=keys.SCOPES, actor="test")
    with Client(hub.url, key, sleep=waits.append) as client:
        yield client


def test_a_purchase_at_a_till_from_the_phone_number_to_the_code(hub: Hub, client: Client) -> None:
    (ann,) = client.find_members(phone="0912 345 678")
    assert (ann.id, ann.points.available, ann.created_at.tzinfo) == ("mem_ann", 1000, UTC)
    quote = client.quote(ann.id, 220, bill=1_250_000)
    assert (quote.points, quote.off, quote.why) == (200, 200_000, "whole_steps_only")
    held = client.hold(ann.id, points=quote.points, bill=1_250_000, cashier="Lan")
    assert (held.state, held.code) == ("held", None)
    assert held.hold_until is not None
    assert held.hold_until > datetime.now(UTC)
    done = client.commit(held.id)
    assert done.code is not None
    assert client.voucher(done.code.lower()).amount == {"VND": 200_000}
    assert client.price(done.code, [{"amount": 300_000}])["off"] == 200_000
    assert client.redemption(done.id).state == "committed"
    assert client.take_back(done.id).voucher_state == "revoked"
    assert client.void(client.hold(ann.id, reward="tea").id).state == "released"
    assert client.member(ann.id).points.balance == 1000
    assert [one.amount for one in client.entries(ann.id)] == [10, -10, 200, -200, 1000]
    assert sum(lot.remaining for lot in client.lots(ann.id)) == 1000
    assert [reward.cost for reward in client.rewards()] == [10]
    assert [one.state for one in client.redemptions(ann.id)] == ["released", "released"]
    assert [one.state for one in client.vouchers()] == ["revoked"]
    assert client.record("review", key="r1", member=ann.id).points == 5
    assert list(client.transactions()) == []
    hub.assert_clean()


def test_an_answer_that_was_lost_is_asked_for_again_and_nothing_happens_twice(
    hub: Hub, client: Client, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line(monkeypatch)
    line.loses_answers = 2
    done = client.redeem("mem_ann", reward="tea")
    assert (line.asked, waits) == (3, [0.2, 0.4])
    (row,) = hub.rows("SELECT public_id FROM redemptions")
    assert row.public_id == done.id
    assert client.member("mem_ann").points.balance == 990


def test_a_line_that_is_dead_is_told_and_the_same_key_goes_on(
    hub: Hub, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line(monkeypatch)
    line.loses_answers = 4
    with pytest.raises(HubAway):
        client.redeem("mem_ann", reward="tea", key="bill 7")
    assert client.redeem("mem_ann", reward="tea", key="bill 7").points == 10
    assert len(hub.rows("SELECT 1 FROM redemptions")) == 1


def test_a_refusal_is_a_problem_with_its_numbers_and_is_not_asked_again(
    client: Client, waits: list[float]
) -> None:
    with pytest.raises(HubProblem) as refused:
        client.redeem("mem_ann", points=5000)
    assert (refused.value.code, refused.value.more["available"], waits) == (
        "not_enough_points",
        1000,
        [],
    )
    with pytest.raises(HubProblem) as missing:
        client.member("mem_nobody")
    assert (missing.value.status, missing.value.code) == (404, "not_found")


def test_it_waits_as_long_as_the_hub_says(
    client: Client, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([(429, "7"), (503, "5"), (200, "")])

    def send(self: requests.Session, request: Any, **_more: Any) -> requests.Response:
        answer = requests.Response()
        answer.status_code, wait = next(answers)
        answer.headers["Retry-After"] = wait
        answer._content = b"[]" if answer.ok else b"no JSON"
        return answer

    monkeypatch.setattr(requests.Session, "send", send)
    assert client.rewards() == []
    assert waits == [7.0, 5.0]


def test_a_code_is_sent_once_even_when_its_answer_is_lost(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line(monkeypatch)
    line.loses_requests = 1
    with pytest.raises(HubAway):
        client.send_code("mem_ann")
    assert line.asked == 1
