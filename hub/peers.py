"""Connections that look at whom they reached before they say a word.

A name that resolves to a public address when it is checked may resolve to a private one when it is
used (DNS rebinding): https://owasp.org/www-community/attacks/DNS_Rebinding. What counts is the
address at the other end.
"""

from __future__ import annotations

import contextlib
import ipaddress
import math
import socket
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies, select_proxy
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.response import HTTPResponse


class PrivatePeer(Exception):
    """The other end has an address of a private network; nothing was sent to it."""


def is_private(address: str) -> bool:
    """Whether an IP address is none of the public internet (RFC 6890's registries)."""
    return not ipaddress.ip_address(address.partition("%")[0]).is_global


ends_at: ContextVar[float] = ContextVar("ends_at", default=math.inf)
"""When the call at hand must have ended (monotonic seconds)."""


class PeerGuard(HTTPAdapter):
    """An adapter whose connections end when the call must (`ends_at`), and that refuses private addresses, but for
    hosts that are `allowed` and through a proxy, which is the operator's own and resolves names itself. Raises
    `PrivatePeer`."""

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


class _Bounded(HTTPConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        return _in_time(self, super().getresponse)


class _BoundedTls(HTTPSConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        return _in_time(self, super().getresponse)


class _Guarded(_Bounded):
    def _new_conn(self) -> socket.socket:
        return _public(super()._new_conn())


class _GuardedTls(_BoundedTls):
    def _new_conn(self) -> socket.socket:
        return _public(super()._new_conn())


_BOUNDED: dict[str | None, type[Any]] = {"http": _Bounded, "https": _BoundedTls}
_GUARDED: dict[str | None, type[Any]] = {"http": _Guarded, "https": _GuardedTls}


def _in_time(connection: HTTPConnection, read: Callable[[], HTTPResponse]) -> HTTPResponse:
    """Read status line and headers, and hang up when the call must have ended: each byte that drips in starts the
    socket's own time-out anew, so that headers could go on for ever."""
    left, held = ends_at.get() - time.monotonic(), connection.sock
    if not isinstance(held, socket.socket) or math.isinf(left):
        return read()
    timer = threading.Timer(max(0.0, left), _hang_up, (held,))
    timer.daemon = True
    timer.start()
    try:
        answer = read()
    finally:
        timer.cancel()
    if time.monotonic() >= ends_at.get():  # headers that were cut off there pass for whole ones
        answer.close()
        raise TimeoutError
    return answer


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _public(connection: socket.socket) -> socket.socket:
    address = str(connection.getpeername()[0])
    if is_private(address):
        connection.close()
        raise PrivatePeer(address)
    return connection
