"""A dry run says what a replay will do, changes nothing, and stands in nobody's way."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import text

from connectors.generic_pos.sandbox import TillSandbox
from hub.outbox import deliveries
from hub.outbox.channels import Channel
from hub.sync import process, rehearse
from hub.sync.rehearse import Rehearsal
from tests import signed
from tests.hubs import Hub, Running, running_hub

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "rewards": [{"id": "small", "name": "Small", "cost": 5, "amount": {"VND": "50000"}}],
}
TABLES = """
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY relname
"""


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        yield hub


@pytest.fixture
def till(hub: Hub) -> Channel:
    return hub.add_channel("generic_pos", signed.SETTINGS["generic_pos"], "Till")


def send(hub: Hub, channel: Channel, key: str, body: bytes) -> None:
    headers = signed.headers(channel.kind, body, key)
    assert requests.post(hub.webhook(channel), data=body, headers=headers, timeout=10).ok


def park_all(hub: Hub) -> list[int]:
    """What came in is set aside before anybody looked at it, as after a defect of ours."""
    _ = hub.runtime.chain_key  # made by whoever needs it first, and none of a rehearsal's doing
    with hub.runtime.sessions.begin() as session:
        rows = session.execute(
            text(
                "UPDATE deliveries SET state = 'parked', code = 'unexpected', fault = 'hub'"
                " WHERE direction = 'inbound' AND state = 'due' RETURNING id"
            )
        )
        return sorted(row.id for row in rows)


def rehearsed(hub: Hub, ids: list[int], **limits: Any) -> Rehearsal:
    return rehearse.rehearse(hub.runtime, hub.program.id, ids, **limits)


def everything(hub: Hub) -> dict[str, list[str]]:
    """Every row of every table."""
    return {
        name: [row[0] for row in hub.rows(f"SELECT CAST(t AS text) FROM {name} t ORDER BY 1")]
        for (name,) in hub.rows(TABLES)
    }


def replay(hub: Hub, ids: list[int]) -> None:
    with hub.runtime.sessions.begin() as session:
        deliveries.replay(session, ids)
    hub.work()


def sell(hub: Hub, till: Channel, count: int, phone: str = "091234567{n}") -> None:
    for n in range(count):
        send(hub, till, f"m{n}", signed.till_sale(n, phone.format(n=n % 10), 50_000 + 10_000 * n))


def test_it_says_what_the_replay_then_does_and_changes_nothing_itself(hub: Hub, till: Channel) -> None:
    sell(hub, till, 4)
    send(hub, till, "odd", b'{"type": "hub.weather/1"}')
    send(hub, till, "guest", signed.till_sale("guest", "", customer=None))
    ids = park_all(hub)
    before = everything(hub)
    said = rehearsed(hub, ids)
    assert everything(hub) == before
    summary = said.summary()
    assert {k: summary[k] for k in ("total", "of", "changes", "passes", "right", "fails", "given", "given_to")} == {
        "total": 6, "of": 6, "changes": 4, "passes": 1, "right": 0, "fails": 1, "given": 26, "given_to": 4,
    }  # fmt: skip
    assert summary["new_members"] == 4
    assert {(r["kind"], r["code"]) for r in summary["reasons"]} == {
        ("fails", "unknown_type"), ("passes", "guest"),
    }  # fmt: skip
    replay(hub, ids)
    assert hub.rows("SELECT sum(balance) AS n FROM accounts")[0].n == 26
    ended = {row.id: row for row in hub.rows("SELECT id, state, outcome FROM deliveries")}
    for i, forecast in said.forecasts.items():
        assert (forecast.kind == "fails") == (ended[i].state == "failed"), forecast
        assert forecast.outcome == ended[i].outcome
    hub.assert_clean()


def test_what_was_right_is_right(hub: Hub, till: Channel) -> None:
    sell(hub, till, 3)
    hub.work()
    before = everything(hub)
    said = rehearsed(hub, [1, 2, 3])
    assert (said.summary()["right"], said.summary()["changes"], said.effects) == (3, 0, [])
    assert everything(hub) == before


def test_two_messages_of_one_sale_give_its_points_once_whatever_the_batches(
    hub: Hub, till: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in (1, 2):
        for n in range(3):
            body = signed.till_sale(n, "0912345678", 100_000, version)
            send(hub, till, f"m{n}-{version}", body)
    ids = park_all(hub)
    monkeypatch.setattr(rehearse, "_BATCH", 1)
    summary = rehearsed(hub, ids).summary()
    assert (summary["given"], summary["given_to"], summary["changes"]) == (30, 1, 6)
    replay(hub, ids)
    assert hub.balance(phone="+84912345678") == 30


def test_points_that_would_be_taken_are_said_apart(hub: Hub, till: Channel) -> None:
    send(hub, till, "m1", signed.till_sale(1, "0912345678", 100_000))
    hub.work()
    send(hub, till, "m2", signed.till_sale(1, "0912345678", 40_000, 2))
    ids = park_all(hub)
    summary = rehearsed(hub, ids).summary()
    assert (summary["taken"], summary["taken_from"], summary["given"]) == (6, 1, 0)
    (forecast,) = rehearsed(hub, ids).forecasts.values()
    (ann,) = hub.rows("SELECT public_id FROM members")
    assert (forecast.points, forecast.member) == (-6, ann.public_id)


def test_one_that_cannot_be_processed_at_all_is_found_and_spoils_no_other(
    hub: Hub, till: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    sell(hub, till, 5)
    ids = park_all(hub)
    ending = process._ending

    def poisoned(understood: Any, *rest: Any) -> Any:
        if understood.delivery.id == ids[2]:
            raise ZeroDivisionError
        return ending(understood, *rest)

    monkeypatch.setattr(process, "_ending", poisoned)
    said = rehearsed(hub, ids)
    assert [said.forecasts[i].kind for i in ids] == ["changes", "changes", "fails", "changes", "changes"]
    assert said.forecasts[ids[2]].code == "unexpected"


def test_of_many_a_part_is_rehearsed_and_the_rest_named(hub: Hub, till: Channel) -> None:
    sell(hub, till, 12)
    summary = rehearsed(hub, park_all(hub), most=4).summary()
    assert (summary["total"], summary["of"], summary["changes"]) == (12, 4, 4)


def test_it_ends_when_its_time_is_up(hub: Hub, till: Channel) -> None:
    sell(hub, till, 3)
    summary = rehearsed(hub, park_all(hub), seconds=0).summary()
    assert (summary["total"], summary["of"]) == (3, 0)


def test_what_a_codes_second_use_costs_is_said(hub: Hub, till: Channel) -> None:
    send(hub, till, "m0", signed.till_sale(0, "0912345678", 100_000))
    hub.work()
    redeem(hub)
    (voucher,) = hub.rows("SELECT code FROM vouchers")
    send(hub, till, "m1", signed.till_sale(1, "0912345678", 20_000, codes=[voucher.code]))
    hub.work()
    send(hub, till, "m2", signed.till_sale(2, "0987654321", 10_000, codes=[voucher.code]))
    send(hub, till, "m3", signed.till_sale(3, "0987654321", 10_000))
    ids = park_all(hub)
    said = rehearsed(hub, ids)
    summary = said.summary()
    assert (summary["given"], summary["given_to"]) == (2, 1)
    assert (summary["taken"], summary["taken_from"]) == (5, 1)
    (ann,) = hub.rows("SELECT public_id FROM members")
    assert set(said.forecasts[ids[0]].moves) == {(None, 1), (ann.public_id, -5)}
    replay(hub, ids)
    assert (hub.balance(phone="+84912345678"), hub.balance(phone="+84987654321")) == (10 - 5 + 2 - 5, 2)


def test_a_large_message_is_read_by_itself(
    hub: Hub, till: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    sell(hub, till, 3)
    ids = park_all(hub)
    monkeypatch.setattr(rehearse, "_BATCH_BYTES", 10)
    assert [len(part) for part in rehearse._parts({1: 11, 2: 3, 3: 3, 4: 9})] == [1, 2, 1]
    assert rehearsed(hub, ids).summary()["changes"] == 3
    monkeypatch.setattr(rehearse, "_MOST_BYTES", 10)
    assert rehearsed(hub, ids).summary()["of"] == 0


def test_another_programs_messages_are_not_rehearsed(hub: Hub, till: Channel) -> None:
    sell(hub, till, 2)
    ids = park_all(hub)
    said = rehearse.rehearse(hub.runtime, hub.program.id + 1, ids)
    assert said.summary()["of"] == 0


# --- in nobody's way -----------------------------------------------------------------------------


def test_senders_and_workers_go_on_while_a_rehearsal_is_in_the_middle(
    hub: Hub, till: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rehearsal is held at its last statement by an event, with every lock it ever has; the
    others are timed against the clock."""
    sell(hub, till, 3)
    ids = park_all(hub)
    there, go_on = threading.Event(), threading.Event()
    effects = rehearse._effects

    def held(*its: Any) -> Any:
        there.set()
        go_on.wait(10)
        return effects(*its)

    monkeypatch.setattr(rehearse, "_effects", held)
    rehearsing = threading.Thread(target=rehearsed, args=(hub, ids))
    rehearsing.start()
    assert there.wait(10)
    began = time.monotonic()
    sell(hub, till, 3)  # the very same messages again, with the rows that are being rehearsed
    send(hub, till, "other", signed.till_sale("other", "0987654321", 80_000))
    hub.work()
    assert hub.balance(phone="+84987654321") == 8
    assert time.monotonic() - began < 5
    go_on.set()
    rehearsing.join()
    assert [row.duplicates for row in hub.rows("SELECT duplicates FROM deliveries WHERE id <= 3")] == [
        1
    ] * 3


