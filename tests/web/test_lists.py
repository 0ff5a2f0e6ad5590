"""The API's lists go page by page, in a stable order, and show nothing of another programme."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from hub.ids import new_id
from hub.ledger import commands
from hub.ledger.commands import Command
from hub.program import store
from hub.web import keys
from hub.web.pacing import Buckets
from tests.apps import an_app
from tests.hubs import Hub, running_hub
from tests.people import add
from tests.shops import order, shop

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "rewards": [{"id": "tea", "name": "Tea", "cost": 1, "amount": {"VND": "50000"}}],
    "actions": [{"id": "review", "points": 5}],
    "credit": {},
}


class Reader:
    """Reads a hub's lists with a key."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        with hub.runtime.sessions.begin() as session:
            _, self.key = keys.create(session, hub.program, name="t", scopes=keys.SCOPES, actor="test")

    def get(self, path: str, **query: Any) -> requests.Response:
        address = path if path.startswith("/api/") else f"/api/v1/{path}"
        return requests.get(
            self.hub.url + address, params=query, headers={"Authorization": f"Bearer {self.key}"},
            timeout=10,
        )  # fmt: skip

    def post(self, path: str, **wish: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.key}", "Idempotency-Key": new_id("k")}
        answer = requests.post(f"{self.hub.url}/api/v1/{path}", json=wish, headers=headers, timeout=10)
        assert answer.ok, answer.text
        return answer.json()

    def delete(self, path: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.key}"}
        return requests.delete(f"{self.hub.url}/api/v1/{path}", headers=headers, timeout=10)

    def all(self, path: str, *, name: str = "", **query: Any) -> list[Any]:
        """Every page of a list, two rows at a time."""
        name = name or path
        found: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = self.get(path, limit=2, **query, **cursor).json()
            assert len(page[name]) <= 2
            found += page[name]
            if page["next"] is None:
                return found
            cursor = {"cursor": page["next"]}


@pytest.fixture
def reader(database: str, redis_url: str, tmp_path: Path) -> Iterator[Reader]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        with hub.runtime.sessions.begin() as session:
            for name in ("ann", "bob", "cem"):
                member = add(
                    session,
                    "members",
                    public_id=f"mem_{name * 5}a",
                    program_id=hub.program.id,
                    name=name,
                )
                point = Command(hub.program.id, member, name, "test", hub.runtime.chain_key)
                commands.adjust(session, point, 100)
        yield Reader(hub)


ANN, BOB, CEM = (f"mem_{name * 5}a" for name in ("ann", "bob", "cem"))


def test_redemptions_and_codes_are_listed_newest_first_whole_and_once(reader: Reader) -> None:
    made = [reader.post("redemptions", member=who, reward="tea") for who in (ANN, BOB, ANN, CEM, ANN)]
    newest = [one["id"] for one in reversed(made)]
    assert [one["id"] for one in reader.all("redemptions")] == newest
    assert [one["code"] for one in reader.all("vouchers")] == [one["code"] for one in reversed(made)]
    assert [one["id"] for one in reader.all("redemptions", member=ANN)] == [
        newest[0],
        newest[2],
        newest[4],
    ]
    assert {one["redemption"] for one in reader.all("vouchers", member=BOB)} == {made[1]["id"]}
    assert reader.get("redemptions", member="mem_nobody").status_code == 404


def test_what_is_merged_into_a_member_is_listed_with_it(reader: Reader) -> None:
    bobs = reader.post("redemptions", member=BOB, reward="tea")
    with reader.hub.runtime.sessions.begin() as session:
        session.connection().exec_driver_sql(
            f"UPDATE members SET alias_of = (SELECT id FROM members WHERE public_id = '{ANN}')"
            f" WHERE public_id = '{BOB}'"
        )
    assert [one["id"] for one in reader.all("redemptions", member=ANN)] == [bobs["id"]]


