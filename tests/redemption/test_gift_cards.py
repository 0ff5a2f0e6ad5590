"""Gift cards: bought with points, given away, collected once by whoever has the code."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import requests

from hub.cli import main
from hub.desk import gift_cards, rewards
from hub.desk.place import Desk, carry_out
from hub.ledger import commands
from hub.ledger.commands import Command
from hub.program import document
from hub.program.document import DocumentRefused
from hub.redemption.gift_cards import NoGiftCard, NotCollectable
from hub.redemption.taking_back import AlreadyUsed
from hub.users import sessions, store
from hub.web import keys
from tests import signed
from tests.apps import an_app
from tests.desks import Desk as Office
from tests.hubs import Hub, running_hub
from tests.people import add

PHONE = "+84912345678"
DOCUMENT = {
    "earn": {"per": {"VND": "10000"}},
    "credit": {},
    "redeem": {"when_cancelled": "points_back"},
    "rewards": [{"id": "card", "name": "Gift card", "cost": 100, "gift_card": {"VND": "50000"}}],
}


@dataclass
class House:
    """A hub with a till; Ann has points, Bob has none."""

    hub: Hub
    ann: int
    bob: int
    eve: int

    def deed(self, what: Callable[[Desk], Any]) -> Any:
        return carry_out(self.hub.runtime, self.hub.program, "test", what)

    def buy(self) -> Any:
        return self.deed(lambda desk: rewards.redeem(desk, self.ann, "card", key=None))

    def collect(self, member: int, code: str) -> Any:
        return self.deed(lambda desk: gift_cards.collect(desk, member, code))

    def credit(self, member: int) -> int:
        sql = """SELECT coalesce(sum(a.balance), 0) AS n FROM members m JOIN accounts a
                 ON a.holder_id = coalesce(m.alias_of, m.id) WHERE m.id = :member"""
        return int(self.hub.rows(sql, member=member)[0].n)

    def points(self, member: int) -> int:
        rows = self.hub.rows("SELECT balance FROM accounts WHERE member_id = :member", member=member)
        return rows[0].balance if rows else 0

    def state(self) -> str:
        return str(self.hub.rows("SELECT state FROM vouchers")[0].state)


@pytest.fixture
def house(database: str, redis_url: str, tmp_path: Path) -> Iterator[House]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        with hub.runtime.sessions.begin() as session:
            ann, bob, eve = (
                add(session, "members", public_id=f"mem_{name}", program_id=hub.program.id, name=name)
                for name in ("ann", "bob", "eve")
            )
            order = Command(hub.program.id, ann, "start", "test", hub.runtime.chain_key)
            commands.adjust(session, order, 250)
        yield House(hub, ann, bob, eve)
        hub.assert_clean()


def test_whoever_has_the_code_collects_its_money_once(house: House) -> None:
    card = house.buy()
    assert (house.points(house.ann), card.voucher_state) == (150, "planned")
    done = house.collect(house.bob, card.code.lower())
    assert (done.amount, done.currency, done.repeated) == (50_000, "VND", False)
    assert (house.credit(house.bob), house.credit(house.ann), house.state()) == (50_000, 0, "used")
    before = house.hub.rows("SELECT count(*) FROM entries")
    assert house.collect(house.bob, card.code).repeated
    with pytest.raises(NotCollectable, match="gift_card_collected"):
        house.collect(house.eve, card.code)
    assert house.hub.rows("SELECT count(*) FROM entries") == before


def test_of_many_who_collect_at_once_one_gets_it(house: House) -> None:
    """Eight threads with a barrier, two members in turn, on one code."""
    code, barrier = house.buy().code, Barrier(8)

    def one(number: int) -> str:
        barrier.wait()
        try:
            done = house.collect((house.bob, house.eve)[number % 2], code)
        except NotCollectable as refused:
            return refused.why
        return "again" if done.repeated else "got it"

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(one, range(8)))
    assert answers == ["again"] * 3 + ["gift_card_collected"] * 4 + ["got it"]
    assert house.credit(house.bob) + house.credit(house.eve) == 50_000


def test_a_card_that_was_taken_back_is_worth_nothing(house: House) -> None:
    card = house.buy()
    house.deed(lambda desk: rewards.take_back(desk, card.id))
    house.hub.work()
    assert house.points(house.ann) == 250
    with pytest.raises(NotCollectable, match="code_taken_back"):
        house.collect(house.bob, card.code)


def test_a_collected_card_is_not_taken_back(house: House) -> None:
    card = house.buy()
    house.collect(house.bob, card.code)
    with pytest.raises(AlreadyUsed):
        house.deed(lambda desk: rewards.take_back(desk, card.id))
    assert (house.points(house.ann), house.credit(house.bob)) == (150, 50_000)


def test_an_order_that_carries_its_code_and_is_cancelled_brings_no_points_back(house: House) -> None:
    till = house.hub.add_channel("generic_pos", signed.SETTINGS["generic_pos"], "Till")
    card = house.buy()
    house.collect(house.bob, card.code)
    for version, state in ((1, "paid"), (2, "cancelled")):
        body = signed.till_sale(1, PHONE, version=version, codes=[card.code], state=state)
        headers = signed.headers("generic_pos", body, str(version))
        answer = requests.post(house.hub.webhook(till), body, headers=headers, timeout=10)
        assert answer.status_code == 200
        house.hub.work()
    assert house.hub.rows("SELECT codes FROM transactions")[0].codes == [card.code]
    assert (house.points(house.ann), house.state()) == (150, "used")


def test_no_shop_is_told_of_its_code(house: House) -> None:
    house.hub.add_channel("generic_pos", signed.SETTINGS["generic_pos"], "Till")
    house.buy()
    house.hub.work()
    sql = "SELECT DISTINCT reason FROM deliveries WHERE direction = 'outbound' AND topic = 'create_code'"
    assert [row.reason for row in house.hub.rows(sql)] == ["collected_at_the_hub"]


def test_a_code_that_is_no_gift_card_is_not_collected(house: House) -> None:
    with pytest.raises(NoGiftCard):
        house.collect(house.bob, "HUB-NOTHING")


def test_a_gift_card_needs_store_credit_to_become(house: House) -> None:
    del house
    with pytest.raises(DocumentRefused, match=r"needs \[credit\]"):
        document.check({key: value for key, value in DOCUMENT.items() if key != "credit"})


# --- the three doors -----------------------------------------------------------------------------


def test_a_till_collects_it_by_the_api(house: House) -> None:
    with house.hub.runtime.sessions.begin() as session:
        _, secret = keys.create(session, house.hub.program, name="t", scopes=["redeem"], actor="test")
    code = house.buy().code

    def ask(member: str, code: str) -> requests.Response:
        return requests.post(
            f"{house.hub.url}/api/v1/gift-cards/collect",
            json={"member": member, "code": code},
            headers={"Authorization": f"Bearer {secret}"},
            timeout=10,
        )

    done = ask("mem_bob", code)
    assert (done.status_code, done.json()["amount"], done.json()["currency"]) == (200, 50_000, "VND")
    assert ask("mem_bob", code).json() == done.json()
    refused = ask("mem_eve", code)
    assert (refused.status_code, refused.json()["code"]) == (409, "gift_card_collected")
    assert [ask("mem_bob", "HUB-NOTHING").status_code, ask("mem_nobody", code).status_code] == [404, 404]
    assert house.credit(house.bob) == 50_000


def test_it_is_collected_at_the_command_line(
    house: House, database: str, redis_url: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name, value in (
        ("DATABASE_URL", database),
        ("REDIS_URL", redis_url),
        ("HUB_DATA", str(tmp_path)),
    ):
        monkeypatch.setenv(name, value)
    code = house.buy().code
    said = []
    for member in ("mem_bob", "mem_bob", "mem_eve"):
        with pytest.raises(SystemExit) as ended:
            main(("member", "collect", member, code, "--json"))
        said.append((ended.value.code, capsys.readouterr()))
    assert [exit_code for exit_code, _ in said] == [0, 0, 1]
    assert [json.loads(shown.out)["changed"] for _, shown in said[:2]] == [True, False]
    assert "Somebody has collected this gift card." in said[2][1].err


def test_a_cashier_collects_it_on_the_members_page(house: House) -> None:
    with house.hub.runtime.sessions.begin() as session:
        user = store.add(
            session, email="c@example.com", name="C", password_hash="no password fits", locale="en",
            actor="test",
        )  # fmt: skip
        store.give_role(session, user, house.hub.program.id, "cashier", actor="test")
        token = sessions.begin(session, user, house.hub.runtime.clock())
    client = an_app(house.hub.runtime).test_client()
    with client.session_transaction() as cookie:
        cookie["_user_id"], cookie["_fresh"] = token, True
    cashier = Office(client, house.hub.program, "cashier")
    code = house.buy().code
    page = cashier.get("./members/mem_bob?tab=credit").text
    assert "Code of a gift card" in page
    for typed, said in (
        (code, "are store credit now"),
        ("HUB-NOTHING", "There is no gift card with this code"),
    ):
        answer = cashier.post("./members/mem_bob/collect", {"code": typed}, follow_redirects=True)
        assert said in answer.text
    assert house.credit(house.bob) == 50_000
