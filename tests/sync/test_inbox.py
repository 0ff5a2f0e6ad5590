"""Group commit: threads share transactions, and nobody pays for the others for long."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from hub.outbox.channels import Channel
from hub.sync import receive
from hub.sync.receive import CannotStore, Inbox, Message
from tests.hubs import Hub, running_hub


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path) as hub:
        yield hub


@pytest.fixture
def channel(hub: Hub) -> Channel:
    secret = "whsec_dGhlIHRpbGwgYW5kIHRoZSBodWIga25vdyB0aGlz"
    return hub.add_channel("generic_pos", {"webhook_secret": secret}, "till")


def message(channel: Channel, key: str) -> Message:
    body = f'{{"key": "{key}"}}'.encode()
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


def test_a_defect_while_storing_is_never_taken_for_success(
    hub: Hub, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = Inbox(hub.runtime)
    other = message(channel, "b")

    def defect(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(receive, "insert", defect)
    with pytest.raises(ZeroDivisionError):
        inbox._commit([message(channel, "a"), other])
    assert (other.done, type(other.error)) == (True, ZeroDivisionError)


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
