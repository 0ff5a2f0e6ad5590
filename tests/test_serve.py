from __future__ import annotations

import http.client
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from tests.crew import Crew, a_crew
from tests.pace import paced
from tests.ups import half_sent

pytestmark = pytest.mark.slow
HELD = 200
HELD_SECONDS = paced(10, 60)
MEGABYTE = 1024 * 1024


@pytest.fixture
def crew(database: str, redis_url: str, tmp_path: Path) -> Iterator[Crew]:
    """`hub web`, serving."""
    with a_crew(database, redis_url, tmp_path) as crew:
        crew.serve()
        yield crew


def post(crew: Crew, body: bytes | Iterator[bytes]) -> tuple[int, float]:
    """Status and seconds of one webhook to an address where no channel is."""
    chunked = not isinstance(body, bytes)
    headers = {"transfer-encoding": "chunked"} if chunked else {}
    began = time.monotonic()
    with closing(http.client.HTTPConnection("127.0.0.1", crew.port, timeout=20)) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):  # it may have heard enough
            connection.request("POST", "/webhooks/nobody", body, headers, encode_chunked=chunked)
        status = connection.getresponse().status
    return status, time.monotonic() - began


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_senders_that_stop_half_way_do_not_keep_others_waiting(crew: Crew) -> None:
    (web,) = crew.running
    before = crew.resident(web)
    with ExitStack() as stack:
        for _ in range(HELD):
            stack.enter_context(half_sent(crew.port))
        ends = time.monotonic() + HELD_SECONDS
        while time.monotonic() < ends:
            status, seconds = post(crew, b"{}")
            assert status == 404
            assert seconds < 3
            time.sleep(0.5)
        grown = crew.resident(web) - before
    assert grown < 100 * MEGABYTE
    assert post(crew, b"{}")[0] == 404


def test_a_body_over_the_limit_is_413_also_when_nobody_announced_its_length(crew: Crew) -> None:
    body = b"x" * (10 * MEGABYTE + 1)
    assert post(crew, body)[0] == 413
    assert post(crew, (body[at : at + 65536] for at in range(0, len(body), 65536)))[0] == 413


def test_a_body_of_just_the_limit_is_read_whole(crew: Crew) -> None:
    assert post(crew, b"x" * (10 * MEGABYTE))[0] == 404
