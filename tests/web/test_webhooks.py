"""What a sender of webhooks is answered, and what is kept of what it sent."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import requests
from sqlalchemy import text

from hub.outbox.channels import Channel
from hub.sync.doorbell import Doorbell
from hub.sync.sweep import Sweeper
from tests import signed
from tests.hubs import Hub, running_hub
from tests.pace import paced

PHONE = "0912345678"


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path) as hub:
        yield hub


@pytest.fixture
def till(hub: Hub) -> Channel:
    return hub.add_channel("generic_pos", signed.SETTINGS["generic_pos"], "till")


def send(hub: Hub, channel: Channel, body: bytes, key: str, topic: str = "") -> requests.Response:
    headers = signed.headers(channel.kind, body, key, topic)
    return requests.post(hub.webhook(channel), data=body, headers=headers, timeout=20)


def count(hub: Hub, table: str) -> int:
    return int(hub.rows(f"SELECT count(*) FROM {table}")[0][0])


# --- who is let in -------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["nobody", "%00", "%FF%FE", "x" * 4000, "..%2f..", "☃", "1'--"])
def test_an_address_where_no_channel_is_gives_404(hub: Hub, token: str) -> None:
    answer = requests.post(f"{hub.url}/webhooks/{token}", data=b"{}", timeout=10)
    assert answer.status_code == 404
    assert count(hub, "deliveries") == count(hub, "quarantine") == 0


def test_a_disconnected_channel_is_no_address_any_more(hub: Hub, till: Channel) -> None:
    with hub.runtime.sessions.begin() as session:
        session.execute(text("UPDATE channels SET status = 'disconnected'"))
    assert send(hub, till, b"{}", "1").status_code == 404


@pytest.mark.parametrize("kind", sorted(signed.SETTINGS))
def test_a_bad_signature_is_401_and_kept_in_quarantine_only(hub: Hub, kind: str) -> None:
    channel = hub.add_channel(kind, signed.SETTINGS[kind], kind)
    body = signed.till_sale(1, PHONE)
    good = signed.headers(kind, body, "1")
    for name, value in good.items():
        if "sig" in name.lower() or "hmac" in name.lower():
            for wrong in ("", "v1,", "AAAA", "\xff\xfe", "v1," + "A" * 43 + "=", value[:-1], value * 9):
                spoilt = {n: v.encode("latin-1") for n, v in (good | {name: wrong}).items()}
                answer = requests.post(hub.webhook(channel), data=body, headers=spoilt, timeout=10)
                assert answer.status_code == 401, (name, wrong)
            without = {n: v for n, v in good.items() if n != name}
            answer = requests.post(hub.webhook(channel), data=body, headers=without, timeout=10)
            assert answer.status_code == 401
    changed = requests.post(hub.webhook(channel), data=body + b" ", headers=good, timeout=10)
    assert changed.status_code == 401
    assert count(hub, "deliveries") == 0
    assert count(hub, "quarantine") == 9
    kept = hub.rows("SELECT headers FROM quarantine ORDER BY id DESC LIMIT 1")[0].headers
    assert {name.lower() for name in good} <= set(kept)


def test_what_was_sent_to_one_channel_is_nothing_to_another(hub: Hub, till: Channel) -> None:
    settings = {"webhook_secret": "whsec_b3RoZXIgc2VjcmV0IG9mIGFub3RoZXIgdGlsbA=="}
    other = hub.add_channel("generic_pos", settings, "other")
    body = signed.till_sale(1, PHONE)
    assert send(hub, other, body, "1").status_code == 401
    assert send(hub, till, body, "1").status_code == 200


# --- the quarantine is bounded -------------------------------------------------------------------


def test_the_quarantine_keeps_the_latest_rows_of_each_channel(hub: Hub, till: Channel) -> None:
    _limit(hub, quarantine_rows=5)
    other = hub.add_channel("shopify", signed.SETTINGS["shopify"], "shop")
    requests.post(hub.webhook(other), data=b"{}", timeout=10)
    for number in range(12):
        requests.post(hub.webhook(till), data=b"%d" % number, timeout=10)
    rows = hub.rows("SELECT channel_id, body FROM quarantine ORDER BY id")
    assert Counter(row.channel_id for row in rows) == {till.id: 5, other.id: 1}
    assert [bytes(r.body) for r in rows if r.channel_id == till.id] == [b"%d" % n for n in range(7, 12)]


def test_the_quarantine_keeps_no_more_bytes_than_it_may(hub: Hub, till: Channel) -> None:
    _limit(hub, quarantine_mb=1)
    for letter in b"abcdefgh":
        requests.post(hub.webhook(till), data=bytes([letter]) * 300_000, timeout=10)
    requests.post(hub.webhook(till), data=b"x" * 1_200_000, timeout=10)
    rows = hub.rows("SELECT substr(body, 1, 1) AS first, length(body) AS n FROM quarantine ORDER BY id")
    assert sum(row.n for row in rows) <= 1024 * 1024
    assert [bytes(row.first) for row in rows] == [b"f", b"g", b"h"]


def test_the_quarantine_forgets_after_some_days_though_nothing_new_comes(
    hub: Hub, till: Channel
) -> None:
    requests.post(hub.webhook(till), data=b"old", timeout=10)
    requests.post(hub.webhook(till), data=b"new", timeout=10)
    with hub.runtime.sessions.begin() as session:
        session.execute(
            text("UPDATE quarantine SET received_at = now() - interval '8 days' WHERE body = 'old'")
        )
    Sweeper(hub.runtime, Doorbell(hub.runtime.settings.redis_url)).once()
    assert [bytes(row.body) for row in hub.rows("SELECT body FROM quarantine")] == [b"new"]


def _limit(hub: Hub, **limits: Any) -> None:
    hub.runtime.settings = replace(hub.runtime.settings, **limits)


# --- pings, repetitions, conflicts ---------------------------------------------------------------


def test_an_unsigned_ping_is_answered_counted_and_not_stored(hub: Hub) -> None:
    """https://github.com/woocommerce/woocommerce, class-wc-webhook.php: deliver_ping"""
    shop = hub.add_channel("woocommerce", signed.SETTINGS["woocommerce"], "shop")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for _ in range(3):
        answer = requests.post(hub.webhook(shop), data=b"webhook_id=14", headers=form, timeout=10)
        assert answer.status_code == 200
    assert count(hub, "deliveries") == count(hub, "quarantine") == 0
    assert hub.rows("SELECT pings FROM channels")[0].pings == 3