def test_it_waits_for_nobodys_lock_for_long_and_says_that_it_is_not_sure(
    hub: Hub, till: Channel
) -> None:
    sell(hub, till, 1)
    hub.work()
    with hub.runtime.sessions.begin() as session:
        session.execute(text("SELECT 1 FROM transactions FOR UPDATE"))
        began = time.monotonic()
        assert rehearsed(hub, [1]).forecasts[1].kind == "unsure"
        assert time.monotonic() - began < 3


# --- outbound ------------------------------------------------------------------------------------


@pytest.fixture
def pushing(hub: Hub) -> Iterator[str]:
    """A till that codes are pushed to, and that has refused one."""
    sandbox = TillSandbox()
    with Running(sandbox) as address:
        hub.connect(sandbox, address, "Pushed")
        lines = [{"sku": "TEA", "name": "Tea", "quantity": 1, "price": "90000"}]
        wish = {"customer": {"name": "Ann", "phone": "0912345678"}, "lines": lines}
        assert requests.post(f"{address}/_sandbox/sales", json=wish, timeout=10).ok
        hub.work()
        requests.post(
            f"{address}/_sandbox/faults", json={"fault": "refuse_code", "times": 1}, timeout=10
        )
        redeem(hub)
        hub.work()
        yield address


def redeem(hub: Hub) -> None:
    from hub.outbox import channels
    from hub.program import store
    from hub.redemption.redeem import Order
    from hub.redemption.redeem import redeem as redeem_

    with hub.runtime.sessions.begin() as session:
        (member,) = session.execute(text("SELECT id FROM members")).scalars()
        order = Order(hub.program.id, member, "small", "test", hub.runtime.chain_key)
        rules = store.versions(session, hub.program)[-1]
        redeem_(session, order, rules, channels.of_program(session, hub.program.id))


