"""Replays: a frozen set, a pace, an outcome each; any number of times, by any number of people."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import text

from hub.outbox import deliveries
from hub.outbox.channels import Channel
from hub.sync import rehearse, replays
from hub.sync.doorbell import Doorbell
from hub.sync.replays import NotPossible, Replay
from hub.sync.sweep import Sweeper, after_restore
from tests import signed
from tests.hubs import Hub, running_hub

BOOKS = ("entries", "accounts", "lots", "lot_uses", "postings", "members", "identities", "contributions")
"""What a replay of what was right leaves exactly as it is."""


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    document = {"earn": {"points": 1, "per": {"VND": "10000"}}}
    with running_hub(database, redis_url, tmp_path, document=document) as hub:
        yield hub


@pytest.fixture
def till(hub: Hub) -> Channel:
    return hub.add_channel("generic_pos", signed.SETTINGS["generic_pos"], "Till")


def send(hub: Hub, channel: Channel, key: str, body: bytes) -> None:
    headers = signed.headers(channel.kind, body, key)
    assert requests.post(hub.webhook(channel), data=body, headers=headers, timeout=10).ok


def sell(hub: Hub, till: Channel, count: int) -> list[int]:
    for n in range(count):
        send(hub, till, f"m{n}", signed.till_sale(n, f"091234567{n % 10}", 50_000))
    return inbound(hub)


def inbound(hub: Hub) -> list[int]:
    return [r.id for r in hub.rows("SELECT id FROM deliveries WHERE direction = 'inbound' ORDER BY id")]


def park_all(hub: Hub) -> list[int]:
    with hub.runtime.sessions.begin() as session:
        session.execute(
            text(
                "UPDATE deliveries SET state = 'parked', code = 'unexpected', fault = 'hub'"
                " WHERE direction = 'inbound' AND state = 'due'"
            )
        )
    return inbound(hub)


def plan(hub: Hub, ids: list[int], **more: Any) -> str:
    with hub.runtime.sessions.begin() as session:
        return replays.plan(session, hub.program.id, ids, actor="user:ann", **more)


def do(hub: Hub, what: Any, public_id: str, **more: Any) -> None:
    with hub.runtime.sessions.begin() as session:
        what(session, hub.program.id, public_id, actor="user:ann", **more)


def found(hub: Hub, public_id: str) -> Replay:
    with hub.runtime.sessions() as session:
        replay = replays.find(session, hub.program.id, public_id)
    assert replay is not None
    return replay


def books(hub: Hub) -> dict[str, list[str]]:
    return {
        name: [row[0] for row in hub.rows(f"SELECT CAST(t AS text) FROM {name} t ORDER BY 1")]
        for name in BOOKS
    }


def run_through(hub: Hub, public_id: str) -> Replay:
    """Start it, and let sweeper and workers do the rest."""
    do(hub, replays.start, public_id)
    for _ in range(20):
        hub.work()
        replays.advance_all(hub.runtime)
        later(hub, 1)
        if found(hub, public_id).state == "done":
            break
    return found(hub, public_id)


def later(hub: Hub, seconds: float) -> None:
    """The pace is counted from the database's clock: it began so much earlier."""
    with hub.runtime.sessions.begin() as session:
        session.execute(
            text("UPDATE replays SET paced_from = paced_from - make_interval(secs => :s)"),
            {"s": seconds},
        )


def test_every_delivery_of_it_ends_in_the_group_the_rehearsal_named(hub: Hub, till: Channel) -> None:
    sell(hub, till, 3)
    send(hub, till, "odd", b'{"type": "hub.weather/1"}')
    ids = park_all(hub)
    send(hub, till, "fine", signed.till_sale("fine", "0987654321"))
    hub.work()
    ids = inbound(hub)
    public_id = plan(hub, ids)
    rehearsal = rehearse.rehearse(hub.runtime, hub.program.id, ids)
    with hub.runtime.sessions.begin() as session:
        replays.note_forecast(session, found(hub, public_id).id, rehearsal)
    ended = run_through(hub, public_id)
    assert ended.state == "done"
    assert ended.counts == {"changed": 3, "failing": 1, "right": 1}
    assert (ended.forecast["changes"], ended.forecast["fails"], ended.forecast["right"]) == (3, 1, 1)
    with hub.runtime.sessions() as session:
        shown = replays.items(session, ended)
        failing = replays.items(session, ended, state="failing")
    assert [i.delivery_id for i in shown] == ids
    assert all(i.forecast for i in shown)
    assert [(i.code, i.channel, i.kind) for i in failing] == [("unknown_type", "Till", "generic_pos")]
    hub.assert_clean()


