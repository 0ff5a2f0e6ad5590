"""Handshakes: of use once, for a while, whoever is quicker; and nothing is stored that was not proven."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from marshmallow import Schema, fields

from hub import handshakes
from hub.connector import Brought, Connector, Granted, Handshake, Inbound, Verdict, Way
from hub.errors import ChannelDown, Misconfigured
from hub.handshakes import Begun, Unknown
from hub.http import Http
from hub.outbox.channels import Channel
from hub.program import store
from hub.program.store import Program
from hub.runtime import Runtime
from hub.settings import Settings
from tests.hubs import START

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
PUBLIC = "https://hub.example.com"


class AlleySettings(Schema):
    shop = fields.String(required=True)
    webhook_secret = fields.String(required=True, metadata={"secret": True})
    key = fields.String(required=True, metadata={"secret": True})


class Alley(Connector):
    """A platform whose shops hand out a key."""

    kind = "alley"
    label = "Alley"
    settings_schema = AlleySettings
    ways = (
        Way("key", ("shop",), answered_by="server", needs_tls=True),
        Way("typed", ("shop", "key", "webhook_secret")),
    )
    taken: ClassVar[list[str]] = []
    fault: ClassVar[Exception | None] = None

    def delivery_key(self, inbound: Inbound) -> str:
        return ""

    def verify(self, inbound: Inbound) -> Verdict:
        return Verdict.VERIFIED

    def normalise(self, inbound: Inbound) -> list[Any]:
        return []

    def shop_identity(self) -> str | None:
        return str(self.channel.settings["shop"])

    @classmethod
    def leave_at(cls, handshake: Handshake) -> str:
        return f"https://{handshake.settings['shop']}/let-in?state={handshake.state}"

    @classmethod
    def state_in(cls, brought: Brought) -> str:
        return dict(brought.query).get("state", "")

    @classmethod
    def take(cls, handshake: Handshake, brought: Brought, http: Http) -> Granted:
        cls.taken.append(handshake.state)
        if cls.fault is not None:
            raise cls.fault
        return Granted({"key": "k3y", "webhook_secret": "s3cret"}, {"token": "t0ken"})


@pytest.fixture
def runtime(database: str, redis_url: str, tmp_path: Path) -> Iterator[Runtime]:
    with made(database, redis_url, tmp_path, PUBLIC) as found:
        Alley.taken, Alley.fault = [], None
        yield found


@contextmanager
def made(database: str, redis_url: str, data: Path, public_url: str) -> Iterator[Runtime]:
    settings = Settings(
        data=data, database_url=database, redis_url=redis_url, public_url=public_url,
        connectors={"alley": "tests.test_handshakes.Alley"},
    )  # fmt: skip
    runtime = Runtime.start(settings, "web")
    runtime.clock = lambda: NOW
    yield runtime
    runtime.engine.dispose()


@pytest.fixture
def program(runtime: Runtime) -> Program:
    with runtime.sessions.begin() as session:
        return store.create(
            session, slug="corner", name="Corner", currency="VND", time_zone="UTC", region="VN",
            starts_at=START, document=None, actor="test",
        )  # fmt: skip


def begin(
    runtime: Runtime,
    program: Program,
    settings: Mapping[str, Any] | None = None,
    way: str = "key",
    channel: Channel | None = None,
) -> Begun:
    with runtime.sessions.begin() as session:
        return handshakes.begin(
            session, runtime, program=program, kind="alley", way=way, name="Alley",
            settings=settings or {"shop": "alley.example"}, actor="user:usr_1", channel=channel,
        )  # fmt: skip


def brought(state: str) -> Brought:
    return Brought((("state", state),), b"", NOW)


def rows(runtime: Runtime, statement: str) -> list[Any]:
    with runtime.sessions() as session:
        return list(session.connection().exec_driver_sql(statement).all())


def channels(runtime: Runtime) -> int:
    return int(rows(runtime, "SELECT count(*) FROM channels")[0][0])


def test_the_shop_gets_a_state_of_its_own_and_the_database_only_its_hash(
    runtime: Runtime, program: Program
) -> None:
    first, second = begin(runtime, program), begin(runtime, program)
    assert first.state != second.state
    assert len(first.state) >= 43, "256 bits"
    assert parse_qs(urlsplit(first.address).query)["state"] == [first.state]
    stored = repr(rows(runtime, "SELECT * FROM handshakes"))
    assert first.state not in stored
    assert "alley.example" not in stored, "what was entered is encrypted"


def test_what_the_shop_grants_becomes_a_channel_with_an_encrypted_memory(
    runtime: Runtime, program: Program
) -> None:
    begun = begin(runtime, program)
    channel = handshakes.finish(runtime, "alley", brought(begun.state))
    assert (channel.name, channel.kind, channel.program_id) == ("Alley", "alley", program.id)
    assert runtime.secrets.decrypt(channel.secrets) == {"key": "k3y", "webhook_secret": "s3cret"}
    stored = repr(rows(runtime, "SELECT * FROM channels")) + repr(
        rows(runtime, "SELECT * FROM handshakes")
    )
    assert [word for word in ("k3y", "s3cret", "t0ken") if word in stored] == []
    sealed = rows(runtime, "SELECT sealed_state, state FROM channels")[0]
    assert (runtime.secrets.decrypt(bytes(sealed[0])), sealed[1]) == ({"token": "t0ken"}, {})


def test_a_state_is_of_use_once(runtime: Runtime, program: Program) -> None:
    begun = begin(runtime, program)
    handshakes.finish(runtime, "alley", brought(begun.state))
    with pytest.raises(Unknown):
        handshakes.finish(runtime, "alley", brought(begun.state))
    assert (channels(runtime), Alley.taken) == (1, [begun.state])


def test_of_eight_answers_at_once_one_connects(runtime: Runtime, program: Program) -> None:
    """Eight threads leave a barrier together, each with its own connection to PostgreSQL."""
    begun, barrier = begin(runtime, program), threading.Barrier(8)
    ends: list[str] = []

    def answer() -> None:
        barrier.wait()
        try:
            ends.append(handshakes.finish(runtime, "alley", brought(begun.state)).kind)
        except Unknown:
            ends.append("unknown")

    threads = [threading.Thread(target=answer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(ends) == ["alley", *["unknown"] * 7]
    assert (channels(runtime), len(Alley.taken)) == (1, 1), "the shop is asked once"


@pytest.mark.parametrize(
    ("passed", "good"), [(timedelta(minutes=14, seconds=59), True), (timedelta(minutes=15), False)]
)
def test_a_state_is_good_for_fifteen_minutes(
    runtime: Runtime, program: Program, passed: timedelta, good: bool
) -> None:
    begun = begin(runtime, program)
    runtime.clock = lambda: NOW + passed
    if not good:
        with pytest.raises(Unknown):
            handshakes.finish(runtime, "alley", brought(begun.state))
    else:
        handshakes.finish(runtime, "alley", brought(begun.state))
    assert channels(runtime) == good


@pytest.mark.parametrize("state", ["", "guessed", "x" * 100_000, "\x00", "\ud800"])
def test_a_state_that_is_none_takes_nothing(runtime: Runtime, program: Program, state: str) -> None:
    begin(runtime, program)
    with pytest.raises(Unknown):
        handshakes.finish(runtime, "alley", brought(state))
    assert Alley.taken == []


def test_a_state_of_one_kind_is_none_of_another(runtime: Runtime, program: Program) -> None:
    begun = begin(runtime, program)
    with pytest.raises(Unknown), runtime.sessions() as session:
        handshakes.ended(session, "woocommerce", begun.state, NOW)


@pytest.mark.parametrize(
    "fault", [Misconfigured("bad_key", "no such key"), ChannelDown("timeout", "no answer")]
)
def test_what_could_not_be_proven_stores_nothing_but_the_reason(
    runtime: Runtime, program: Program, fault: Misconfigured
) -> None:
    Alley.fault = fault
    begun = begin(runtime, program)
    with pytest.raises(type(fault)):
        handshakes.finish(runtime, "alley", brought(begun.state))
    assert channels(runtime) == 0
    with runtime.sessions() as session:
        ended = handshakes.ended(session, "alley", begun.state, NOW)
    assert (ended.open, ended.code, ended.channel) == (False, fault.code, None)
    Alley.fault = None
    with pytest.raises(Unknown):
        handshakes.finish(runtime, "alley", brought(begun.state))


def test_who_says_no_in_the_shop_has_ended_it(runtime: Runtime, program: Program) -> None:
    begun = begin(runtime, program)
    handshakes.refuse(runtime, "alley", begun.state)
    with pytest.raises(Unknown):
        handshakes.finish(runtime, "alley", brought(begun.state))
    assert (channels(runtime), Alley.taken) == (0, [])


def test_a_channel_is_connected_again_with_its_orders_and_its_shop(
    runtime: Runtime, program: Program
) -> None:
    first = handshakes.finish(runtime, "alley", brought(begin(runtime, program).state))
    again = begin(runtime, program, channel=first)
    second = handshakes.finish(runtime, "alley", brought(again.state))
    assert (second.id, channels(runtime)) == (first.id, 1)
    other = begin(runtime, program, {"shop": "another.example"}, channel=first)
    with pytest.raises(Misconfigured) as fault:
        handshakes.finish(runtime, "alley", brought(other.state))
    assert fault.value.code == "other_shop_named"


def test_a_shop_that_is_connected_is_not_connected_twice(runtime: Runtime, program: Program) -> None:
    begun = [begin(runtime, program) for _ in range(2)]
    handshakes.finish(runtime, "alley", brought(begun[0].state))
    with pytest.raises(Misconfigured) as fault:
        handshakes.finish(runtime, "alley", brought(begun[1].state))
    assert fault.value.code in ("name_taken", "shop_taken")
    assert channels(runtime) == 1


@pytest.mark.parametrize(
    ("settings", "way", "code"),
    [
        ({"shop": ""}, "key", "bad_settings"),
        ({"shop": "a"}, "typed", "no_such_way"),
        ({"shop": "a"}, "x", "no_such_way"),
    ],
)
def test_what_cannot_be_begun_says_why(
    runtime: Runtime, program: Program, settings: dict[str, str], way: str, code: str
) -> None:
    with pytest.raises(Misconfigured) as fault:
        begin(runtime, program, settings, way)
    assert fault.value.code == code


def test_a_platform_that_calls_https_alone_is_not_sent_to_a_plain_hub(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    with made(database, redis_url, tmp_path, "http://127.0.0.1:8080") as runtime:
        with runtime.sessions.begin() as session:
            program = store.create(
                session, slug="corner", name="Corner", currency="VND", time_zone="UTC", region="VN",
                starts_at=START, document=None, actor="test",
            )  # fmt: skip
        with pytest.raises(Misconfigured) as fault:
            begin(runtime, program)
        assert fault.value.code == "needs_tls"


def test_old_handshakes_are_swept_away(runtime: Runtime, program: Program) -> None:
    begin(runtime, program)
    runtime.clock = lambda: NOW + timedelta(days=3)
    begin(runtime, program)
    assert rows(runtime, "SELECT count(*) FROM handshakes")[0][0] == 1


def test_a_memory_that_an_earlier_version_stored_plainly_is_read_and_then_encrypted(
    runtime: Runtime, program: Program
) -> None:
    from hub.outbox.channels import Handle

    channel = handshakes.finish(runtime, "alley", brought(begin(runtime, program).state))
    with runtime.sessions.begin() as session:
        session.connection().exec_driver_sql(
            """UPDATE channels SET sealed_state = '', state = '{"token": "0ld"}'"""
        )
    handle = Handle(runtime, channel)
    state, version = handle.state()
    assert state == {"token": "0ld"}
    assert handle.save_state(state, version)
    assert handle.state()[0] == {"token": "0ld"}
    assert "0ld" not in repr(rows(runtime, "SELECT * FROM channels"))