def test_the_same_key_with_another_text_is_parked_beside_the_first_which_stands(
    hub: Hub, till: Channel
) -> None:
    first, second = signed.till_sale(1, PHONE, 50_000), signed.till_sale(1, PHONE, 990_000)
    for body in (first, second, second, first):
        assert send(hub, till, body, "1").status_code == 200
    hub.work()
    rows = hub.rows(
        """SELECT d.state, d.fault, d.code, d.duplicates, d.body, c.key AS conflicts_with
           FROM deliveries d LEFT JOIN deliveries c ON c.id = d.conflicts_with
           WHERE d.direction = 'inbound' ORDER BY d.id"""
    )
    assert [(r.state, r.fault, r.code, r.duplicates, r.conflicts_with) for r in rows] == [
        ("done", None, None, 1, None),
        ("parked", "channel", "conflict", 1, "1"),
    ]
    assert [bytes(row.body) for row in rows] == [first, second]
    assert hub.rows("SELECT goods_net FROM transactions")[0].goods_net == 50_000
    hub.assert_clean()


def test_sixteen_at_once_of_one_message_are_one_row_and_all_are_thanked(hub: Hub, till: Channel) -> None:
    body = signed.till_sale(1, PHONE)
    for key in ("a", "b", "c"):
        answers = _at_once(16, hub, till, [body], key)
        assert Counter(answers) == {200: 16}
    assert [r.duplicates for r in hub.rows("SELECT duplicates FROM deliveries")] == [15, 15, 15]


def test_at_once_two_texts_under_one_key_are_one_message_and_one_conflict(
    hub: Hub, till: Channel
) -> None:
    bodies = [signed.till_sale(1, PHONE, net) for net in (50_000, 60_000)]
    assert Counter(_at_once(16, hub, till, bodies, "k")) == {200: 16}
    rows = hub.rows("SELECT state, duplicates, conflicts_with FROM deliveries ORDER BY id")
    assert sorted(row.state for row in rows) == ["due", "parked"]
    assert [row.duplicates for row in rows] == [7, 7]
    hub.work()
    assert len(hub.rows("SELECT 1 FROM entries")) == 1


def test_a_storm_of_one_message_is_one_sale(hub: Hub, till: Channel) -> None:
    times = paced(300, 10_000)
    body = signed.till_sale(1, PHONE)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: send(hub, till, body, "1").status_code, range(times)))
    assert Counter(answers) == {200: times}
    hub.work()
    rows = hub.rows("SELECT duplicates, outcome FROM deliveries WHERE direction = 'inbound'")
    assert [tuple(row) for row in rows] == [(times - 1, "posted")]
    assert len(hub.rows("SELECT 1 FROM entries")) == 1
    hub.assert_clean()


def _at_once(times: int, hub: Hub, channel: Channel, bodies: list[bytes], key: str) -> list[int]:
    barrier = Barrier(times)

    def one(number: int) -> int:
        barrier.wait()
        return send(hub, channel, bodies[number % len(bodies)], key).status_code

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(one, range(times)))


# --- what is kept --------------------------------------------------------------------------------


def test_headers_are_kept_bounded_and_without_what_is_secret(hub: Hub, till: Channel) -> None:
    body = signed.till_sale(1, PHONE)
    headers = signed.headers("generic_pos", body, "1") | {
        "Authorization": "Bearer secret",
        "Cookie": "session=secret",
        "X-Long": "y" * 5000,
        **{f"X-Many-{n}": "z" for n in range(80)},
    }
    assert requests.post(hub.webhook(till), data=body, headers=headers, timeout=10).status_code == 200
    kept = hub.rows("SELECT headers FROM deliveries")[0].headers
    assert "secret" not in json.dumps(kept)
    assert len(kept) <= 60
    assert max(map(len, kept.values())) <= 2000


def test_bytes_are_kept_as_they_came(hub: Hub, till: Channel) -> None:
    body = b'\xef\xbb\xbf{"type": "\xff\xfe\x00"}\r\n'
    assert send(hub, till, body, "1").status_code == 200
    assert bytes(hub.rows("SELECT body FROM deliveries")[0].body) == body
