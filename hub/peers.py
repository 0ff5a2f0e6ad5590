"""Connections that look at whom they reached before they say a word.

A name that resolves to a public address when it is checked may resolve to a private one when it is
used (DNS rebinding): https://owasp.org/www-community/attacks/DNS_Rebinding. What counts is the
address at the other end.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import math
import os
import socket
import ssl
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import default_headers, get_environ_proxies, select_proxy
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.response import HTTPResponse

KEPT_SECONDS = 1.0
"""A connection that rested for longer is not used again: servers end those that rest, after two seconds and more, and
what is asked at that very moment may or may not have been done."""


class PrivatePeer(Exception):
    """The other end has an address of a private network; nothing was sent to it."""


class KeptConnectionDropped(Exception):
    """A connection over which an answer had come before ended without one: nobody knows whether what was asked last
    was done."""


def is_private(address: str) -> bool:
    """Whether an IP address is none of the public internet (RFC 6890's registries)."""
    return not ipaddress.ip_address(address.partition("%")[0]).is_global


ends_at: ContextVar[float] = ContextVar("ends_at", default=math.inf)
"""When the call at hand must have ended (monotonic seconds)."""


class PeerGuard(HTTPAdapter):
    """An adapter whose connections end when the call must (`ends_at`), and that refuses private addresses, but for
    hosts that are `allowed` and through a proxy, which is the operator's own and resolves names itself. Raises
    `PrivatePeer`, and `KeptConnectionDropped`."""

    def __init__(self, allowed: Callable[[str], bool]) -> None:
        super().__init__()
        self.allowed = allowed

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: Any,
        proxies: Any = None,
        cert: Any = None,
    ) -> HTTPConnectionPool:
        """The pool of connections to this host, guarded unless it is allowed."""
        pool: Any = super().get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)
        free = bool(select_proxy(request.url or "", proxies)) or self.allowed(pool.host)
        pool.ConnectionCls = (_BOUNDED if free else _GUARDED)[pool.scheme]
        found: HTTPConnectionPool = pool
        return found


def is_proxied(url: str) -> bool:
    """Whether the environment (HTTPS_PROXY, NO_PROXY) sends a request for this address through a proxy."""
    return bool(select_proxy(url, get_environ_proxies(url)))


class Line:
    """A way to channels that keeps connections from one request to the next, and nothing else of them: cookies are not
    sent back, and no .netrc speaks for a channel. The peer of a connection is looked at when it is made. Not
    thread-safe; raises what `PeerGuard` and `requests` raise."""

    def __init__(self, allowed: Callable[[str], bool]) -> None:
        self._guard = PeerGuard(allowed)
        self._proxies: dict[tuple[str, str], Any] = {}

    def send(self, request: requests.Request, timeout: tuple[float, float]) -> requests.Response:
        """Its answer, whose body is still to be read; redirects are not followed."""
        headers = default_headers()
        headers.update(request.headers)
        request.headers = headers
        prepared = request.prepare()
        return self._guard.send(
            prepared,
            stream=True,
            timeout=timeout,
            verify=os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True,
            proxies=self._proxies_of(prepared.url or ""),
        )

    def _proxies_of(self, url: str) -> Any:
        """Asked of the environment once for each host: it looks through all variables for each."""
        parts = urlsplit(url)
        place = (parts.scheme, parts.netloc)
        if place not in self._proxies:
            self._proxies[place] = get_environ_proxies(url)
        return self._proxies[place]

    def close(self) -> None:
        """End what is kept; it can be used again."""
        self._guard.close()


class _Bounded(HTTPConnection):
    """Ends in time, and knows whether it was kept."""

    _kept = False
    """An answer came over it already."""
    _rests_from = -math.inf

    def connect(self) -> None:
        self._kept = False
        super().connect()

    @property
    def is_connected(self) -> bool:
        """Whether it may be used again; asked of connections that were kept."""
        return time.monotonic() - self._rests_from < KEPT_SECONDS and super().is_connected

    def request(self, *what: Any, **more: Any) -> None:
        """A server may answer and hang up before it has read all: that is found out by reading."""
        try:
            super().request(*what, **more)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            self._dropped()
            raise

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        try:
            answer = super().getresponse()
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            self._dropped()
            raise
        self._kept, self._rests_from = True, time.monotonic()
        return answer

    def _dropped(self) -> None:
        if self._kept:
            raise KeptConnectionDropped from None


class _BoundedTls(_Bounded, HTTPSConnection):
    pass


class _Guarded(_Bounded):
    def _new_conn(self) -> socket.socket:
        return _public(super()._new_conn())


class _GuardedTls(_Guarded, HTTPSConnection):
    pass


_BOUNDED: dict[str | None, type[Any]] = {"http": _Bounded, "https": _BoundedTls}
_GUARDED: dict[str | None, type[Any]] = {"http": _Guarded, "https": _GuardedTls}


class _Answer(http.client.HTTPResponse):
    """An answer that is read in time: each byte that drips in starts the socket's own time-out anew, so that one could
    go on for ever."""

    def __init__(self, sock: socket.socket, *what: Any, **more: Any) -> None:
        super().__init__(_InTime(sock), *what, **more)  # type: ignore[arg-type]


class _InTime:
    """A socket as an answer takes it."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reading(self._socket))


class _Reading(io.RawIOBase):
    """Reads of a socket, none of which waits for longer than the call may still take."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket, self._file = sock, sock.makefile("rb", buffering=0)
        self._patience, self._ends = sock.gettimeout() or math.inf, ends_at.get()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Raises `TimeoutError`."""
        left = min(self._patience, self._ends - time.monotonic())
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(None if math.isinf(left) else left)
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()


_Bounded.response_class = _Answer


def _public(connection: socket.socket) -> socket.socket:
    address = str(connection.getpeername()[0])
    if is_private(address):
        connection.close()
        raise PrivatePeer(address)
    return connection
