"""JSON that breaks parsers, signed by who may send: it ends ignored or as the payload's fault, and
the processes that read it do not grow."""

from __future__ import annotations

import hashlib
import http.client
import json
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
import requests

from hub.outbox.channels import Channel
from hub.sync import process
from hub.sync.receive import Message, insert
from hub.web import keys
from tests import signed
from tests.connectors.generic_pos.corpus import SALE
from tests.connectors.wrecking import paths, with_value, without
from tests.crew import a_crew
from tests.faults.bombs import every_case
from tests.hubs import Hub, running_hub
from tests.pace import paced
from tests.ups import wait_for

PAYLOADS = Path(__file__).parents[1] / "payloads"
MEGABYTE = 1024 * 1024
DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000", "USD": "1", "CAD": "1"}, "shipping": "in"},
    "points": {"expire_after_days": 365, "available_after_days": 14, "earn_date": "paid"},
    "rewards": [{"id": "small", "name": "Small", "cost": 20, "amount": {"VND": "50000"}}],
}


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    # west of Greenwich, where the first moments of the calendar cannot be told in local time
    with running_hub(
        database, redis_url, tmp_path, document=DOCUMENT, time_zone="America/New_York"
    ) as hub:
        yield hub


def assert_nobody_blames_the_hub(hub: Hub) -> None:
    rows = hub.rows(
        """SELECT d.key, d.topic, d.state, d.fault, d.code, d.detail FROM deliveries d
           WHERE d.direction = 'inbound' AND (d.fault NOT IN ('payload') OR d.state IN ('due', 'working'))
           LIMIT 10"""
    )
    assert rows == []
    hub.assert_clean()


# --- through the front door ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(signed.SETTINGS))
def test_torture_signed_by_the_channel_ends_ignored_or_as_the_payloads_fault(
    hub: Hub, kind: str
) -> None:
    channel = hub.add_channel(kind, signed.SETTINGS[kind], kind)
    sent = 0
    with requests.Session() as sender:
        for topic in signed.TOPICS[kind]:
            for name, body in every_case():
                headers = signed.headers(
                    kind, body, hashlib.sha1(f"{topic} {name}".encode()).hexdigest(), topic
                )
                answer = sender.post(hub.webhook(channel), data=body, headers=headers, timeout=30)
                assert answer.status_code == 200, (topic, name, answer.text)
                sent += 1
    process.drain(hub.runtime, seconds=60)
    assert_nobody_blames_the_hub(hub)
    counts = "SELECT state, count(*) AS n FROM deliveries WHERE direction = 'inbound' GROUP BY 1"
    ends = {row.state: row.n for row in hub.rows(counts)}
    assert sum(ends.values()) == sent
    assert ends["failed"] > sent // 2
    assert set(ends) <= {"failed", "done", "waiting"}
    unworded = hub.rows("SELECT 1 FROM deliveries WHERE state = 'failed' AND (code = '' OR detail = '')")
    assert unworded == []


def test_torture_at_the_api_is_the_callers_fault(hub: Hub) -> None:
    with hub.runtime.sessions.begin() as session:
        _, key = keys.create(session, hub.program, name="t", scopes=keys.SCOPES, actor="test")
    with requests.Session() as caller:
        caller.headers["Authorization"] = f"Bearer {key}"
        for name, body in every_case():
            for content_type in (
                "application/json",
                "text/plain",
                "application/x-www-form-urlencoded",
                "",
            ):
                answer = caller.post(
                    f"{hub.url}/api/v1/redemptions",
                    data=body,
                    headers={"Content-Type": content_type},
                    timeout=30,
                )
                assert 400 <= answer.status_code < 500, (name, content_type, answer.status_code)
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["code"]


# --- each field of plausible messages ------------------------------------------------------------

