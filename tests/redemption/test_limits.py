"""Stock, limits and validity of rewards: refused whole, raced fairly, free again when taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from hub.desk.place import Desk
from hub.desk.rewards import redeem, redeem_several, take_back
from hub.ledger import commands
from hub.ledger.commands import Command, NotEnoughPoints
from hub.ledger.merging import Merge, merge
from hub.redemption.limits import NotOffered
from hub.redemption.redeem import KeyReused, Redeemed
from hub.web import keys
from tests.hubs import Hub, running_hub
from tests.people import new_member


@dataclass
class Counter:
    """A hub with one reward, and members with a hundred points each."""

    hub: Hub
    members: list[int]

    def buy(
        self, member: int = 0, quantity: int = 1, key: str | None = None, **clock: Any
    ) -> list[Redeemed]:
        runtime = self.hub.runtime
        if clock:
            runtime = replace(runtime, clock=lambda: datetime.now(UTC) + timedelta(**clock))
        with runtime.sessions.begin() as session:
            desk = Desk(runtime, session, self.hub.program, "test")
            return redeem_several(desk, self.members[member], "r", quantity, key=key)

    def refusal(self, member: int = 0, quantity: int = 1) -> str:
        with pytest.raises(NotOffered) as refused:
            self.buy(member, quantity)
        return refused.value.why

    def balance(self, member: int = 0) -> int:
        sql = "SELECT balance FROM accounts WHERE member_id = :id"
        return int(self.hub.rows(sql, id=self.members[member])[0].balance)

    def count(self) -> int:
        return len(self.hub.rows("SELECT 1 FROM redemptions"))


Opened = Callable[..., AbstractContextManager[Counter]]


@pytest.fixture
def opened(database: str, redis_url: str, tmp_path: Path) -> Opened:
    @contextmanager
    def open_(**reward: Any) -> Iterator[Counter]:
        document = {
            "earn": {"per": {"VND": "10000"}},
            "rewards": [{"id": "r", "name": "R", "cost": 10, "perk": "A cup", **reward}],
        }
        with running_hub(database, redis_url, tmp_path, document=document) as hub:
            members = []
            with hub.runtime.sessions.begin() as session:
                for name in ("Ann", "Bob", "Cam"):
                    members.append(new_member(session, hub.program.id, name))
                    gift = Command(
                        hub.program.id, members[-1], f"gift:{name}", "test", hub.runtime.chain_key
                    )
                    commands.adjust(session, gift, 100)
            yield Counter(hub, members)
            hub.assert_clean()

    return open_


def test_stock_is_for_everybody_together_and_comes_back_with_what_is_taken_back(opened: Opened) -> None:
    with opened(stock=2) as counter:
        (first,) = counter.buy(0)
        counter.buy(1)
        assert counter.refusal(2) == "sold_out"
        assert (counter.balance(2), counter.count()) == (100, 2)
        with counter.hub.runtime.sessions.begin() as session:
            take_back(Desk(counter.hub.runtime, session, counter.hub.program, "test"), first.id)
        counter.buy(2)
        assert counter.refusal(0) == "sold_out"


def test_the_last_one_is_sold_once_however_many_want_it(opened: Opened) -> None:
    with opened(stock=3) as counter:

        def attempt(number: int) -> bool:
            try:
                counter.buy(number % 3)
            except NotOffered:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            had = list(pool.map(attempt, range(16)))
        assert (sum(had), counter.count()) == (3, 3)
        assert sum(counter.balance(n) for n in range(3)) == 270


def test_a_member_has_so_many_also_under_a_merged_name(opened: Opened) -> None:
    with opened(per_member=2) as counter:
        counter.buy(0)
        counter.buy(1)
        hub = counter.hub
        with hub.runtime.sessions.begin() as session:
            gone, kept = counter.members[1], counter.members[0]
            merge(session, Merge(hub.program.id, gone, kept, "test", hub.runtime.chain_key))
        assert counter.refusal(0) == "limit_reached"
        counter.buy(2)


def test_a_day_is_the_programmes(opened: Opened) -> None:
    with opened(per_day=1) as counter:
        counter.buy(0)
        assert counter.refusal(0) == "limit_of_today_reached"
        counter.buy(1)
        with counter.hub.runtime.sessions.begin() as session:
            session.connection().exec_driver_sql(
                "UPDATE redemptions SET created_at = created_at - interval '1 day'"
            )
        counter.buy(0)


def test_several_are_bought_together_or_not_at_all(opened: Opened) -> None:
    with opened(stock=4) as counter:
        codes = {one.code for one in counter.buy(0, 3, key="a")}
        assert (len(codes), counter.balance()) == (3, 70)
        assert {one.code for one in counter.buy(0, 3, key="a")} == codes
        assert (counter.balance(), counter.count()) == (70, 3)
        with pytest.raises(KeyReused):
            counter.buy(0, 2, key="a")
        assert counter.refusal(0, 2) == "sold_out"
        assert (counter.balance(), counter.count()) == (70, 3)


def test_what_is_not_enough_for_all_is_refused_for_all_with_the_whole_price(opened: Opened) -> None:
    with opened() as counter, pytest.raises(NotEnoughPoints) as refused:
        counter.buy(0, 11)
    assert (refused.value.needed, refused.value.available) == (110, 100)


@pytest.mark.parametrize(
    ("window", "why"),
    [
        ({"from": "2999-01-01"}, "not_valid_yet"),
        ({"until": "2020-01-01"}, "no_longer_valid"),
        ({"valid_until": "2020-01-01"}, "no_longer_valid"),
    ],
)
def test_a_reward_has_its_time(opened: Opened, window: dict[str, str], why: str) -> None:
    with opened(**window) as counter:
        assert counter.refusal() == why
        assert counter.count() == 0


def test_a_code_ends_with_the_earlier_of_its_two_ends(opened: Opened) -> None:
    with opened(valid_days=30, valid_until="2999-12-31") as counter:
        (one,) = counter.buy()
        assert one.expires_at is not None
        assert one.expires_at - datetime.now(UTC) < timedelta(days=31)


def test_the_api_says_what_is_left_and_why_not(opened: Opened) -> None:
    with opened(stock=2) as counter:
        hub = counter.hub
        with hub.runtime.sessions.begin() as session:
            _, key = keys.create(session, hub.program, name="t", scopes=keys.SCOPES, actor="test")
        (row,) = hub.rows("SELECT public_id FROM members WHERE id = :id", id=counter.members[0])
        head, api = {"Authorization": f"Bearer {key}"}, f"{hub.url}/api/v1"
        assert requests.get(f"{api}/rewards", headers=head, timeout=10).json()[0]["left"] == 2
        wish = {"member": row.public_id, "reward": "r", "quantity": 2}
        made = requests.post(f"{api}/redemptions", json=wish, headers=head, timeout=10)
        assert (made.status_code, len(made.json()["also"])) == (201, 1)
        assert requests.get(f"{api}/rewards", headers=head, timeout=10).json()[0]["left"] == 0
        again = requests.post(f"{api}/redemptions", json=wish, headers=head, timeout=10)
        assert (again.status_code, again.json()["code"]) == (409, "sold_out")


def test_one_reward_at_a_time_is_as_it_was(opened: Opened) -> None:
    with opened() as counter:
        runtime = counter.hub.runtime
        with runtime.sessions.begin() as session:
            desk = Desk(runtime, session, counter.hub.program, "test")
            first = redeem(desk, counter.members[0], "r", key="k")
            again = redeem(desk, counter.members[0], "r", key="k")
        assert (first.id, again.repeated, counter.balance()) == (again.id, True, 90)