def test_double_uses_are_listed_with_their_orders(reader: Reader) -> None:
    made = [reader.post("redemptions", member=who, reward="tea") for who in (ANN, BOB, CEM)]
    assert reader.all("double-uses", name="double_uses") == []
    day = datetime(2026, 11, 1, tzinfo=UTC)
    with reader.hub.runtime.sessions.begin() as session:
        till = shop(session, reader.hub.program.id, "Till")
        for number in range(2):
            order(session, reader.hub.program.id, till, day + timedelta(days=number), number=str(number))
        session.connection().exec_driver_sql(
            "INSERT INTO voucher_uses (voucher_id, transaction_id, present, wins) "
            "SELECT v.id, t.id, true, t.number = '0' FROM vouchers v, transactions t"
        )
        session.connection().exec_driver_sql("UPDATE vouchers SET uses = 2, state = 'used'")
    found = reader.all("double-uses", name="double_uses")
    assert [one["redemption"] for one in found] == [one["id"] for one in reversed(made)]
    assert {one["done"] for one in found} == {"take_again"}
    assert [(use["number"], use["counts"]) for use in found[0]["orders"]] == [("0", True), ("1", False)]
    assert (found[0]["points"], found[0]["charged"], found[0]["absorbed"]) == (1, 0, 0)
    assert reader.get("double-uses", cursor="red_0000000000000000").status_code == 422


def test_events_are_listed(reader: Reader) -> None:
    made = [reader.post("events", member=ANN, event="review")["id"] for _ in range(3)]
    assert [one["id"] for one in reader.all("events")] == made[::-1]
    assert (reader.all("events")[0]["event"], reader.all("events", member=BOB)) == ("review", [])


def test_transactions_are_listed_by_when_they_were_placed_and_narrowed(reader: Reader) -> None:
    day = datetime(2026, 11, 1, tzinfo=UTC)
    program = reader.hub.program.id
    with reader.hub.runtime.sessions.begin() as session:
        till, web = (shop(session, program, name) for name in ("Till", "Web"))
        (ann,) = (
            session.connection()
            .exec_driver_sql(f"SELECT id FROM members WHERE public_id = '{ANN}'")
            .one()
        )
        for number in range(5):
            order(session, program, (till, web)[number % 2], day + timedelta(days=-number), number=str(number),
                  member_id=ann if number < 2 else None, state="paid" if number else "refunded")  # fmt: skip
    web_id = reader.hub.rows("SELECT public_id FROM channels WHERE name = 'Web'")[0].public_id
    numbers = [one["number"] for one in reader.all("transactions")]
    assert numbers == ["0", "1", "2", "3", "4"]
    assert [one["number"] for one in reader.all("transactions", channel=web_id)] == ["1", "3"]
    assert [one["number"] for one in reader.all("transactions", member=ANN, state="paid")] == ["1"]
    until = (day - timedelta(days=1)).isoformat()
    assert [one["number"] for one in reader.all("transactions", until=until)] == ["2", "3", "4"]
    assert reader.get("transactions", channel="chn_nobody").status_code == 404


def test_members_and_lots_are_bare_lists_whose_header_leads_on(reader: Reader) -> None:
    first = reader.get("members", limit=2)
    assert [one["id"] for one in first.json()] == [CEM, BOB]
    assert first.json()[0]["points"]["balance"] == 100
    rest = reader.get(first.links["next"]["url"])
    assert ([one["id"] for one in rest.json()], rest.links) == ([ANN], {})
    with reader.hub.runtime.sessions.begin() as session:
        (ann,) = reader.hub.rows("SELECT id FROM members WHERE public_id = :id", id=ANN)
        for number in range(3):
            grant = Command(
                reader.hub.program.id, ann.id, f"g{number}", "t", reader.hub.runtime.chain_key
            )
            commands.adjust(session, grant, number + 1)
    seen, page = [], reader.get(f"members/{ANN}/lots", limit=3)
    while True:
        seen += [lot["granted"] for lot in page.json()]
        if "next" not in page.links:
            break
        page = reader.get(page.links["next"]["url"])
    assert seen == [100, 1, 2, 3]