EXTREMES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**53,
    2**63 - 1,
    1.5,
    "",
    "-0",
    "9007199254740992",
    "90071992547409.92",
    "-90071992547409.92",
    "x" * 4000,
    "\U0001f6d2 \x7f\x01 &#0; %s %(a)s {} \\",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-14:00",
    [],
    {},
)
MESSAGES: list[tuple[str, str, str]] = [
    ("shopify", "002-orders-create-paid", "orders/create"),
    ("shopify", "017-orders-updated-two-currencies", "orders/updated"),
    ("shopify", "005-refunds-create-lines", "refunds/create"),
    ("shopify", "001-customers-create", "customers/create"),
    ("woocommerce", "017-order.created", "order.created"),
    ("woocommerce", "032-order.updated", "order.updated"),
    ("woocommerce", "015-customer.created", "customer.created"),
    ("woocommerce", "027-coupon.created", "coupon.created"),
    ("generic_pos", "", "hub.sale/1"),
]


@pytest.mark.parametrize(("kind", "name", "topic"), MESSAGES, ids=lambda v: v or "sale")
def test_no_value_of_any_field_is_the_hubs_fault(hub: Hub, kind: str, name: str, topic: str) -> None:
    """Also what a schema lets through must fit the ledger, the calendar and the database."""
    channel = hub.add_channel(kind, signed.SETTINGS[kind], kind)
    whole = json.loads((PAYLOADS / kind / f"{name}.body").read_bytes()) if name else SALE
    chance = Random(f"{kind} {name}")
    wrecked = [(where, value) for where in paths(whole) for value in ("without", *EXTREMES)]
    chosen = chance.sample(wrecked, min(len(wrecked), paced(250, 20_000)))
    messages = [_message(channel, topic, number, whole, *one) for number, one in enumerate(chosen)]
    for start in range(0, len(messages), 200):
        with hub.runtime.sessions.begin() as session:
            insert(session, messages[start : start + 200])
    process.drain(hub.runtime, seconds=600)
    assert_nobody_blames_the_hub(hub)
    ended = hub.rows("SELECT count(*) AS n FROM deliveries WHERE state IN ('done', 'waiting')")[0].n
    assert ended > len(chosen) // 10


def _message(
    channel: Channel, topic: str, number: int, whole: Any, where: tuple[str | int, ...], value: Any
) -> Message:
    """One wreck, about a sale of its own: the fold of thousands of wrecks of one sale is no test."""
    own = 10_000 + number
    changed = with_value(whole, ("id",), str(own) if channel.kind == "generic_pos" else own)
    changed = without(changed, where) if value == "without" else with_value(changed, where, value)
    body = json.dumps(changed).encode()
    headers = signed.headers(channel.kind, body, str(number), topic)
    kept = json.dumps({n.lower(): v for n, v in headers.items()})
    return Message(
        channel, topic, str(number), kept, body, hashlib.sha256(body).digest(), datetime.now(UTC)
    )


# --- bodies that are not what they say -----------------------------------------------------------