def test_replaying_what_was_right_changes_nothing_at_all(hub: Hub, till: Channel) -> None:
    ids = sell(hub, till, 5)
    hub.work()
    before = books(hub)
    for _ in range(3):
        assert run_through(hub, plan(hub, ids)).counts == {"right": 5}
        assert books(hub) == before
    outcomes = hub.rows("SELECT DISTINCT state, outcome FROM deliveries WHERE direction = 'inbound'")
    assert [tuple(row) for row in outcomes] == [("done", "no_change")]
    attempts = hub.rows("SELECT count(*) AS n FROM attempts WHERE delivery_id = :id", id=ids[0])
    assert attempts[0].n == 4, "each time by the ordinary path, and noted"


def test_two_people_who_replay_the_same_set_at_once_give_the_points_once(
    hub: Hub, till: Channel
) -> None:
    """Raced by six threads that start their own replays of one set at a barrier, while two more keep
    processing; each thread has its own transactions."""
    sell(hub, till, 40)
    ids = park_all(hub)
    plans = [plan(hub, ids, pace=1000) for _ in range(6)]
    together, done = threading.Barrier(8), threading.Event()

    def press(public_id: str) -> None:
        together.wait()
        do(hub, replays.start, public_id)

    def work() -> None:
        together.wait()
        while not done.is_set():
            hub.work(1)

    workers = [threading.Thread(target=work) for _ in range(2)]
    staff = [threading.Thread(target=press, args=(p,)) for p in plans]
    for thread in (*workers, *staff):
        thread.start()
    for thread in staff:
        thread.join()
    done.set()
    for thread in workers:
        thread.join()
    hub.work()
    replays.advance_all(hub.runtime)
    replays.advance_all(hub.runtime)
    assert hub.rows("SELECT sum(balance) AS n, count(*) AS members FROM accounts") == [(200, 10)]
    assert hub.rows("SELECT count(*) AS n FROM entries")[0].n == 40
    for public_id in plans:
        replay = found(hub, public_id)
        assert (replay.state, replay.total) == ("done", 40)
        assert set(replay.counts) <= {"changed", "right", "left_alone"}, replay.counts
    hub.assert_clean()


def test_it_keeps_its_pace(hub: Hub, till: Channel) -> None:
    sell(hub, till, 12)
    public_id = plan(hub, park_all(hub), pace=4)
    do(hub, replays.start, public_id)
    assert found(hub, public_id).counts == {"released": 4, "planned": 8}
    later(hub, 0.5)
    least = allowed(hub)
    replays.advance_all(hub.runtime)
    released = found(hub, public_id).counts["released"]
    assert 6 <= least <= released <= allowed(hub)
    later(hub, 60)
    replays.advance_all(hub.runtime)
    assert found(hub, public_id).counts == {"released": 12}


def allowed(hub: Hub) -> int:
    """How many the pace allows by now, by the database's clock."""
    statement = "SELECT pace + floor(extract(epoch FROM clock_timestamp() - paced_from) * pace) AS n FROM replays"
    return int(hub.rows(statement)[0].n)


def test_it_is_paused_goes_on_and_is_stopped(hub: Hub, till: Channel) -> None:
    sell(hub, till, 9)
    public_id = plan(hub, park_all(hub), pace=2)
    with pytest.raises(NotPossible):
        do(hub, replays.pause, public_id)
    do(hub, replays.start, public_id)
    do(hub, replays.pause, public_id)
    later(hub, 60)
    assert replays.advance_all(hub.runtime) == 0
    do(hub, replays.start, public_id, pace=3)
    assert found(hub, public_id).counts == {"released": 5, "planned": 4}
    do(hub, replays.stop, public_id)
    hub.work()
    replays.advance_all(hub.runtime)
    stopped = found(hub, public_id)
    assert (stopped.state, stopped.counts) == ("stopped", {"changed": 5, "planned": 4})
    assert not stopped.is_open
    for what in (replays.start, replays.pause, replays.stop):
        with pytest.raises(NotPossible):
            do(hub, what, public_id)
    assert hub.rows("SELECT count(*) AS n FROM deliveries WHERE state = 'parked'")[0].n == 4
    noted = hub.rows(
        "SELECT actor, action, subject FROM audit WHERE subject = :id ORDER BY id", id=public_id
    )
    assert [tuple(row) for row in noted] == [
        ("user:ann", action, public_id)
        for action in ("deliveries.replayed", "replay.paused", "deliveries.replayed", "replay.stopped")
    ]