def test_what_would_be_sent_is_said_and_nothing_is(hub: Hub, pushing: str) -> None:
    (failed,) = hub.rows("SELECT id FROM deliveries WHERE state = 'failed'")
    (voucher,) = hub.rows("SELECT code FROM vouchers")
    before = everything(hub)
    said = rehearsed(hub, [failed.id])
    forecast = said.forecasts[failed.id]
    assert (forecast.kind, forecast.what, forecast.about) == ("changes", "create_code", voucher.code)
    assert said.summary()["sent"] == {"create_code": 1}
    assert everything(hub) == before
    assert requests.get(f"{pushing}/_sandbox/codes", timeout=10).json() == []
    replay(hub, [failed.id])
    assert [c["code"] for c in requests.get(f"{pushing}/_sandbox/codes", timeout=10).json()] == [
        voucher.code
    ]


def test_a_code_the_channel_has_taken_is_right_already(hub: Hub, pushing: str) -> None:
    (failed,) = hub.rows("SELECT id FROM deliveries WHERE state = 'failed'")
    replay(hub, [failed.id])
    again = rehearsed(hub, [failed.id]).forecasts[failed.id]
    assert (again.kind, again.reason) == ("right", "already_so")


def test_a_push_to_a_paused_channel_would_wait_for_it(hub: Hub, pushing: str) -> None:
    (failed,) = hub.rows("SELECT id FROM deliveries WHERE state = 'failed'")
    with hub.runtime.sessions.begin() as session:
        session.execute(text("UPDATE channels SET status = 'paused'"))
    forecast = rehearsed(hub, [failed.id]).forecasts[failed.id]
    assert (forecast.kind, forecast.reason) == ("waits", "channel_paused")
    with hub.runtime.sessions.begin() as session:
        session.execute(
            text("UPDATE channels SET status = 'active', down_until = now() + interval '1 hour'")
        )
    forecast = rehearsed(hub, [failed.id]).forecasts[failed.id]
    assert (forecast.kind, forecast.reason) == ("waits", "channel_down")
    assert forecast.until is not None


def test_what_is_due_by_itself_is_left_alone(hub: Hub, till: Channel) -> None:
    sell(hub, till, 1)
    assert rehearsed(hub, [1]).forecasts[1].kind == "left_alone"