@pytest.fixture
def served(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    """The real web server."""
    with a_crew(database, redis_url, tmp_path, environment={"HUB_BODY_LIMIT_MB": "1"}) as crew:
        crew.serve()
        yield crew.hub


def raw(hub: Hub, path: str, head: bytes, body: bytes, cut: bool = False) -> int | None:
    """The status of one request sent as bytes; None when the server just closed. `cut`: say no more
    after the body, though more was announced."""
    host, port = hub.url.removeprefix("http://").split(":")
    with closing(http.client.HTTPConnection(host, int(port), timeout=30)) as connection:
        connection.connect()
        sock = connection.sock
        sock.sendall(b"POST %s HTTP/1.1\r\nHost: hub\r\n%s\r\n" % (path.encode(), head))
        try:
            sock.sendall(body)
            if cut:
                sock.shutdown(1)
            answer = http.client.HTTPResponse(sock)
            answer.begin()
        except (ConnectionError, http.client.HTTPException):
            return None
        return answer.status


def test_bodies_over_the_limit_are_413_announced_or_not_and_nothing_is_kept(served: Hub) -> None:
    till = served.add_channel("generic_pos", signed.SETTINGS["generic_pos"], "till")
    path = f"/webhooks/{till.token}"
    assert raw(served, path, b"Content-Length: %d\r\n" % (MEGABYTE + 1), b"") == 413
    assert raw(served, path, b"Content-Length: 99999999999999999999\r\n", b"") in (400, 413)
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    assert raw(served, path, b"Transfer-Encoding: chunked\r\n", chunk * 17 + b"0\r\n\r\n") == 413
    # the API takes less
    with served.runtime.sessions.begin() as session:
        _, key = keys.create(session, served.program, name="t", scopes=keys.SCOPES, actor="test")
    bearer = b"Authorization: Bearer %s\r\n" % key.encode()
    api = "/api/v1/redemptions"
    assert raw(served, api, bearer + b"Content-Length: %d\r\n" % MEGABYTE, b"") == 413
    assert raw(served, api, bearer + b"Transfer-Encoding: chunked\r\n", chunk * 5 + b"0\r\n\r\n") == 413
    assert served.rows("SELECT 1 FROM deliveries UNION ALL SELECT 1 FROM quarantine") == []


def test_a_body_that_ends_too_early_is_not_stored(served: Hub) -> None:
    till = served.add_channel("generic_pos", signed.SETTINGS["generic_pos"], "till")
    body = signed.till_sale(1, "0912345678")
    head = "".join(f"{n}: {v}\r\n" for n, v in signed.headers("generic_pos", body, "1").items()).encode()
    path = f"/webhooks/{till.token}"
    longer = b"Content-Length: %d\r\n" % (len(body) + 10)
    assert raw(served, path, head + longer, body, cut=True) in (400, None)
    chunked = b"Transfer-Encoding: chunked\r\n"
    half = b"%x\r\n%s" % (len(body), body[: len(body) // 2])
    assert raw(served, path, head + chunked, half, cut=True) in (400, 401, None)
    # a server may end the stream at the broken chunk: what came so far then does not verify
    assert raw(served, path, head + chunked, b"zz\r\n" + body, cut=True) in (400, 401, None)
    both = chunked + b"Content-Length: 3\r\n"
    assert raw(served, path, head + both, b"0\r\n\r\n") != 200
    assert served.rows("SELECT 1 FROM deliveries") == []
    exact = b"Content-Length: %d\r\n" % len(body)
    assert raw(served, path, head + exact, body) == 200


# --- memory --------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.slow
def test_processes_that_are_fed_bombs_do_not_grow(database: str, redis_url: str, tmp_path: Path) -> None:
    with a_crew(database, redis_url, tmp_path) as crew:
        hub = crew.hub
        channels = [
            hub.add_channel(kind, signed.SETTINGS[kind], kind) for kind in sorted(signed.SETTINGS)
        ]
        web, worker = crew.serve(), crew.start("worker")
        bombs = [body for _, body in every_case()]
        bombs += [b"[" + b"[]," * (MEGABYTE // 3) + b"[]]", b'{"id": "' + b"x" * (9 * MEGABYTE) + b'"}']
        numbers = iter(range(1_000_000))

        def feed(times: int) -> tuple[int, int]:
            with requests.Session() as sender:
                for _ in range(times):
                    for body in bombs:
                        number = next(numbers)
                        channel = channels[number % len(channels)]
                        headers = signed.headers(channel.kind, body, str(number))
                        sender.post(hub.webhook(channel), data=body, headers=headers, timeout=60)
            wait_for(lambda: not hub.rows(_UNDONE), seconds=120, said=crew.log.read_text)
            time.sleep(1)
            return crew.resident(web), crew.resident(worker)

        first = feed(2)
        last = feed(paced(3, 15))
        print(
            f"web and worker: {[n // MEGABYTE for n in first]} MB, then {[n // MEGABYTE for n in last]} MB"
        )
        for before, after, most in zip(first, last, (40, 100), strict=True):
            # a worker's peak is what one batch holds, and that differs with how the bombs fall
            assert after - before < most * MEGABYTE
        assert max(last) < 400 * MEGABYTE
        assert_nobody_blames_the_hub(hub)


_UNDONE = "SELECT 1 FROM deliveries WHERE direction = 'inbound' AND state IN ('due', 'working') LIMIT 1"