def test_the_sweeper_carries_it_on_whoever_began_it(hub: Hub, till: Channel, redis_url: str) -> None:
    sell(hub, till, 3)
    public_id = plan(hub, park_all(hub), pace=1)
    do(hub, replays.start, public_id)
    sweeper = Sweeper(hub.runtime, Doorbell(redis_url))
    for _ in range(3):
        later(hub, 1)
        sweeper.once()
        hub.work()
    sweeper.once()
    assert found(hub, public_id).counts == {"changed": 3}


def test_a_later_replay_does_not_rewrite_the_story_of_an_earlier_one(hub: Hub, till: Channel) -> None:
    ids = sell(hub, till, 1)
    park_all(hub)
    first = plan(hub, ids)
    assert run_through(hub, first).counts == {"changed": 1}
    assert run_through(hub, plan(hub, ids)).counts == {"right": 1}
    assert found(hub, first).counts == {"changed": 1}


def test_what_is_retried_later_by_itself_is_tried_now(hub: Hub, till: Channel) -> None:
    ids = sell(hub, till, 2)
    with hub.runtime.sessions.begin() as session:
        session.execute(
            text(
                "UPDATE deliveries SET due_at = now() + interval '6 hours', code = 'http_503', fault = 'channel'"
                " WHERE id = :id"
            ),
            {"id": ids[0]},
        )
        assert deliveries.replay(session, ids) == [ids[0]], "the other one is due by itself"
    assert hub.rows(
        "SELECT count(*) AS n FROM deliveries WHERE due_at > now() AND direction = 'inbound'"
    ) == [(0,)]


def test_a_push_to_a_paused_channel_waits_and_the_replay_ends(hub: Hub, till: Channel) -> None:
    with hub.runtime.sessions.begin() as session:
        push = deliveries.Push(
            hub.program.id, till.id, topic="fetch.sale", key="k", body={"what": "sale"}
        )
        deliveries.enqueue(session, [push])
        session.execute(text("UPDATE deliveries SET state = 'failed', code = 'x', fault = 'hub'"))
        session.execute(text("UPDATE channels SET status = 'paused'"))
    public_id = plan(hub, [1])
    do(hub, replays.start, public_id)
    replays.advance_all(hub.runtime)
    ended = found(hub, public_id)
    assert (ended.state, ended.counts) == ("done", {"waiting": 1})
    with hub.runtime.sessions() as session:
        (item,) = replays.items(session, ended)
    assert item.reason == "channel_paused"


def test_a_set_of_another_programs_deliveries_is_empty(hub: Hub, till: Channel) -> None:
    ids = sell(hub, till, 2)
    with hub.runtime.sessions.begin() as session:
        session.execute(
            text(
                "INSERT INTO programs (public_id, slug, name, currency, time_zone, region, starts_at)"
                " VALUES ('prg_x', 'other', 'Other', 'VND', 'UTC', 'VN', now())"
            )
        )
        (other,) = session.execute(text("SELECT id FROM programs WHERE slug = 'other'")).scalars()
        public_id = replays.plan(session, other, ids, actor="user:eve")
        replay = replays.find(session, other, public_id)
        assert replay is not None
        assert replay.total == 0
        assert replays.find(session, hub.program.id, public_id) is None
        with pytest.raises(NotPossible):
            replays.start(session, hub.program.id, public_id, actor="user:eve")


def test_what_was_only_planned_is_dropped_after_a_week(hub: Hub, till: Channel) -> None:
    ids = sell(hub, till, 1)
    old, new = plan(hub, ids), plan(hub, ids)
    with hub.runtime.sessions.begin() as session:
        session.execute(
            text("UPDATE replays SET created_at = now() - interval '8 days' WHERE public_id = :id"),
            {"id": old},
        )
        replays.forget(session)
        assert [r.public_id for r in replays.latest(session, hub.program.id)] == [new]


def test_after_a_restore_nothing_is_replayed_by_itself(hub: Hub, till: Channel) -> None:
    sell(hub, till, 5)
    public_id = plan(hub, park_all(hub), pace=1)
    do(hub, replays.start, public_id)
    with hub.runtime.sessions.begin() as session:
        after_restore(session)
    assert found(hub, public_id).state == "paused"
