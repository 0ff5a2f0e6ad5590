"""Requests that Shopify passes on: answered, carried out, and after the shop has left as well."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from connectors.sandbox_kit import Running
from connectors.shopify.sandbox import ShopifySandbox
from hub.alerts import unsettled
from hub.connect import disconnect
from hub.desk import telling
from hub.members import report, view
from hub.outbox.channels import Channel
from tests.hubs import Hub, running_hub

DOCUMENT = {"earn": {"points": 1, "per": {"USD": "1"}}}
ANN = {"name": "Ann Quilt", "email": "ann.quilt@example.com", "phone": "+84912345678"}
CUP = [{"sku": "CUP", "name": "Cup", "quantity": 1, "price": "40.00"}]
TRACES = ("Ann", "Quilt", "ann.quilt", "912345678")


def readable(row: str) -> str:
    """A row as text, with what is stored as bytes spelled out."""
    return re.sub(r"\\+x([0-9a-f]+)", lambda m: bytes.fromhex(m[1]).decode("utf-8", "replace"), row)


class House:
    """A hub with a Shopify shop in which Ann has bought for 40 points."""

    def __init__(self, hub: Hub, sandbox: ShopifySandbox, url: str) -> None:
        self.hub, self.sandbox, self.url = hub, sandbox, url
        self.channel: Channel = hub.connect(sandbox, url, "Online")
        self.ask("app", url=f"{hub.url}/webhooks/app/shopify")
        self.order = self.ask("sales", customer=ANN, lines=CUP)["external_id"]
        hub.work()
        self.customer = str(sandbox.shop.orders[int(self.order)]["customer"]["id"])

    def ask(self, path: str, **wish: Any) -> Any:
        answer = requests.post(f"{self.url}/_sandbox/{path}", json=wish, timeout=20)
        assert answer.ok, answer.text
        return answer.json()

    def comply(self, topic: str, **more: Any) -> int:
        """What the hub answers to a compliance topic about Ann, and its work."""
        customer = {"id": int(self.customer), "email": ANN["email"], "phone": ANN["phone"]}
        wish = {"customer": customer, **more} if topic.startswith("customers") else more
        status: int = self.ask("compliance", topic=topic, **wish)["status"]
        self.hub.work()
        return status

    def traces(self) -> list[str]:
        """Where Ann's data still stands: table of each row that holds some of it."""
        tables = [
            row.table_name
            for row in self.hub.rows(
                """SELECT table_name FROM information_schema.tables
                   WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"""
            )
        ]
        found = []
        for table in tables:
            rows = self.hub.rows(f"SELECT CAST(t AS text) AS told FROM {table} t")
            if any(trace in readable(row.told) for trace in TRACES for row in rows):
                found.append(table)
        return sorted(found)

    def points(self) -> list[tuple[int, int]]:
        return [tuple(r) for r in self.hub.rows("SELECT member_id, balance FROM accounts ORDER BY 1")]


@pytest.fixture
def house(database: str, redis_url: str, tmp_path: Path) -> Iterator[House]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT, currency="USD") as hub:
        sandbox = ShopifySandbox()
        with Running(sandbox) as url:
            yield House(hub, sandbox, url)


def test_a_request_for_data_tells_the_merchant_whose_file_to_send_until_when(house: House) -> None:
    assert house.comply("customers/data_request") == 200
    with house.hub.runtime.sessions() as session:
        (alert,) = unsettled(session, house.hub.program.id)
        (sentence,) = telling.sentences(session, [alert])
        (member,) = house.hub.rows("SELECT id, public_id FROM members WHERE name <> ''")
        content = report.of_member(session, member.id, house.hub.runtime.clock())
    assert member.public_id in sentence
    assert not any(trace in json.dumps(alert.detail) for trace in TRACES), (
        "an alert holds no data of hers"
    )
    assert content["member"]["name"] == "Ann Quilt"
    assert {one["value"] for one in content["identities"]} >= {
        ANN["email"],
        ANN["phone"],
        house.customer,
    }
    assert [one["points"] for one in content["orders"]] == [40]
    assert [one["amount"] for one in content["movements"]] == [40]


def test_who_is_to_be_forgotten_leaves_no_trace_but_points_and_orders(house: House) -> None:
    assert "members" in house.traces()
    before = house.points()
    assert house.comply("customers/redact") == 200
    assert house.traces() == []
    assert house.points() == before
    house.hub.assert_clean()
    assert [
        r.action for r in house.hub.rows("SELECT action FROM audit WHERE action = 'member.forgotten'")
    ]
    assert house.hub.rows("SELECT forgotten_at FROM members WHERE forgotten_at IS NOT NULL")


def test_a_second_request_finds_nothing_more_to_do(house: House) -> None:
    house.comply("customers/redact")
    rows = "SELECT id, forgotten_at FROM members ORDER BY id"
    before = house.hub.rows(rows)
    assert house.comply("customers/redact") == 200
    assert house.hub.rows(rows) == before
    assert len(house.hub.rows("SELECT 1 FROM audit WHERE action = 'member.forgotten'")) == 1


