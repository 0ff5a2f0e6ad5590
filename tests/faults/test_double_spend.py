"""Fifty people at once with the points of one: one code, and an answer for everybody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import requests

from hub.ids import new_id
from hub.ledger import commands
from hub.web import keys
from tests.crew import Crew, a_crew
from tests.people import add

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "rewards": [
        {"id": "small", "name": "Small", "cost": 20, "amount": {"VND": "50000"}},
        {"id": "other", "name": "Other", "cost": 15, "amount": {"VND": "30000"}},
    ],
}


@dataclass
class Counterfoil:
    """A hub's API as its clients see it."""

    crew: Crew
    key: str

    def member(self, points: int) -> str:
        """A new member with that many points."""
        hub = self.crew.hub
        with hub.runtime.sessions.begin() as session:
            public_id = new_id("mem")
            member = add(session, "members", public_id=public_id, program_id=hub.program.id, name="Ann")
            order = commands.Command(
                hub.program.id, member, f"start:{public_id}", "test", hub.runtime.chain_key
            )
            commands.adjust(session, order, points)
        return public_id

    def redeem(self, member: str, reward: str = "small", key: str = "") -> requests.Response:
        headers = {"Authorization": f"Bearer {self.key}"} | ({"Idempotency-Key": key} if key else {})
        return requests.post(
            f"{self.crew.hub.url}/api/v1/redemptions",
            json={"member": member, "reward": reward},
            headers=headers,
            timeout=30,
        )


@pytest.fixture
def api(database: str, redis_url: str, tmp_path: Path) -> Iterator[Counterfoil]:
    with a_crew(database, redis_url, tmp_path, document=DOCUMENT) as crew:
        hub = crew.hub
        hub.add_channel("generic_pos", {"webhook_secret": "whsec_c2VjcmV0"}, "Till")
        with hub.runtime.sessions.begin() as session:
            _, key = keys.create(session, hub.program, name="t", scopes=keys.SCOPES, actor="test")
        crew.serve()
        yield Counterfoil(crew, key)


def at_once(times: int, act: Callable[[int], requests.Response]) -> list[requests.Response]:
    """Call `act(0)` to `act(times - 1)` from as many threads, all starting together."""
    barrier = Barrier(times)

    def one(number: int) -> requests.Response:
        barrier.wait()
        return act(number)

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(one, range(times)))


def statuses(answers: list[requests.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


def one_value(api: Counterfoil, statement: str, **parameters: Any) -> Any:
    return api.crew.hub.rows(statement, **parameters)[0][0]


def test_of_fifty_redemptions_of_a_balance_for_one_one_wins(api: Counterfoil) -> None:
    ann = api.member(35)
    answers = at_once(50, lambda n: api.redeem(ann, key=f"try-{n}" if n % 2 else ""))
    assert statuses(answers) == {201: 1, 409: 49}, api.crew.log.read_text()[-2000:]
    refused = next(a.json() for a in answers if a.status_code == 409)
    assert (refused["code"], refused["available"], refused["needed"]) == ("not_enough_points", 15, 20)
    assert one_value(api, "SELECT count(*) FROM vouchers") == 1
    assert one_value(api, "SELECT balance FROM accounts") == 15
    api.crew.hub.assert_clean()


def test_fifty_members_do_not_stand_in_each_others_way(api: Counterfoil) -> None:
    members = [api.member(20) for _ in range(50)]
    answers = at_once(50, lambda n: api.redeem(members[n]))
    assert statuses(answers) == {201: 50}
    assert one_value(api, "SELECT sum(balance) FROM accounts") == 0
    api.crew.hub.assert_clean()


def test_one_key_from_twenty_threads_is_one_redemption(api: Counterfoil) -> None:
    ann = api.member(200)
    answers = at_once(20, lambda _: api.redeem(ann, key="the same"))
    assert statuses(answers) == {201: 20}
    assert len({answer.json()["code"] for answer in answers}) == 1
    assert one_value(api, "SELECT balance FROM accounts") == 180
    again = api.redeem(ann, key="the same")
    assert again.json() == answers[0].json()
    assert one_value(api, "SELECT count(*) FROM entries") == 2
    api.crew.hub.assert_clean()


def test_one_key_for_another_wish_is_refused_and_changes_nothing(api: Counterfoil) -> None:
    ann, bob = api.member(200), api.member(200)
    assert api.redeem(ann, key="k").status_code == 201
    for member, reward in ((ann, "other"), (bob, "small")):
        answer = api.redeem(member, reward, key="k")
        assert (answer.status_code, answer.json()["code"]) == (422, "key_reused")
    assert one_value(api, "SELECT sum(balance) FROM accounts") == 380
    api.crew.hub.assert_clean()


def test_a_key_too_long_to_be_kept_whole_is_refused(api: Counterfoil) -> None:
    """Cut to what is kept, two wishes would be one."""
    ann = api.member(200)
    assert api.redeem(ann, key="k" * 200).status_code == 201
    answer = api.redeem(ann, key="k" * 201)
    assert (answer.status_code, answer.json()["code"]) == (400, "key_too_long")
    assert one_value(api, "SELECT count(*) FROM redemptions") == 1
