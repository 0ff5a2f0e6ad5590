"""Group commit: threads share transactions, and nobody pays for the others for long."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from hub.outbox.channels import Channel
from hub.sync import receive
from hub.sync.receive import CannotStore, Inbox, Message
from tests.hubs import Hub, running_hub
from tests.ups import wait_for


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path) as hub:
        yield hub


@pytest.fixture
def channel(hub: Hub) -> Channel:
    secret = "whsec_dGhlIHRpbGwgYW5kIHRoZSBodWIga25vdyB0aGlz"
    return hub.add_channel("generic_pos", {"webhook_secret": secret}, "till")


def message(channel: Channel, key: str) -> Message:
    body = json.dumps({"key": key}).encode()
    return Message(channel, "t", key, "{}", body, hashlib.sha256(body).digest(), datetime.now(UTC))


def test_sixteen_threads_share_commits_and_each_is_answered_after_two(
    hub: Hub, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raced by sixteen threads that never stop sending; before leading was handed over, the first
    one to lead was answered when the load ended."""
    commits, waited = 0, []

    def counted(session: Any, group: Any) -> None:
        nonlocal commits
        insert(session, group)
        commits += 1
        time.sleep(0.002)

    insert = receive.insert
    monkeypatch.setattr(receive, "insert", counted)
    inbox = Inbox(hub.runtime)

    def send(thread: int) -> None:
        for n in range(20):
            before = commits
            inbox.store(message(channel, f"{thread}-{n}"))
            waited.append(commits - before)

    threads = [threading.Thread(target=send, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = hub.rows("SELECT count(*) AS n, count(DISTINCT key) AS keys FROM deliveries")[0]
    assert (stored.n, stored.keys) == (320, 320)
    assert commits < 320
    assert max(waited) <= 4


def test_a_failed_commit_fails_each_message_of_its_group_and_the_next_goes_through(
    hub: Hub, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = Inbox(hub.runtime)
    with monkeypatch.context() as broken:
        broken.setattr(receive, "insert", _away)
        with pytest.raises(CannotStore):
            inbox.store(message(channel, "a"))
    inbox.store(message(channel, "b"))
    assert [row.key for row in hub.rows("SELECT key FROM deliveries")] == ["b"]


def test_a_message_the_database_refuses_does_not_take_its_neighbours_along(
    hub: Hub, channel: Channel
) -> None:
    inbox = Inbox(hub.runtime)
    good, bad, fine = message(channel, "a"), message(channel, "b"), message(channel, "c")
    bad.headers = "no JSON"
    inbox._commit([good, bad, fine])
    assert [m.error is None for m in (good, bad, fine)] == [True, False, True]
    assert sorted(row.key for row in hub.rows("SELECT key FROM deliveries")) == ["a", "c"]


def test_a_defect_while_storing_is_never_taken_for_success_and_the_lead_is_not_lost(
    hub: Hub, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = Inbox(hub.runtime)

    def defect(*_: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr(receive, "insert", defect)
        for key in ("a", "b"):
            with pytest.raises(ZeroDivisionError):
                inbox.store(message(channel, key))
    inbox.store(message(channel, "c"))
    assert [row.key for row in hub.rows("SELECT key FROM deliveries")] == ["c"]


def test_a_key_that_no_database_can_hold_fails_alone(hub: Hub, channel: Channel) -> None:
    inbox = Inbox(hub.runtime)
    group = [message(channel, key) for key in ("a", "\ud800", "\x00", "b")]
    inbox._commit(group)
    assert [m.stored for m in group] == [True, False, False, True]


def test_a_group_is_bounded_in_bytes_and_a_large_message_goes_alone(
    hub: Hub, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five hundred bodies of 10 MB in one statement would take the process down."""
    monkeypatch.setattr(receive, "_GROUP_BYTES", 40)
    inbox = Inbox(hub.runtime)
    inbox._pending = [message(channel, key) for key in ("a", "b", "c", "d" * 100, "e", "f")]
    groups = []
    while inbox._pending:
        groups.append([m.key[0] for m in inbox._next_group()])
    assert groups == [["a", "b", "c"], ["d"], ["e", "f"]]


def test_a_group_that_meets_a_worker_in_another_order_is_stored_all_the_same(
    hub: Hub, channel: Channel, owner: Engine
) -> None:
    """Repetitions touch rows that a worker may be finishing: when both wait for each other PostgreSQL
    ends one, and the sender must not notice."""
    keys = ["a", "b"]
    inbox, group = Inbox(hub.runtime), [message(channel, key) for key in keys]
    with hub.runtime.sessions.begin() as session:
        receive.insert(session, [message(channel, key) for key in keys])
    touch = text("UPDATE deliveries SET number = 'x' WHERE key = :key")
    with owner.begin() as worker:
        worker.execute(text("SET LOCAL deadlock_timeout = '1h'"))  # the other one finds out
        worker.execute(touch, {"key": "b"})
        storing = threading.Thread(target=inbox._commit, args=(group,))
        storing.start()
        _wait_until_blocked(owner)
        worker.execute(touch, {"key": "a"})
    storing.join()
    assert [m.error for m in group] == [None, None]
    assert [row.duplicates for row in hub.rows("SELECT duplicates FROM deliveries")] == [1, 1]


def _wait_until_blocked(owner: Engine) -> None:
    blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with owner.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        wait_for(lambda: connection.execute(text(blocked)).scalar_one())


def test_who_waits_too_long_is_told_so_and_the_lead_is_not_lost(
    hub: Hub, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receive, "_WAIT_SECONDS", 0.05)
    inbox, blocked, refused = Inbox(hub.runtime), threading.Event(), []
    insert = receive.insert

    def slow(session: Any, group: Any) -> None:
        blocked.wait(5)
        insert(session, group)

    monkeypatch.setattr(receive, "insert", slow)
    leader = threading.Thread(target=inbox.store, args=(message(channel, "a"),))
    leader.start()
    time.sleep(0.05)
    try:
        inbox.store(message(channel, "b"))
    except CannotStore as error:
        refused.append(error)
    blocked.set()
    leader.join()
    inbox.store(message(channel, "c"))
    assert len(refused) == 1
    assert sorted(row.key for row in hub.rows("SELECT key FROM deliveries")) == ["a", "c"]


def _away(*_: Any) -> None:
    raise OperationalError("INSERT", {}, Exception("server closed the connection"))
