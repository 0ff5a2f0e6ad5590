"""At the till: points are held, proved with a one-time code, and nobody redeems without end or for themselves."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from hub import alerts
from hub.desk.telling import sentences
from hub.ids import new_id
from hub.ledger import commands
from hub.ledger.commands import Command
from hub.ledger.verify import verify
from hub.members import staff
from hub.program import store
from hub.program.store import Program
from hub.runtime import Runtime
from hub.sending import Message, NotSent
from hub.web import keys
from tests.apps import an_app
from tests.conftest import Clock
from tests.hubs import START
from tests.people import add

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "paying": {"points": 1, "worth": {"VND": "1000"}},
    "rewards": [
        {"id": "tea", "name": "Tea", "cost": 10, "amount": {"VND": "50000"}},
        {"id": "bag", "name": "Bag", "cost": 100, "amount": {"VND": "500000"}},
    ],
}


class Post:
    """A sender that keeps what it sends, or fails."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.fails = False

    def send(self, message: Message) -> None:
        if self.fails:
            raise NotSent("gateway_down", "no answer")
        self.sent.append(message)

    @property
    def code(self) -> str:
        return self.sent[-1].code


class Shop:
    """A till of a programme; Ann has 1,000 points and a phone."""

    def __init__(self, runtime: Runtime, program: Program) -> None:
        self.runtime, self.program = runtime, program
        self.app = an_app(runtime)
        with runtime.sessions.begin() as session:
            _, self.key = keys.create(
                session, program, name="Till app", scopes=keys.SCOPES, actor="test"
            )
            self.ann = self.member("ann", "+84912345678", session)

    def member(self, name: str, phone: str, session: Any) -> str:
        public_id = f"mem_{name}"
        member = add(session, "members", public_id=public_id, program_id=self.program.id, name=name)
        add(
            session,
            "identities",
            program_id=self.program.id,
            member_id=member,
            kind="phone",
            value=phone,
        )
        order = Command(self.program.id, member, f"start {name}", "test", self.runtime.chain_key)
        commands.adjust(session, order, 1000)
        return public_id

    def client(self) -> FlaskClient:
        return self.app.test_client()

    def post(self, path: str, key: str | None = None, **body: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.key}"} | ({"Idempotency-Key": key} if key else {})
        return self.client().post(f"/api/v1/{path}", json=body, headers=headers)

    def redeem(self, key: str | None = None, **more: Any) -> Any:
        wish = {"member": self.ann, "reward": "tea", **more}
        return self.post("redemptions", key, **{k: v for k, v in wish.items() if v is not None})

    def send(self, member: str = "mem_ann", **more: Any) -> Any:
        return self.post(f"members/{member}/one-time-codes", **more)

    def rows(self, statement: str) -> Any:
        with self.runtime.sessions() as session:
            return session.connection().exec_driver_sql(statement).all()

    def balance(self) -> int:
        sql = "SELECT balance FROM accounts a JOIN members m ON m.id = a.member_id WHERE public_id = 'mem_ann'"
        return int(self.rows(sql)[0].balance)

    def alerts(self) -> list[str]:
        with self.runtime.sessions() as session:
            found = alerts.unsettled(session, self.program.id)
            return sentences(session, found)

    def assert_clean(self) -> None:
        with self.runtime.sessions() as session:
            assert verify(session, self.runtime.chain_key).clean


@pytest.fixture
def post(monkeypatch: pytest.MonkeyPatch) -> Post:
    made = Post()
    monkeypatch.setattr("hub.sending.sender", lambda settings, way: made if way == "sms" else None)
    return made


@pytest.fixture
def open_shop(runtime: Runtime, clock: Clock) -> Any:
    @contextmanager
    def opened(paying: Any = None, **till: Any) -> Iterator[Shop]:
        timed = replace(runtime, clock=clock)
        with timed.sessions.begin() as session:
            program = store.create(
                session, slug="ours", name="Ours", currency="VND", time_zone="UTC", region="VN", starts_at=START,
                document={**DOCUMENT, "paying": paying or DOCUMENT["paying"], "till": till},
                actor="test",
            )  # fmt: skip
        shop = Shop(timed, program)
        yield shop
        shop.assert_clean()

    return opened