def test_a_refund_after_that_still_finds_the_right_account(house: House) -> None:
    """Shopify redacts its own messages: what it says of the order names nobody any more."""
    house.comply("customers/redact")
    order = house.sandbox.shop.orders[int(house.order)]
    order["customer"], order["email"], order["phone"], order["billing_address"] = None, "", None, None
    house.ask(f"sales/{house.order}/refund")
    house.hub.work()
    assert [balance for _, balance in house.points()] == [0]
    house.hub.assert_clean()


def test_a_replay_of_what_was_forgotten_changes_nothing(house: House) -> None:
    house.comply("customers/redact")
    before = house.points()
    with house.hub.runtime.sessions.begin() as session:
        session.connection().exec_driver_sql(
            "UPDATE deliveries SET state = 'due', due_at = now() WHERE direction = 'inbound'"
        )
    house.hub.work()
    assert house.points() == before
    assert house.traces() == []
    assert {
        r.state for r in house.hub.rows("SELECT state FROM deliveries WHERE direction = 'inbound'")
    } == {"done"}


@pytest.mark.parametrize("left", ["uninstalled", "disconnected"])
def test_it_is_carried_out_for_a_shop_that_has_left(house: House, left: str) -> None:
    if left == "disconnected":
        with house.hub.runtime.sessions.begin() as session:
            disconnect(session, house.hub.runtime, house.channel, actor="test")
    else:
        body = {"id": 548380009, "myshopify_domain": house.sandbox.shop.domain}
        house.sandbox._tell([("app/uninstalled", body)], house.sandbox.clock())
        house.hub.work()
    assert house.comply("customers/redact") == 200
    assert house.traces() == []
    assert house.comply("shop/redact") == 200
    (row,) = house.hub.rows("SELECT secrets, status FROM channels")
    assert (bytes(row.secrets) == b"") == (left == "disconnected")


def test_a_shop_that_is_to_be_forgotten_takes_those_along_who_came_by_it_alone(house: House) -> None:
    till = house.hub.add_channel("generic_pos", {"webhook_secret": "whsec_" + "QUFB" * 8}, "Till")
    with house.hub.runtime.sessions.begin() as session:
        session.connection().exec_driver_sql(
            "INSERT INTO members (public_id, program_id, name) VALUES ('mem_bob', %s, 'Bob Both')",
            (house.hub.program.id,),
        )
        for scope in (house.channel.id, till.id):
            session.connection().exec_driver_sql(
                """INSERT INTO identities (program_id, member_id, kind, scope, value)
                   SELECT program_id, id, 'customer', %s, '77' FROM members WHERE public_id = 'mem_bob'""",
                (scope,),
            )
    assert house.comply("shop/redact") == 200
    assert house.traces() == []
    left = house.hub.rows("SELECT scope FROM identities ORDER BY scope")
    assert [row.scope for row in left] == [till.id]
    assert [r.name for r in house.hub.rows("SELECT name FROM members WHERE name <> ''")] == ["Bob Both"]
    assert [balance for _, balance in house.points() if balance] == [40]


def test_an_unknown_shop_a_wrong_signature_and_a_kind_without_an_app_get_nothing(house: House) -> None:
    body = b'{"shop_domain":"x"}'
    for headers, status in (
        ({}, 401),
        ({"X-Shopify-Shop-Domain": "nobody.myshopify.com"}, 401),
        ({"X-Shopify-Shop-Domain": house.sandbox.shop.domain, "X-Shopify-Hmac-Sha256": "AAAA"}, 401),
        ({"X-Shopify-Shop-Domain": "\x7f" * 5000}, 401),
    ):
        answer = requests.post(
            f"{house.hub.url}/webhooks/app/shopify", data=body, headers=headers, timeout=10
        )
        assert answer.status_code == status, headers
    for kind in ("generic_pos", "magento", "", "shopify/x", "%00"):
        answer = requests.post(f"{house.hub.url}/webhooks/app/{kind}", data=body, timeout=10)
        assert answer.status_code == 404, kind
    assert house.traces(), "nothing was forgotten"


def test_a_shop_that_throws_the_app_out_is_paused_and_told_of(house: House) -> None:
    body = {"id": 548380009, "myshopify_domain": house.sandbox.shop.domain}
    house.sandbox._tell([("app/uninstalled", body)], house.sandbox.clock())
    house.hub.work()
    (row,) = house.hub.rows("SELECT status, sealed_state FROM channels")
    assert (row.status, bytes(row.sealed_state)) == ("paused", b"")
    assert [balance for _, balance in house.points()] == [40]
    with house.hub.runtime.sessions() as session:
        (alert,) = unsettled(session, house.hub.program.id)
        assert "threw the hub's app out" in telling.sentences(session, [alert])[0]
        assert view.everybody(session, house.hub.program.id, before=None, limit=5)
