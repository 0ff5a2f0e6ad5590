"""The hub in a box: its web server answers like the real one, and ends when it is done."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests import signed
from tests.hubs import Answering, running_hub, served


def test_whoever_is_answered_leaves_no_error_behind(
    database: str, redis_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A webhook is answered with a list, a page with an iterator that is closed."""
    with running_hub(database, redis_url, tmp_path) as hub:
        till = hub.add_channel("generic_pos", signed.SETTINGS["generic_pos"], "Till")
        body = signed.till_sale(1, "0912345678")
        headers = signed.headers("generic_pos", body, "1")
        assert requests.post(hub.webhook(till), data=body, headers=headers, timeout=10).ok
        assert requests.get(f"{hub.url}/login", timeout=10).ok
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


Start = Callable[..., Any]
OK = ("200 OK", [("content-type", "text/plain")])


def test_it_waits_for_what_is_still_being_answered() -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()
    answers: list[str] = []

    def slow(_environ: dict[str, Any], start: Start) -> list[bytes]:
        begun.set()
        go_on.wait(5)
        start(*OK)
        return [b"done"]

    def serve() -> None:
        with served(slow) as url:
            asking = threading.Thread(target=lambda: answers.append(requests.get(url, timeout=10).text))
            asking.start()
            begun.wait(5)
        ended.set()
        asking.join()

    serving = threading.Thread(target=serve)
    serving.start()
    assert begun.wait(5)
    assert not ended.wait(0.3)
    go_on.set()
    assert ended.wait(5)
    serving.join()
    assert answers == ["done"]


def test_one_that_fails_is_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    def fails(_environ: dict[str, Any], _start: Start) -> list[bytes]:
        raise RuntimeError("no answer")

    answering = Answering()
    with pytest.raises(RuntimeError), answering.one():
        fails({}, print)
    answering.end()
    assert answering.busy == 0
    with served(fails) as url:
        assert requests.get(url, timeout=10).status_code == 500


def test_one_whose_browser_left_in_the_middle_is_not_waited_for() -> None:
    begun, left = threading.Event(), threading.Event()

    def endless(_environ: dict[str, Any], start: Start) -> Iterator[bytes]:
        start(*OK)
        begun.set()
        left.wait(5)
        yield from (b"x" * 100_000 for _ in range(1000))

    with served(endless) as url:
        browser = _connected(url)
        browser.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert begun.wait(5)
        browser.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        browser.close()  # at once, as a closed tab does
        left.set()


def test_what_is_asked_after_the_end_is_refused_and_reaches_nothing() -> None:
    """A browser's page asks again over a connection it opened before."""
    reached: list[str] = []

    def app(environ: dict[str, Any], start: Start) -> list[bytes]:
        reached.append(environ["PATH_INFO"])
        start(*OK)
        return [b"done"]

    with served(app) as url:
        browser = _connected(url)
        assert requests.get(f"{url}/during", timeout=10).ok  # who came before is in a thread by now
    with browser:
        browser.sendall(b"GET /after HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b" 503 " in browser.recv(1000)
    assert reached == ["/during"]


def _connected(url: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), timeout=5)
