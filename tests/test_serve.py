from __future__ import annotations

import http.client
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from tests.pace import paced
from tests.ups import Up, a_home, a_hub

pytestmark = pytest.mark.slow
HELD = 200
HELD_SECONDS = paced(10, 60)
MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
def running() -> Iterator[Up]:
    with a_home() as home, a_hub(home) as up:
        yield up


def post(up: Up, body: bytes | Iterator[bytes]) -> tuple[int, float]:
    """Status and seconds of one webhook to an address where no channel is."""
    chunked = not isinstance(body, bytes)
    headers = {"transfer-encoding": "chunked"} if chunked else {}
    began = time.monotonic()
    with closing(http.client.HTTPConnection("127.0.0.1", up.port, timeout=20)) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):  # it may have heard enough
            connection.request("POST", "/webhooks/nobody", body, headers, encode_chunked=chunked)
        status = connection.getresponse().status
    return status, time.monotonic() - began


def half_sent(up: Up) -> socket.socket:
    """A sender that announces a kilobyte, sends some of it and then nothing more."""
    connection = socket.create_connection(("127.0.0.1", up.port), timeout=10)
    head = b"POST /webhooks/nobody HTTP/1.1\r\nHost: hub\r\nContent-Length: 1024\r\n\r\n"
    connection.sendall(head + b"half a body")
    return connection


def resident_bytes(pids: list[int]) -> int:
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids]
    return sum(pages) * 4096


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_senders_that_stop_half_way_do_not_keep_others_waiting(running: Up) -> None:
    before = resident_bytes(running.children("web"))
    with ExitStack() as stack:
        for _ in range(HELD):
            stack.enter_context(half_sent(running))
        ends = time.monotonic() + HELD_SECONDS
        while time.monotonic() < ends:
            status, seconds = post(running, b"{}")
            assert status == 404
            assert seconds < 3
            time.sleep(0.5)
        grown = resident_bytes(running.children("web")) - before
    assert grown < 100 * MEGABYTE
    assert post(running, b"{}")[0] == 404


def test_a_body_over_the_limit_is_413_also_when_nobody_announced_its_length(running: Up) -> None:
    body = b"x" * (10 * MEGABYTE + 1)
    assert post(running, body)[0] == 413
    assert post(running, (body[at : at + 65536] for at in range(0, len(body), 65536)))[0] == 413


def test_a_body_of_just_the_limit_is_read_whole(running: Up) -> None:
    assert post(running, b"x" * (10 * MEGABYTE))[0] == 404


def test_half_sent_bodies_do_not_hold_up_the_end() -> None:
    with a_home() as home, a_hub(home) as up, ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(half_sent(up))
        assert up.end() < 10
        assert up.process.returncode == 0
