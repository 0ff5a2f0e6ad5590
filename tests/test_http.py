"""What the door to the channels lets through, over real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from hub.errors import ChannelDown, Misconfigured
from hub.http import Http, retry_after


class Inside(HTTPServer):
    """A server of the private network, which notes who came."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.seen.append(self.path)
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_request(self, *_what: Any) -> None:
                """Nothing on the terminal."""

        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that is closed without a word is what is wanted here."""


@pytest.fixture
def inside() -> Iterator[Inside]:
    with Inside() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def rebind(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """The name `rebound.example` resolves to each address in turn, then to the last of them."""
    answers = list(addresses)

    def resolve(host: Any, port: Any, *_args: Any, **_more: Any) -> Any:
        address = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port or 0))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


def test_a_name_that_was_public_when_it_was_checked_reaches_nothing_private(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    rebind(monkeypatch, "93.184.215.14", "127.0.0.1")
    with pytest.raises(Misconfigured, match=r"'rebound\.example' is a private address"):
        Http().request("GET", f"http://rebound.example:{inside.server_port}/secret")
    assert inside.seen == []


def test_a_private_name_is_refused_without_a_connection(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    rebind(monkeypatch, "127.0.0.1")
    http = Http()
    with pytest.raises(Misconfigured):
        http.request("GET", f"http://rebound.example:{inside.server_port}/")
    assert http.exchanges == []


@pytest.mark.parametrize("http", [Http(allow_private=["rebound.example"]), Http(allow_any_private=True)])
def test_what_the_operator_allowed_is_reached(
    inside: Inside, monkeypatch: pytest.MonkeyPatch, http: Http
) -> None:
    rebind(monkeypatch, "127.0.0.1")
    answer = http.request("GET", f"http://rebound.example:{inside.server_port}/mine")
    assert (answer.status, inside.seen) == (200, ["/mine"])


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "192.168.1.1", "169.254.169.254", "127.0.0.1", "0.0.0.0", "100.64.0.1"]
)
def test_no_address_of_a_private_network_is_public(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    rebind(monkeypatch, address)
    with pytest.raises(Misconfigured):
        Http().request("GET", "https://rebound.example/")


# --- no longer than it may ------------------------------------------------------------------------


@pytest.fixture
def dripping() -> Iterator[str]:
    """A server that answers a status line, then a byte of a header every twentieth of a second, for ever."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def drip() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not ended.wait(0.05):
                try:
                    connection.sendall(b"a")
                except OSError:
                    return

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    ended.set()
    listener.close()
    thread.join(5)


def test_headers_that_never_end_are_given_up_at_the_deadline(dripping: str) -> None:
    """Each byte starts the socket's own time-out anew; only the deadline of the whole call ends it."""
    http = Http(allow_private=["127.0.0.1"])
    with pytest.raises(ChannelDown) as caught:
        http.request("GET", dripping, deadline=0.4)
    assert caught.value.code == "timeout"
    assert http.exchanges[0].response == "the channel did not answer in time"


class Proxy(HTTPServer):
    """A proxy for plain http, which answers itself and notes what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                proxy.asked.append(self.path)
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_request(self, *_what: Any) -> None:
                """Nothing on the terminal."""

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with Proxy() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        yield server
        server.shutdown()
        thread.join()


def test_a_proxy_is_used_where_the_hub_itself_has_no_names(proxy: Proxy) -> None:
    assert Http().request("GET", "http://shop.invalid/orders").status == 200
    assert proxy.asked == ["http://shop.invalid/orders"]


def test_a_private_address_is_refused_before_the_proxy_hears_of_it(proxy: Proxy) -> None:
    with pytest.raises(Misconfigured):
        Http().request("GET", "http://10.0.0.1/orders")
    assert proxy.asked == []


def test_what_is_excepted_from_the_proxy_does_not_go_there(
    proxy: Proxy, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    http = Http(allow_private=["127.0.0.1"])
    assert http.request("GET", f"http://127.0.0.1:{inside.server_port}/mine").status == 200
    assert (proxy.asked, inside.seen) == ([], ["/mine"])


# --- when to come back ------------------------------------------------------------------------------


NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120), ("2.0", 2), ("0", 0), ("Mon, 23 Nov 2026 12:05:00 GMT", 300),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0), ("99999999", 12 * 3600),
        ("Fri, 01 Jan 2038 00:00:00 GMT", 12 * 3600), ("soon", None), ("", None), ("-5", None),
    ],
)  # fmt: skip
def test_retry_after_is_read_in_both_forms_and_capped(header: str, seconds: int | None) -> None:
    expected = None if seconds is None else NOON + timedelta(seconds=seconds)
    assert retry_after(header, NOON) == expected