@pytest.fixture
def runtime(database: str, redis_url: str, tmp_path: Path) -> Iterator[Runtime]:
    from hub.settings import Settings

    settings = Settings(data=tmp_path, database_url=database, redis_url=redis_url)
    started = Runtime.start(settings, "web")
    yield started
    started.engine.dispose()


# --- hold, commit, void --------------------------------------------------------------------------


def test_what_is_held_is_committed_to_one_code_however_often_it_is_said(open_shop: Any) -> None:
    with open_shop() as shop:
        held = shop.redeem("h", hold=True)
        assert (held.status_code, held.json["state"], held.json["code"]) == (201, "held", None)
        assert held.json["hold_until"] is not None
        assert (shop.balance(), shop.redeem("h", hold=True).data) == (990, held.data)
        first = shop.post(f"redemptions/{held.json['id']}/commit", "c")
        assert (first.status_code, first.json["state"], len(first.json["code"]) > 12) == (
            200,
            "committed",
            True,
        )
        assert shop.post(f"redemptions/{held.json['id']}/commit", "c").data == first.data
        assert shop.post(f"redemptions/{held.json['id']}/commit").json["code"] == first.json["code"]
        void = shop.post(f"redemptions/{held.json['id']}/void")
        assert (void.status_code, void.json["code"], shop.balance()) == (409, "already_committed", 990)
        assert len(shop.rows("SELECT 1 FROM vouchers")) == 1


def test_what_is_held_is_let_go_once(open_shop: Any) -> None:
    with open_shop() as shop:
        held = shop.redeem(reward=None, points=300, hold=True).json
        for _ in range(2):
            void = shop.post(f"redemptions/{held['id']}/void")
            assert (void.status_code, void.json["state"], shop.balance()) == (200, "released", 1000)
        commit = shop.post(f"redemptions/{held['id']}/commit")
        assert (commit.status_code, commit.json["code"]) == (409, "hold_released")


def test_a_hold_whose_time_is_over_is_no_code_any_more(open_shop: Any) -> None:
    with open_shop() as shop:
        held = shop.redeem(hold=True).json
        with shop.runtime.sessions.begin() as session:
            over = "UPDATE redemptions SET hold_until = now() - interval '1 second'"
            session.connection().exec_driver_sql(over)
        commit = shop.post(f"redemptions/{held['id']}/commit")
        assert (commit.status_code, commit.json["code"]) == (409, "hold_expired")


@pytest.mark.parametrize("verb", ["commit", "void"])
def test_another_programmes_redemption_is_not_there(open_shop: Any, verb: str) -> None:
    with open_shop() as shop:
        held = shop.redeem(hold=True).json
        with shop.runtime.sessions.begin() as session:
            other = store.create(
                session, slug="theirs", name="Theirs", currency="VND", time_zone="UTC", region="VN",
                starts_at=START, document=DOCUMENT, actor="test",
            )  # fmt: skip
            _, shop.key = keys.create(session, other, name="t", scopes=keys.SCOPES, actor="test")
        assert shop.post(f"redemptions/{held['id']}/{verb}").status_code == 404
        assert shop.rows("SELECT state FROM redemptions")[0].state == "held"


def test_several_cannot_be_held_at_once(open_shop: Any) -> None:
    with open_shop() as shop:
        assert shop.redeem(hold=True, quantity=2).status_code == 422


def test_a_member_pays_with_so_many_points_a_day_and_what_was_let_go_counts_no_more(
    open_shop: Any,
) -> None:
    paying = {"points": 1, "worth": {"VND": "1000"}, "most_per_day": 300}
    with open_shop(paying=paying) as shop:
        first = shop.redeem(reward=None, points=200, hold=True).json
        refused = shop.redeem(reward=None, points=101)
        assert (refused.status_code, refused.json["code"]) == (409, "limit_of_today_reached")
        assert shop.redeem(reward=None, points=100).status_code == 201
        assert shop.redeem(reward="tea").status_code == 201, "a reward is no payment"
        shop.post(f"redemptions/{first['id']}/void")
        assert shop.redeem(reward=None, points=200).status_code == 201
        assert shop.balance() == 690


