"""The sender's address and scheme as trusted proxies tell them; anybody else's word is ignored."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class TrustedProxies:
    """WSGI middleware: walks X-Forwarded-For from its right end over addresses that are trusted
    proxies; the first that is none is the sender. A header that a stranger sends counts for nothing."""

    def __init__(self, application: Application, networks: Iterable[str]) -> None:
        self.application = application
        self.networks = [ipaddress.ip_network(network) for network in networks]

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if self.networks and self._is_trusted(environ.get("REMOTE_ADDR", "")):
            environ["REMOTE_ADDR"] = self._sender(environ)
            scheme = environ.get("HTTP_X_FORWARDED_PROTO", "").rpartition(",")[2].strip().lower()
            if scheme in {"http", "https"}:
                environ["wsgi.url_scheme"] = scheme
        return self.application(environ, start_response)

    def _sender(self, environ: dict[str, Any]) -> str:
        hops = [hop.strip() for hop in environ.get("HTTP_X_FORWARDED_FOR", "").split(",")]
        sender: str = environ["REMOTE_ADDR"]
        for hop in reversed(hops):
            if not _is_address(hop):
                break
            sender = hop
            if not self._is_trusted(hop):
                break
        return sender

    def _is_trusted(self, address: str) -> bool:
        return _is_address(address) and any(ipaddress.ip_address(address) in n for n in self.networks)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
