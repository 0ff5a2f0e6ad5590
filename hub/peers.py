"""Connections that look at whom they reached before they say a word.

A name that resolves to a public address when it is checked may resolve to a private one when it is
used (DNS rebinding): https://owasp.org/www-community/attacks/DNS_Rebinding. What counts is the
address at the other end.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.utils import select_proxy
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool


class PrivatePeer(Exception):
    """The other end has an address of a private network; nothing was sent to it."""


def is_private(address: str) -> bool:
    """Whether an IP address is none of the public internet (RFC 6890's registries)."""
    return not ipaddress.ip_address(address.partition("%")[0]).is_global


class PeerGuard(HTTPAdapter):
    """An adapter that refuses private addresses, but for hosts that are `allowed` and through a proxy,
    which is the operator's own and resolves names itself. Raises `PrivatePeer`."""

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
        if not select_proxy(request.url or "", proxies) and not self.allowed(pool.host):
            pool.ConnectionCls = _GUARDED[pool.scheme]
        found: HTTPConnectionPool = pool
        return found


class _Guarded(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _public(super()._new_conn())


class _GuardedTls(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _public(super()._new_conn())


_GUARDED: dict[str | None, type[Any]] = {"http": _Guarded, "https": _GuardedTls}


def _public(connection: socket.socket) -> socket.socket:
    address = str(connection.getpeername()[0])
    if is_private(address):
        connection.close()
        raise PrivatePeer(address)
    return connection
