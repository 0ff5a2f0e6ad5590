"""A shop that keeps connections (HTTP/1.1), says which one each request came over, and has moods."""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import requests


@dataclass(frozen=True)
class Asked:
    """One request."""

    connection: int
    method: str
    cookie: str | None
    body: bytes


class KeepingShop(ThreadingHTTPServer):
    """Answers `{}` and a cookie, unless `moods` (one a request) say: "drop" (takes the request and hangs up), "leave"
    (answers and hangs up, without having said so), "drip" (headers, or "drip the body", a byte at a time for ever),
    "close" (says so), "nothing" (204), "redirect", "chunks"."""

    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Kept)
        self.asked: list[Asked] = []
        self.moods: list[str] = []
        self.numbers = itertools.count(1)
        self.tls = tls
        self.behind = ""
        """The address of a server that answers in its place: the sandboxes' own end each connection."""
        self.drops: Callable[[], bool] = lambda: False
        """Whether what `behind` answered is lost."""
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server_port}/"

    @property
    def connections(self) -> list[int]:
        """Over which connection each request came."""
        return [one.connection for one in self.asked]

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        return (self.tls.wrap_socket(connection, server_side=True) if self.tls else connection), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who hangs up on a dripping shop is right."""


class _Kept(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: KeepingShop

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = next(self.server.numbers)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append(Asked(self.number, self.command, self.headers.get("Cookie"), body))
        if self.server.behind:
            self._relay(body)
            return
        mood = self.server.moods.pop(0) if self.server.moods else ""
        self.close_connection = mood in {"drop", "leave", "close"} or mood.startswith("drip")
        if mood.startswith("drip"):
            self._drip(
                b"HTTP/1.1 200 OK\r\n" + (b"X: " if mood == "drip" else b"Content-Length: 99\r\n\r\n")
            )
        elif mood != "drop":
            self._answer(mood)

    def do_GET(self) -> None:
        self.do_POST()

    def do_PUT(self) -> None:
        self.do_POST()

    def do_DELETE(self) -> None:
        self.do_POST()

    def _relay(self, body: bytes) -> None:
        headers = {name: value for name, value in self.headers.items() if name != "Connection"}
        found = requests.request(
            self.command, self.server.behind + self.path, data=body, headers=headers, timeout=10
        )
        self.close_connection = self.server.drops()
        if not self.close_connection:
            self.send_response(found.status_code)
            self.send_header("Content-Type", found.headers.get("Content-Type", ""))
            self.send_header("Content-Length", str(len(found.content)))
            self.end_headers()
            self.wfile.write(found.content)

    def _answer(self, mood: str) -> None:
        self.send_response({"nothing": 204, "redirect": 302}.get(mood, 200))
        self.send_header("Set-Cookie", "who=me; Path=/")
        headers = {"close": ("Connection", "close"), "redirect": ("Location", "/elsewhere")}
        if mood in headers:
            self.send_header(*headers[mood])
        if mood == "chunks":
            self.send_header("Transfer-Encoding", "chunked")
        elif mood != "nothing":
            self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write({"nothing": b"", "chunks": b"2\r\n{}\r\n0\r\n\r\n"}.get(mood, b"{}"))

    def _drip(self, start: bytes) -> None:
        self.wfile.write(start)
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b"a")
                time.sleep(0.02)

    def log_message(self, *_what: Any) -> None:
        """Nothing on the terminal."""


@contextmanager
def keeping_shop(tls: ssl.SSLContext | None = None) -> Iterator[KeepingShop]:
    """A shop that runs."""
    with KeepingShop(tls) as shop:
        thread = Thread(target=shop.serve_forever, args=(0.02,))
        thread.start()
        yield shop
        shop.shutdown()
        thread.join()