def test_store_credit_goes_on_behind_a_movement(reader: Reader) -> None:
    with reader.hub.runtime.sessions.begin() as session:
        (ann,) = reader.hub.rows("SELECT id FROM members WHERE public_id = :id", id=ANN)
        for number, currency in enumerate(("VND", "USD", "VND")):
            gift = Command(
                reader.hub.program.id, ann.id, f"c{number}", "t", reader.hub.runtime.chain_key,
                currency=currency,
            )  # fmt: skip
            commands.adjust(session, gift, number + 1)
    first = reader.get(f"members/{ANN}/credit", limit=2).json()
    rest = reader.get(f"members/{ANN}/credit", limit=2, cursor=first["next"]).json()
    assert [one["amount"] for one in first["entries"] + rest["entries"]] == [3, 2, 1]
    assert rest["next"] is None


@pytest.mark.parametrize(
    "address",
    ["redemptions?cursor=red_0000000000000000", "redemptions?cursor=vch_0000000000000000", "vouchers?cursor=x",
     "events?cursor=act_;DROP", "transactions?cursor=9-9-9", "members?cursor=mem_0000000000000000",
     f"members/{ANN}/credit?cursor=VND.x", "redemptions?limit=0", "redemptions?limit=201", "vouchers?what=x",
     f"members?phone=0912345678&cursor={ANN}"],
)  # fmt: skip
def test_a_cursor_that_is_none_is_refused(reader: Reader, address: str) -> None:
    answer = reader.get(f"/api/v1/{address}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), answer.text


def test_the_lists_of_another_programme_are_empty_and_its_cursors_unknown(
    reader: Reader, tmp_path: Path
) -> None:
    theirs = reader.post("redemptions", member=ANN, reward="tea")
    with reader.hub.runtime.sessions.begin() as session:
        other = store.create(
            session, slug="other", name="Other", currency="VND", time_zone="UTC", region="VN",
            starts_at=datetime(2020, 1, 1, tzinfo=UTC), document=DOCUMENT, actor="test",
        )  # fmt: skip
        _, reader.key = keys.create(session, other, name="t", scopes=keys.SCOPES, actor="test")
    for name in ("redemptions", "vouchers", "events", "transactions"):
        assert reader.get(name).json() == {name: [], "next": None}
    assert reader.get("members", limit=9).json() == []
    assert reader.get("redemptions", cursor=theirs["id"]).status_code == 422
    assert reader.get("redemptions", member=ANN).status_code == 404


# --- how fast ------------------------------------------------------------------------------------


def test_a_bucket_refills_with_time_and_is_refused_when_empty() -> None:
    time = [0.0]
    buckets = Buckets(2, lambda: time[0])
    assert [buckets.take("a").left for _ in range(4)] == [3, 2, 1, 0]
    refused = buckets.take("a")
    assert (refused.allowed, refused.refills_in) == (False, 1)
    assert buckets.take("b").allowed, "every key has a bucket of its own"
    time[0] += 0.5
    assert [buckets.take("a").allowed for _ in range(2)] == [True, False]
    time[0] += 1_000
    assert buckets.take("a").left == 3, "a bucket is never fuller than full"


def test_one_too_many_is_told_when_to_go_on(reader: Reader) -> None:
    first = reader.get("rewards")
    assert first.headers["RateLimit-Policy"] == '"key";q=400;w=2'
    assert first.headers["RateLimit"].startswith('"key";r=')
    assert "RateLimit" not in requests.get(f"{reader.hub.url}/healthz", timeout=10).headers


def test_a_key_that_asks_too_fast_gets_429_and_another_key_does_not(reader: Reader) -> None:
    settings = replace(reader.hub.runtime.settings, api_rate=1)
    client = an_app(replace(reader.hub.runtime, settings=settings)).test_client()
    headers = {"Authorization": f"Bearer {reader.key}"}
    answers = [client.get("/api/v1/rewards", headers=headers) for _ in range(8)]
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert (refused.get_json()["code"], refused.headers["Retry-After"]) == ("too_many_requests", "1")
    assert refused.content_type == "application/problem+json"
    with reader.hub.runtime.sessions.begin() as session:
        _, other = keys.create(session, reader.hub.program, name="o", scopes=keys.SCOPES, actor="test")
    calm = client.get("/api/v1/rewards", headers={"Authorization": f"Bearer {other}"})
    assert calm.status_code == 200
