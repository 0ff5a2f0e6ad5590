"""A mistyped secret is put right, and what it kept out comes in: once each, by the ordinary way."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import text

from hub.connect import change_channel
from hub.outbox import channels
from hub.outbox.channels import Channel
from hub.sync import quarantine
from hub.sync.quarantine import Checked
from tests import signed
from tests.hubs import Hub, running_hub

OTHER = "whsec_" + base64.b64encode(b"mistyped by somebody, 32 bytes..").decode()
RIGHT = signed.SETTINGS["generic_pos"]["webhook_secret"]


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr("hub.sync.receive._CACHE_SECONDS", 0)
    with running_hub(database, redis_url, tmp_path) as hub:
        yield hub


@pytest.fixture
def till(hub: Hub) -> Channel:
    """A till whose secret was mistyped, with three sales it was refused."""
    channel = hub.add_channel("generic_pos", {"webhook_secret": OTHER}, "Till")
    for number in range(3):
        assert send(hub, channel, number).status_code == 401
    return channel


def send(hub: Hub, channel: Channel, number: int, price: int = 90_000) -> requests.Response:
    body = signed.till_sale(number, "0912345678", price)
    headers = signed.headers(channel.kind, body, f"msg_{number}")
    return requests.post(hub.webhook(channel), data=body, headers=headers, timeout=10)


def set_secret(hub: Hub, channel: Channel, secret: str) -> Channel:
    with hub.runtime.sessions.begin() as session:
        change_channel(session, hub.runtime, channel, {"webhook_secret": secret}, actor="test")
        return channels.by_ids(session, [channel.id])[channel.id]


def verify(hub: Hub, channel: Channel, ids: list[int] | None = None) -> list[Checked]:
    with hub.runtime.sessions.begin() as session:
        return quarantine.verify_again(session, hub.runtime, channel, ids=ids, actor="test")


def held(hub: Hub, channel: Channel) -> list[Any]:
    with hub.runtime.sessions() as session:
        return list(quarantine.of_channel(session, channel))


def test_what_verifies_after_the_secret_was_corrected_comes_in_and_counts(
    hub: Hub, till: Channel
) -> None:
    came = [h.received_at for h in reversed(held(hub, till))]
    till = set_secret(hub, till, RIGHT)
    assert [c.ending for c in verify(hub, till)] == ["enters"] * 3
    hub.work()
    assert hub.balance(phone="+84912345678") == 27
    rows = hub.rows(
        "SELECT source, received_at, state FROM deliveries WHERE direction = 'inbound' ORDER BY id"
    )
    assert [tuple(row) for row in rows] == [("quarantine", at, "done") for at in came]
    assert held(hub, till) == []
    hub.assert_clean()


def test_what_does_not_verify_stays_and_says_why(hub: Hub, till: Channel) -> None:
    found = verify(hub, till)
    assert [(c.ending, c.code) for c in found] == [("refused", "bad_signature")] * 3
    assert len(held(hub, till)) == 3
    assert hub.rows("SELECT 1 FROM deliveries") == []
    with hub.runtime.sessions.begin() as session:
        session.execute(text("UPDATE quarantine SET headers = headers - 'webhook-id' WHERE id = 1"))
    till = set_secret(hub, till, RIGHT)
    assert [c.ending for c in verify(hub, till)] == ["refused", "enters", "enters"]
    assert [h.code for h in held(hub, till)] == ["no_id"], "the reason of now"


def test_a_check_says_how_many_would_verify_and_changes_nothing(hub: Hub, till: Channel) -> None:
    till = set_secret(hub, till, RIGHT)
    found = quarantine.check(hub.runtime, till, held(hub, till))
    assert [c.ending for c in found] == ["enters"] * 3
    assert len(held(hub, till)) == 3
    assert hub.rows("SELECT 1 FROM deliveries") == []


def test_one_is_verified_by_itself(hub: Hub, till: Channel) -> None:
    till = set_secret(hub, till, RIGHT)
    (found,) = verify(hub, till, [held(hub, till)[1].id])
    assert found.ending == "enters"
    assert len(held(hub, till)) == 2


def test_a_message_the_till_has_sent_again_meanwhile_counts_once(hub: Hub, till: Channel) -> None:
    till = set_secret(hub, till, RIGHT)
    assert send(hub, till, 1).ok
    hub.work()
    assert [c.known for c in verify(hub, till)] == [False, True, False]
    hub.work()
    assert hub.balance(phone="+84912345678") == 27
    assert sum(row.duplicates for row in hub.rows("SELECT duplicates FROM deliveries")) == 1


def test_two_people_who_verify_the_same_messages_at_once_let_each_in_once(
    hub: Hub, till: Channel
) -> None:
    """Raced by eight threads that start at one barrier, each in a transaction of its own."""
    till = set_secret(hub, till, RIGHT)
    together, found = threading.Barrier(8), []

    def press() -> None:
        together.wait()
        found.extend(verify(hub, till))

    threads = [threading.Thread(target=press) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(c.held.id for c in found) == [1, 2, 3]
    hub.work()
    assert hub.balance(phone="+84912345678") == 27
    inbound = hub.rows("SELECT duplicates FROM deliveries WHERE direction = 'inbound'")
    assert [row.duplicates for row in inbound] == [0, 0, 0]


def test_a_channel_whose_settings_cannot_be_used_refuses_with_the_setting_to_correct(
    hub: Hub, till: Channel
) -> None:
    with hub.runtime.sessions.begin() as session:
        session.execute(text("UPDATE channels SET secrets = ''"))
        till = channels.by_ids(session, [till.id])[till.id]
    assert {c.code for c in verify(hub, till)} <= {"bad_settings", "no_webhook_secret"}
    assert len(held(hub, till)) == 3


def test_another_programs_messages_are_not_touched(hub: Hub, till: Channel) -> None:
    with hub.runtime.sessions.begin() as session:
        assert quarantine.one(session, hub.program.id + 1, 1) is None
        assert quarantine.one(session, hub.program.id, 1) is not None
        assert quarantine.counts(session, hub.program.id) == {till.id: 3}
        assert quarantine.counts(session, hub.program.id + 1) == {}


def test_who_verified_is_in_the_audit(hub: Hub, till: Channel) -> None:
    verify(hub, till)
    (noted,) = hub.rows("SELECT actor, subject, detail FROM audit WHERE action = 'quarantine.verified'")
    assert (noted.actor, noted.subject, noted.detail) == ("test", till.public_id, {"refused": 3})
