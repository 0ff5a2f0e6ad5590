"""Connections that are kept from one request to the next: used again, never at the price of doing a thing twice."""

from __future__ import annotations

import ipaddress
import json
import ssl
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import text

from hub import peers
from hub.connect import add_channel
from hub.errors import ChannelDown, Misconfigured
from hub.http import Dropped, Http
from hub.outbox import deliveries
from hub.outbox.deliveries import Push
from hub.sync import push
from tests.hubs import Hub, running_hub
from tests.keeping import KeepingShop, keeping_shop
from tests.signed import SETTINGS


@pytest.fixture(params=["plain", "tls"])
def shop(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KeepingShop]:
    tls = None
    if request.param == "tls":
        certificate, key = own_certificate(tmp_path)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
    with keeping_shop(tls) as shop:
        yield shop


def own_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that vouches for itself, and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "shop")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(here, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "shop.pem", folder / "shop.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    return certificate, secret


@pytest.fixture
def door() -> Iterator[Http]:
    door = Http(allow_private=["127.0.0.1"])
    yield door
    door.close()


def test_two_attempts_share_a_connection_and_no_record(shop: KeepingShop, door: Http) -> None:
    first, second = door.again(), door.again()
    for http in (first, second):
        assert http.request("POST", shop.url, body=b"{}").status == 200
    assert shop.connections == [1, 1]
    assert (len(first.exchanges), len(second.exchanges), door.exchanges) == (1, 1, [])


@pytest.mark.parametrize("mood", ["nothing", "chunks", "redirect"])
def test_an_answer_of_any_form_leaves_the_connection_for_the_next(
    shop: KeepingShop, door: Http, mood: str
) -> None:
    shop.moods = [mood] * 2
    expected = {"nothing": 204, "redirect": 302}.get(mood, 200)
    assert [door.request("POST", shop.url).status for _ in "ab"] == [expected] * 2
    assert shop.connections == [1, 1]


def test_cookies_of_one_answer_are_not_sent_with_the_next_request(shop: KeepingShop, door: Http) -> None:
    for http in (door, door, door.again()):
        http.request("GET", shop.url)
    assert [one.cookie for one in shop.asked] == [None] * 3


@pytest.mark.parametrize("mood", ["leave", "close"])
def test_a_connection_that_the_shop_closed_after_its_answer_is_made_anew(
    shop: KeepingShop, door: Http, mood: str
) -> None:
    shop.moods = [mood]
    door.request("POST", shop.url, body=b"1")
    time.sleep(0.1)
    assert door.request("POST", shop.url, body=b"2").status == 200
    assert [(one.connection, one.body) for one in shop.asked] == [(1, b"1"), (2, b"2")]


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_what_a_kept_connection_lost_is_not_asked_again_where_it_may_have_been_done(
    shop: KeepingShop, door: Http, method: str
) -> None:
    shop.moods = ["", "drop"]
    door.request(method, shop.url, body=b"1")
    with pytest.raises(Dropped) as caught:
        door.request(method, shop.url, body=b"2")
    assert (caught.value.code, caught.value.retry_at) == ("unreachable", None)
    assert [one.body for one in shop.asked] == [b"1", b"2"]
    assert door.exchanges[1].response == caught.value.detail
    assert door.request(method, shop.url, body=b"3").status == 200
    assert shop.connections == [1, 1, 2]


def test_what_is_only_read_is_asked_again_once_on_a_new_connection(
    shop: KeepingShop, door: Http
) -> None:
    shop.moods = ["", "drop"]
    assert [door.request("GET", shop.url).status for _ in "ab"] == [200, 200]
    assert shop.connections == [1, 1, 2]
    shop.moods = ["drop", "drop"]
    with pytest.raises(ChannelDown) as caught:
        door.request("GET", shop.url)
    assert (caught.value.code, isinstance(caught.value, Dropped)) == ("unreachable", False)
    assert shop.connections == [1, 1, 2, 2, 3]


def test_a_new_connection_that_is_dropped_is_a_shop_that_is_away(shop: KeepingShop, door: Http) -> None:
    shop.moods = ["drop"]
    with pytest.raises(ChannelDown) as caught:
        door.request("POST", shop.url, body=b"1")
    assert (caught.value.code, isinstance(caught.value, Dropped)) == ("unreachable", False)
    assert len(shop.asked) == 1


@pytest.mark.parametrize("mood", ["drip", "drip the body"])
def test_the_deadline_holds_against_a_drip_on_a_kept_connection(
    shop: KeepingShop, door: Http, mood: str
) -> None:
    shop.moods = ["", mood]
    door.request("GET", shop.url)
    began = time.monotonic()
    with pytest.raises(ChannelDown) as caught:
        door.request("GET", shop.url, deadline=0.4)
    assert caught.value.code == "timeout"
    assert 0.3 < time.monotonic() - began < 2
    assert shop.connections == [1, 1]
    assert (
        door.request("GET", shop.url).status == 200
    )  # what is left of the answer is not taken for this one's
    assert shop.connections == [1, 1, 2]


def test_the_deadline_of_one_request_is_not_the_next_ones(shop: KeepingShop, door: Http) -> None:
    door.request("GET", shop.url, deadline=0.2)
    time.sleep(0.3)
    assert door.request("GET", shop.url).status == 200
    assert shop.connections == [1, 1]


def test_a_connection_that_rested_is_not_used_again(
    shop: KeepingShop, door: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "KEPT_SECONDS", 0.1)
    door.request("POST", shop.url)
    time.sleep(0.15)
    door.request("POST", shop.url)
    assert shop.connections == [1, 2]


def test_a_door_that_was_closed_opens_again(shop: KeepingShop, door: Http) -> None:
    for _ in range(2):
        door.request("POST", shop.url)
        door.close()
    assert shop.connections == [1, 2]


def test_a_private_peer_is_refused_however_often_it_is_asked(shop: KeepingShop) -> None:
    closed = Http()
    for _ in range(2):
        with pytest.raises(Misconfigured):
            closed.again().request("POST", shop.url)
    assert shop.asked == []


# --- pushes ----------------------------------------------------------------------------------------


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path) as hub:
        yield hub