# --- one-time codes ------------------------------------------------------------------------------


def test_a_large_redemption_needs_the_code_that_the_member_was_sent(open_shop: Any, post: Post) -> None:
    with open_shop(code_above=50) as shop:
        assert shop.redeem(reward="tea").status_code == 201, "ten points are not more than fifty"
        refused = shop.redeem(reward="bag")
        assert (refused.status_code, refused.json["code"], shop.balance()) == (409, "code_needed", 990)
        sent = shop.send()
        assert (sent.status_code, sent.json["way"], sent.json["to"]) == (201, "sms", "+84…678")
        assert post.sent[0].to == "+84912345678"
        assert f"{post.code} is your code at Ours." in post.sent[0].text
        done = shop.redeem("k", reward="bag", one_time_code=post.code)
        assert (done.status_code, shop.balance()) == (201, 890)
        again = shop.redeem("k", reward="bag", one_time_code=post.code)
        assert (again.data, again.headers["Idempotency-Replayed"]) == (done.data, "true")
        assert shop.rows("SELECT tries, state FROM one_time_codes") == [(1, "used")]
        other = shop.redeem(reward="bag", one_time_code=post.code)
        assert (other.json["code"], shop.balance()) == ("wrong_code", 890), "a code is good for one"


def test_holding_needs_the_code_and_committing_does_not(open_shop: Any, post: Post) -> None:
    with open_shop(code_above=0) as shop:
        assert shop.redeem(hold=True).json["code"] == "code_needed"
        shop.send()
        held = shop.redeem(hold=True, one_time_code=post.code).json
        assert shop.post(f"redemptions/{held['id']}/commit").status_code == 200


def test_several_small_ones_together_are_a_large_one(open_shop: Any, post: Post) -> None:
    with open_shop(code_above=50) as shop:
        assert shop.redeem(quantity=6).json["code"] == "code_needed"
        assert shop.redeem(quantity=5).status_code == 201


def test_five_wrong_tries_end_a_code_and_the_right_one_comes_too_late(
    open_shop: Any, post: Post
) -> None:
    with open_shop(code_above=0) as shop:
        shop.send()
        wrong = f"{(int(post.code) + 1) % 10**6:06d}"
        left = [shop.redeem(one_time_code=wrong).json["tries_left"] for _ in range(5)]
        assert left == [4, 3, 2, 1, 0]
        late = shop.redeem(one_time_code=post.code)
        assert (late.status_code, late.json["code"], late.json["tries_left"]) == (409, "wrong_code", 0)
        assert shop.balance() == 1000
        shop.send()
        assert shop.redeem(one_time_code=post.code).status_code == 201


