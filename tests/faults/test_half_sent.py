"""Senders that stop in the middle of a body, held open for a minute, while orders go on coming in."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from tests import signed
from tests.crew import a_crew
from tests.pace import paced

HELD = 200
SECONDS = paced(6.0, 60.0)
IN_TIME = 3.0
"""Shopify and KiotViet give up after five seconds."""


@pytest.mark.slow
def test_webhooks_are_answered_in_time_and_stored_while_two_hundred_bodies_hang(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    with a_crew(database, redis_url, tmp_path) as crew, ExitStack() as stack:
        hub = crew.hub
        till = hub.add_channel("generic_pos", signed.SETTINGS["generic_pos"], "till")
        crew.serve()
        for number in range(HELD):
            stack.enter_context(half_sent(hub.url, f"/webhooks/{till.token}", chunked=number % 2 == 0))
        ends, sent, slowest = time.monotonic() + SECONDS, 0, 0.0
        while time.monotonic() < ends:
            body = signed.till_sale(sent, "0912345678")
            began = time.monotonic()
            answer = requests.post(
                hub.webhook(till),
                data=body,
                headers=signed.headers("generic_pos", body, str(sent)),
                timeout=IN_TIME,
            )
            slowest = max(slowest, time.monotonic() - began)
            assert answer.status_code == 200
            sent += 1
            time.sleep(0.05)
        print(f"{sent} webhooks beside {HELD} half-sent bodies, the slowest took {slowest:.3f} s")
        assert hub.rows("SELECT count(*) FROM deliveries")[0][0] == sent > 10


def half_sent(url: str, path: str, *, chunked: bool) -> socket.socket:
    """A connection that announced more than it ever sends."""
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    length, start = (
        ("Transfer-Encoding: chunked", "400\r\n{") if chunked else ("Content-Length: 1024", "{")
    )
    connection.sendall(f"POST {path} HTTP/1.1\r\nHost: hub\r\n{length}\r\n\r\n{start}".encode())
    return connection