@pytest.fixture
def till() -> Iterator[KeepingShop]:
    with keeping_shop() as shop:
        yield shop


def owe(hub: Hub, till: KeepingShop, count: int) -> None:
    """A till that is to be told of so many balances."""
    with hub.runtime.sessions.begin() as session:
        its = add_channel(
            session, hub.runtime, program_id=hub.program.id, kind="generic_pos", name="Till", actor="test",
            settings={**SETTINGS["generic_pos"], "callback_url": till.url}, allow_private=True,
        )  # fmt: skip
        ids = session.execute(
            text(
                """WITH m AS (INSERT INTO members (public_id, program_id)
                       SELECT 'mem_' || n, :p FROM generate_series(1, :n) n RETURNING id)
                   INSERT INTO accounts (program_id, member_id) SELECT :p, id FROM m RETURNING member_id"""
            ),
            {"p": hub.program.id, "n": count},
        )
        bodies = [{"action": "set_balance", "member": row.member_id} for row in ids]
        pushes = [
            Push(hub.program.id, its.id, "set_balance", f"b:{b['member']}", body=b) for b in bodies
        ]
        deliveries.enqueue(session, pushes)


def told(till: KeepingShop) -> Counter[str]:
    return Counter(json.loads(one.body)["customer"]["member_id"] for one in till.asked)


def ends(hub: Hub) -> Counter[tuple[str, int]]:
    return Counter(
        (row.state, row.attempts) for row in hub.rows("SELECT state, attempts FROM deliveries")
    )


def test_pushes_of_one_drain_share_a_connection_and_each_keeps_its_own_exchange(
    hub: Hub, till: KeepingShop
) -> None:
    owe(hub, till, push.BATCH + 5)
    push.drain(hub.runtime)
    assert set(till.connections) == {1}
    assert set(told(till).values()) == {1}
    noted = hub.rows("SELECT jsonb_array_length(exchanges) AS n FROM attempts")
    assert [row.n for row in noted] == [1] * (push.BATCH + 5)