def test_tries_at_once_are_counted_each(open_shop: Any, post: Post) -> None:
    """Twelve real threads with a wrong code: the row counts five, and no sixth is looked at."""
    with open_shop(code_above=0) as shop:
        shop.send()
        wrong = f"{(int(post.code) + 1) % 10**6:06d}"
        ready, left = threading.Barrier(12), []

        def guess() -> None:
            ready.wait(timeout=20)
            left.append(shop.redeem(one_time_code=wrong).json["tries_left"])

        threads = [threading.Thread(target=guess) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert sorted(left) == [0] * 8 + [1, 2, 3, 4]
        assert shop.rows("SELECT tries FROM one_time_codes")[0].tries == 5


def test_a_right_code_in_two_redemptions_at_once_is_good_for_one(open_shop: Any, post: Post) -> None:
    """Real threads: both tries fit, and the conditional UPDATE lets one of them through."""
    with open_shop(code_above=0) as shop:
        shop.send()
        ready, seen = threading.Barrier(4), []

        def buy() -> None:
            ready.wait(timeout=20)
            seen.append(shop.redeem(one_time_code=post.code).status_code)

        threads = [threading.Thread(target=buy) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert sorted(seen) == [201, 409, 409, 409]
        assert shop.balance() == 990


def test_a_code_lasts_five_minutes_and_until_the_next(open_shop: Any, post: Post, clock: Clock) -> None:
    with open_shop(code_above=0) as shop:
        shop.send()
        first = post.code
        clock.advance(minutes=4, seconds=59)
        shop.send()
        assert first == post.code or shop.redeem(one_time_code=first).json["code"] == "wrong_code"
        clock.advance(minutes=5)
        assert shop.redeem(one_time_code=post.code).json["code"] == "wrong_code"


def test_somebody_elses_code_is_none(open_shop: Any, post: Post) -> None:
    with open_shop(code_above=0) as shop:
        with shop.runtime.sessions.begin() as session:
            bob = shop.member("bob", "+84987654321", session)
        shop.send(bob)
        assert shop.redeem(one_time_code=post.code).json["code"] == "wrong_code"
        assert shop.redeem(member=bob, one_time_code=post.code).status_code == 201


def test_sending_is_paced_for_each_member(open_shop: Any, post: Post, clock: Clock) -> None:
    with open_shop() as shop:
        assert [shop.send().status_code for _ in range(4)] == [201, 201, 201, 429]
        refused = shop.send()
        assert (refused.json["code"], refused.headers["Retry-After"]) == ("too_many_codes", "30")
        assert len(post.sent) == 3
        with shop.runtime.sessions.begin() as session:
            bob = shop.member("bob", "+84987654321", session)
        assert shop.send(bob).status_code == 201
        clock.advance(seconds=31)
        assert shop.send().status_code == 201


def test_a_till_and_an_address_are_paced_too(
    open_shop: Any, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hub.desk import tills

    monkeypatch.setattr(tills, "OF_TILL", replace(tills.OF_TILL, free=2))
    monkeypatch.setattr(tills, "OF_ADDRESS", replace(tills.OF_ADDRESS, free=4))
    with open_shop() as shop:
        with shop.runtime.sessions.begin() as session:
            many = [shop.member(f"m{n}", f"+8491234560{n}", session) for n in range(6)]
        assert [shop.send(who, till="1").status_code for who in many[:3]] == [201, 201, 429]
        assert [shop.send(who, till=str(n)).status_code for n, who in enumerate(many[3:], 2)] == [
            201,
            201,
            429,
        ]


def test_a_code_that_cannot_be_sent_is_worth_nothing(open_shop: Any, post: Post) -> None:
    with open_shop(code_above=0) as shop:
        post.fails = True
        failed = shop.send()
        assert (failed.status_code, failed.json["code"]) == (503, "gateway_down")
        assert shop.rows("SELECT state FROM one_time_codes") == [("not_sent",)]
        nowhere = shop.send(way="email")
        assert (nowhere.status_code, nowhere.json["code"]) == (409, "no_contact")


def test_no_code_stands_in_the_database_the_audit_or_the_log(
    open_shop: Any, post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with open_shop(code_above=0) as shop:
        shop.send()
        shop.redeem("k", one_time_code=post.code)
        stored = shop.rows("SELECT o::text AS line FROM one_time_codes o UNION ALL SELECT a::text FROM audit a"
                           " UNION ALL SELECT i::text FROM idempotency_keys i")  # fmt: skip
        assert len(stored) > 2
        assert not any(post.code in row.line for row in stored)
        assert post.code not in caplog.text


# --- what cashiers do ----------------------------------------------------------------------------


def test_a_cashier_who_redeems_too_often_is_stopped_and_a_person_is_told(
    open_shop: Any, clock: Clock
) -> None:
    with open_shop(redemptions_per_hour=2) as shop:
        assert [shop.redeem(cashier="Lan").status_code for _ in range(4)] == [201, 201, 409, 409]
        assert shop.redeem(cashier="Lan").json["code"] == "cashier_limit"
        assert shop.redeem(cashier="Minh").status_code == 201
        assert shop.balance() == 970
        (said,) = shop.alerts()
        assert (
            said == "Lan wanted to redeem more than 2 times in an hour and was stopped. 3 times so far."
        )
        clock.advance(minutes=61)
        assert shop.redeem(cashier="Lan").status_code == 201


def test_points_are_limited_too_and_who_names_no_cashier_is_the_key(open_shop: Any) -> None:
    with open_shop(points_per_hour=100) as shop:
        assert shop.redeem(reward="bag").status_code == 201
        assert shop.redeem(reward="tea").json["code"] == "cashier_limit"
        assert shop.alerts() == [
            "Till app wanted to redeem more than 100 points in an hour and was stopped."
        ]


def test_a_cashiers_redemptions_at_once_are_counted_one_by_one(open_shop: Any) -> None:
    """Eight real threads: each waits for the cashier's turn, so none is counted twice or not at all."""
    with open_shop(redemptions_per_hour=3) as shop:
        ready, seen = threading.Barrier(8), []

        def buy() -> None:
            ready.wait(timeout=20)
            seen.append(shop.redeem(new_id("k"), cashier="Lan").status_code)

        threads = [threading.Thread(target=buy) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert sorted(seen) == [201] * 3 + [409] * 5
        assert shop.balance() == 970


def test_without_limits_nothing_is_written_down_of_cashiers(open_shop: Any) -> None:
    with open_shop() as shop:
        shop.redeem()
        assert shop.rows("SELECT 1 FROM cashiers UNION ALL SELECT 1 FROM till_acts") == []
        shop.redeem(cashier="Lan", till="3")
        assert shop.rows("SELECT cashier, till, points FROM till_acts") == [("Lan", "3", 10)]


def test_who_redeems_for_themselves_is_told_of(open_shop: Any) -> None:
    with open_shop() as shop:
        with shop.runtime.sessions.begin() as session:
            ann = session.connection().exec_driver_sql("SELECT id FROM members").scalar_one()
            staff.put(session, shop.program.id, "Lan", ann, shop.runtime.clock())
        done = shop.redeem(cashier="Lan")
        assert done.status_code == 201
        assert shop.alerts() == [f"Lan redeemed points of their own ({done.json['id']})."]
        shop.redeem(cashier="Minh")
        assert len(shop.alerts()) == 1


def test_who_redeems_for_themselves_is_stopped_where_the_programme_says_so(open_shop: Any) -> None:
    with open_shop(own_redemptions="refuse") as shop:
        with shop.runtime.sessions.begin() as session:
            ann = session.connection().exec_driver_sql("SELECT id FROM members").scalar_one()
            staff.put(session, shop.program.id, "Lan", ann, shop.runtime.clock())
        for _ in range(2):
            refused = shop.redeem("k", cashier="Lan")
            assert (refused.status_code, refused.json["code"], shop.balance()) == (
                409,
                "own_account",
                1000,
            )
        said = "Lan wanted to redeem points of their own and was stopped. 2 times so far."
        assert shop.alerts() == [said]
        assert shop.redeem("k", cashier="Minh").status_code == 201


def test_an_alert_that_was_settled_opens_anew_when_it_happens_again(open_shop: Any) -> None:
    with open_shop(redemptions_per_hour=1) as shop:
        for _ in range(3):
            shop.redeem(cashier="Lan")
        with shop.runtime.sessions.begin() as session:
            (one,) = alerts.unsettled(session, shop.program.id)
            now = shop.runtime.clock() + timedelta(minutes=1)
            assert alerts.settle(session, shop.program.id, one.id, actor="user:x", now=now)
            assert not alerts.settle(session, shop.program.id, one.id, actor="user:x", now=now)
            assert not alerts.settle(session, 0, one.id, actor="user:x", now=now)
        assert shop.alerts() == []
        shop.redeem(cashier="Lan")
        assert len(shop.alerts()) == 1
        assert len(shop.rows("SELECT 1 FROM audit WHERE action = 'alert.settled'")) == 1
