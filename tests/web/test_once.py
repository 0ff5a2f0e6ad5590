"""A request with an Idempotency-Key is carried out once, and its answer is kept."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from hub import answers
from hub.ledger import commands
from hub.ledger.commands import Command
from hub.web import keys
from tests.hubs import Hub, running_hub
from tests.people import add

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "rewards": [{"id": "tea", "name": "Tea", "cost": 10, "amount": {"VND": "50000"}}],
    "actions": [{"id": "review", "points": 5}],
}


class Till:
    """Asks a hub with a key; Ann has 100 points there."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        with hub.runtime.sessions.begin() as session:
            _, self.key = keys.create(session, hub.program, name="t", scopes=keys.SCOPES, actor="test")
            ann = add(session, "members", public_id="mem_ann", program_id=hub.program.id, name="Ann")
            order = Command(hub.program.id, ann, "start", "test", hub.runtime.chain_key)
            commands.adjust(session, order, 100)

    def post(self, path: str, key: str | None = None, data: str | None = None, **wish: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.key}"} | ({"Idempotency-Key": key} if key else {})
        headers["Content-Type"] = "application/json"
        body = {"data": data} if data else {"json": wish}
        return requests.post(f"{self.hub.url}/api/v1/{path}", headers=headers, timeout=20, **body)

    def buy(self, key: str | None = None, **more: Any) -> Any:
        return self.post("redemptions", key, member="mem_ann", reward="tea", **more)

    def balance(self) -> int:
        return int(self.hub.rows("SELECT balance FROM accounts")[0].balance)


@pytest.fixture
def till(database: str, redis_url: str, tmp_path: Path) -> Iterator[Till]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        yield Till(hub)


def test_the_same_request_again_gets_the_same_bytes_and_the_second_run_is_clean(till: Till) -> None:
    first = till.buy("k")
    (code,) = till.hub.rows("SELECT id FROM vouchers")
    till.post(f"redemptions/{first.json()['id']}/take-back")  # what it was is kept, not what it is
    before = till.hub.rows(
        "SELECT (SELECT count(*) FROM entries) AS e, (SELECT count(*) FROM audit) AS a"
    )
    again = till.buy("k")
    assert (again.status_code, again.content) == (201, first.content)
    assert (first.headers.get("Idempotency-Replayed"), again.headers["Idempotency-Replayed"]) == (
        None,
        "true",
    )
    assert till.hub.rows("SELECT id FROM vouchers") == [code]
    after = till.hub.rows(
        "SELECT (SELECT count(*) FROM entries) AS e, (SELECT count(*) FROM audit) AS a"
    )
    assert after == before
    till.hub.assert_clean()


def test_spacing_and_order_of_the_body_do_not_make_another_request(till: Till) -> None:
    first = till.post("redemptions", "k", data='{"member": "mem_ann", "reward": "tea"}')
    again = till.post("redemptions", "k", data='{"reward":"tea",\n "member":"mem_ann"}')
    assert (again.status_code, again.content) == (201, first.content)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("redemptions", {"member": "mem_ann", "reward": "tea", "quantity": 2}),
        ("redemptions", {"member": "mem_nobody", "reward": "tea"}),
        ("events", {"member": "mem_ann", "event": "review"}),
    ],
)
def test_the_key_of_another_request_is_refused(till: Till, path: str, body: dict[str, Any]) -> None:
    assert till.buy("k").status_code == 201
    answer = till.post(path, "k", **body)
    assert (answer.status_code, answer.json()["code"]) == (422, "key_reused")
    assert till.balance() == 90


def test_what_was_refused_changed_nothing_and_its_key_may_try_again(till: Till) -> None:
    wish = {"quantity": 11}
    assert till.buy("k", **wish).json()["code"] == "not_enough_points"
    assert till.hub.rows("SELECT 1 FROM idempotency_keys") == []
    with till.hub.runtime.sessions.begin() as session:
        (ann,) = till.hub.rows("SELECT id FROM members")
        order = Command(till.hub.program.id, ann.id, "more", "test", till.hub.runtime.chain_key)
        commands.adjust(session, order, 20)
    assert (till.buy("k", **wish).status_code, till.balance()) == (201, 10)


def test_requests_at_once_are_one_deed_and_get_one_answer(till: Till) -> None:
    """Real threads over real HTTP: the second waits on the first one's row."""
    ready, answers = threading.Barrier(6), []

    def ask() -> None:
        ready.wait(timeout=20)
        answers.append(till.buy("k"))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert (till.balance(), len(till.hub.rows("SELECT 1 FROM redemptions"))) == (90, 1)
    till.hub.assert_clean()


def test_who_waits_too_long_for_the_first_is_told_to_ask_again(till: Till) -> None:
    with till.hub.runtime.sessions.begin() as session:
        session.connection().exec_driver_sql(
            "INSERT INTO idempotency_keys (program_id, key, request_hash) SELECT id, 'k', 'x' FROM programs"
        )
        answer = till.buy("k")
        session.rollback()
    assert (answer.status_code, answer.json()["code"]) == (409, "in_progress")
    assert till.buy("k").status_code == 201


def test_keys_of_another_programme_are_its_own(till: Till) -> None:
    assert till.buy("k").status_code == 201
    with till.hub.runtime.sessions.begin() as session:
        other = add(session, "programs", public_id="prg_x", slug="x", name="X", currency="VND",
                    time_zone="UTC", region="VN", starts_at="2020-01-01Z")  # fmt: skip
        session.connection().exec_driver_sql(
            f"INSERT INTO idempotency_keys (program_id, key, request_hash, status, response)"
            f" VALUES ({other}, 'theirs', 'x', 200, '{{}}')"
        )
    assert till.buy("theirs").status_code == 201


def test_old_answers_are_forgotten_and_a_redemption_knows_its_key_for_ever(till: Till) -> None:
    first = till.buy("k")
    with till.hub.runtime.sessions.begin() as session:
        answers.forget(session, till.hub.runtime.clock() + answers.KEPT)
    assert till.hub.rows("SELECT 1 FROM idempotency_keys") == []
    assert till.buy("k").json()["id"] == first.json()["id"]
    assert till.balance() == 90