@pytest.mark.parametrize("mood", ["leave", "close"])
def test_a_connection_that_the_shop_ended_between_two_pushes_costs_neither_a_pause_nor_a_repetition(
    hub: Hub, till: KeepingShop, mood: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    owe(hub, till, 3)
    till.moods = ["", mood]
    carry_out = push._carry_out

    def later(*what: Any) -> Any:
        time.sleep(0.05)  # the shop's farewell is there by then
        return carry_out(*what)

    monkeypatch.setattr(push, "_carry_out", later)
    push.drain(hub.runtime)
    assert (till.connections, set(told(till).values())) == ([1, 1, 2], {1})
    assert ends(hub) == {("done", 1): 3}


def test_balances_that_are_read_together_and_change_before_their_turn_are_told_as_they_are(
    hub: Hub, till: KeepingShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    owe(hub, till, 3)
    carry_out = push._carry_out
    changed: list[bool] = []

    def earns_meanwhile(*what: Any) -> Any:
        if not changed:
            changed.append(True)
            earn(hub, "mem_3", 70)
        return carry_out(*what)

    monkeypatch.setattr(push, "_carry_out", earns_meanwhile)
    push.drain(hub.runtime)
    said = [json.loads(one.body) for one in till.asked]
    assert [one["points"] for one in said if one["customer"]["member_id"] == "mem_3"] == [0, 70]
    assert ends(hub) == {("done", 1): 2, ("done", 2): 1}


def earn(hub: Hub, member: str, points: int) -> None:
    with hub.runtime.sessions.begin() as session:
        parameters = {"m": member, "n": points}
        found = "(SELECT id FROM members WHERE public_id = :m)"
        session.execute(text(f"UPDATE accounts SET balance = :n WHERE member_id = {found}"), parameters)
        row = session.execute(
            text(f"SELECT * FROM deliveries WHERE key = 'b:' || {found}"), parameters
        ).one()
        its = Push(
            row.program_id, row.channel_id, "set_balance", row.key, body=json.loads(bytes(row.body))
        )
        deliveries.enqueue(session, [its])


def test_of_balances_noted_together_one_whose_lease_was_lost_is_told_again_and_the_others_are_done(
    hub: Hub, till: KeepingShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    owe(hub, till, 5)
    monkeypatch.setattr(push, "TOGETHER", 60.0)
    carry_out = push._carry_out
    calls = []

    def lose(*what: Any) -> Any:
        calls.append(what)
        if len(calls) == 4:  # the third is told and not noted yet
            with hub.runtime.sessions.begin() as session:
                third = "(SELECT id FROM deliveries ORDER BY id OFFSET 2 LIMIT 1)"
                session.execute(text(f"UPDATE deliveries SET lease_token = 0 WHERE id = {third}"))
        return carry_out(*what)

    monkeypatch.setattr(push, "_carry_out", lose)
    push.drain(hub.runtime)
    assert set(told(till).values()) == {1}
    rows = hub.rows("SELECT state, generation FROM deliveries ORDER BY id")
    assert [row.state for row in rows] == ["done", "done", "working", "done", "done"]
    assert rows[2].generation == rows[1].generation + 1, "whoever has it by now tells it once more"
    assert len(hub.rows("SELECT 1 FROM attempts")) == 4


def test_a_slow_till_is_noted_at_once(
    hub: Hub, till: KeepingShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    owe(hub, till, 4)
    carry_out, open_then = push._carry_out, []

    def slowly(*what: Any) -> Any:
        open_then.append(len(hub.rows("SELECT 1 FROM deliveries WHERE state = 'working'")))
        time.sleep(push.TOGETHER * 1.5)
        return carry_out(*what)

    monkeypatch.setattr(push, "_carry_out", slowly)
    push.drain(hub.runtime)
    assert open_then == [4, 3, 2, 1]
    began = [row.started_at for row in hub.rows("SELECT started_at FROM attempts ORDER BY id")]
    gaps = [(b - a).total_seconds() for a, b in pairwise(began)]
    assert min(gaps) >= push.TOGETHER


def test_what_a_kept_connection_lost_is_pushed_once_more_at_once(hub: Hub, till: KeepingShop) -> None:
    """The till may have done it: it is told the very same again, by which it knows it."""
    owe(hub, till, 3)
    till.moods = ["", "drop"]
    push.drain(hub.runtime)
    assert till.connections == [1, 1, 2, 2]
    assert sorted(told(till).values()) == [1, 1, 2]
    assert till.asked[1].body == till.asked[2].body
    assert ends(hub) == {("done", 1): 3}
    assert hub.rows("SELECT down_code FROM channels")[0].down_code is None
    noted = hub.rows("SELECT jsonb_array_length(exchanges) AS n FROM attempts")
    assert sorted(row.n for row in noted) == [1, 1, 2]


def test_what_is_lost_on_a_new_connection_too_waits_like_anything_that_failed(
    hub: Hub, till: KeepingShop
) -> None:
    owe(hub, till, 3)
    till.moods = ["", "drop", "drop"]
    push.drain(hub.runtime)
    assert till.connections == [1, 1, 2]
    assert ends(hub) == {("done", 1): 1, ("due", 1): 1, ("due", 0): 1}
    assert hub.rows("SELECT down_code FROM channels")[0].down_code == "unreachable"
