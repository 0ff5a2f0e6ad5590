"""What the door to the channels lets through, over real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from hub.errors import Misconfigured
from hub.http import Http


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
