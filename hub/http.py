"""HTTP to channels: one deadline for the whole call, bounded answers, failures as sentences.

`requests` has no total deadline and reads any body to its end; a channel that drips a byte a
second, or answers a gigabyte, would hold a worker for ever.
"""

from __future__ import annotations

import email.utils
import math
import re
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from hub.errors import BadPayload, ChannelDown, Misconfigured
from hub.payload import parse_json
from hub.peers import KeptConnectionDropped, Line, PrivatePeer, ends_at, is_private, is_proxied

CONNECT_SECONDS = 5.0
READ_SECONDS = 15.0
DEADLINE_SECONDS = 30.0
MAX_BYTES = 10 * 1024 * 1024
MAX_RETRY_AFTER = timedelta(hours=12)
_KEPT_BYTES = 4096
_SAFE = frozenset({"GET", "HEAD"})
"""What may be asked twice whatever became of the first time (https://www.rfc-editor.org/rfc/rfc9110#section-9.2.1)."""
_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]*)?")
"""Some platforms write "2.0" where RFC 9110 wants whole seconds."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the channel answered. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The parsed body. A 2xx that is not JSON (a captcha page, a proxy's greeting) is a
        failure of the channel, not an answer (a host answers 202 with HTML)."""
        try:
            return parse_json(self.body)
        except BadPayload as error:
            kind = self.headers.get("content-type", "no content type").split(";")[0]
            raise ChannelDown(
                "not_json", f"the channel answered {self.status} with {kind:.40}, not JSON"
            ) from error


@dataclass(slots=True)
class Exchange:
    """One request and its answer, kept on the attempt. Secrets are masked before they get here."""

    method: str
    url: str
    request: str
    status: int | None = None
    response: str = ""
    milliseconds: int = 0


class Dropped(ChannelDown):
    """A connection that was kept from an earlier request ended without an answer to something that is not asked twice
    blindly. On a new connection it may well be answered; what was asked for may have been done."""

    def __init__(self) -> None:
        super().__init__("unreachable", "the channel ended the connection without an answer")


@dataclass(slots=True)
class Http:
    """One channel's door to the network; not thread-safe (one per use). Its connections are kept until it is closed."""

    allow_private: Iterable[str] = ()
    """Hosts the operator allows although they resolve to private addresses."""
    allow_any_private: bool = False
    mask: Callable[[str], str] = lambda text: text
    exchanges: list[Exchange] = field(default_factory=list)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _kept: Line | None = None

    def again(self) -> Http:
        """The same door, the same connections, and a record of its own."""
        return replace(self, exchanges=[], _kept=self._line())

    def close(self) -> None:
        """End the connections that are kept, also those of `again`; they are made anew when they are needed."""
        if self._kept is not None:
            self._kept.close()

    def _line(self) -> Line:
        if self._kept is None:
            self._kept = Line(_allows(self.allow_private, anything=self.allow_any_private))
        return self._kept

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        auth: Any = None,
        deadline: float = DEADLINE_SECONDS,
        max_bytes: int = MAX_BYTES,
    ) -> Answer:
        """Send one request; redirects are not followed.

        Returns every answer except 429 and 5xx, which raise `ChannelDown` (with `retry_at` from
        Retry-After), as do time-outs, refused connections and TLS failures. A private address is
        `Misconfigured` unless the operator allowed the host.
        """
        self._refuse_private(url)
        exchange = Exchange(method, self.mask(url), self.mask(_text(body)))
        self.exchanges.append(exchange)
        started = time.monotonic()
        try:
            answer = self._send(method, url, headers, params, body, auth, started + deadline, max_bytes)
        except ChannelDown as error:
            exchange.response = error.detail
            raise
        finally:
            exchange.milliseconds = int((time.monotonic() - started) * 1000)
        exchange.status = answer.status
        exchange.response = self.mask(_text(answer.body))
        if answer.status == 429 or answer.status >= 500:
            raise ChannelDown(
                f"http_{answer.status}",
                f"the channel answered {answer.status}",
                retry_at=retry_after(answer.headers.get("retry-after"), self.now()),
            )
        return answer

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        params: Mapping[str, str] | None,
        body: bytes | None,
        auth: Any,
        ends: float,
        max_bytes: int,
    ) -> Answer:
        bound = ends_at.set(ends)
        request = requests.Request(method, url, dict(headers or {}), None, body, params, auth)
        try:
            with self._answer(request) as response:
                content = _read(response, ends, max_bytes)
                lowered = {k.lower(): v for k, v in response.headers.items()}
                return Answer(response.status_code, lowered, content)
        except PrivatePeer:
            raise _private(urlsplit(url).hostname or "") from None
        except requests.exceptions.SSLError:
            raise ChannelDown("tls", "the channel's TLS certificate is not valid") from None
        except requests.exceptions.ConnectTimeout:
            raise ChannelDown(
                "connect_timeout", "the channel did not accept a connection in time"
            ) from None
        except requests.exceptions.Timeout:
            raise ChannelDown("timeout", "the channel did not answer in time") from None
        except requests.exceptions.InvalidURL:
            raise Misconfigured("bad_url", "the channel's address is not a valid URL") from None
        except requests.exceptions.RequestException as error:
            if time.monotonic() >= ends:
                raise ChannelDown("timeout", "the channel did not answer in time") from None
            raise ChannelDown("unreachable", f"the connection failed ({type(error).__name__})") from None
        finally:
            ends_at.reset(bound)

    def _answer(self, request: requests.Request) -> requests.Response:
        """Once more where a kept connection had ended, if nothing can be done twice by that."""
        line, timeout = self._line(), (CONNECT_SECONDS, READ_SECONDS)
        try:
            return line.send(request, timeout)
        except KeptConnectionDropped:
            line.close()
            if request.method not in _SAFE:
                raise Dropped from None
            return line.send(request, timeout)

    def _refuse_private(self, url: str) -> None:
        """Before a word is said; what the name resolves to by then, `PeerGuard` sees."""
        host = urlsplit(url).hostname or ""
        if _allows(self.allow_private, anything=self.allow_any_private)(host):
            return
        try:
            found = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
        except (OSError, UnicodeError):
            if is_proxied(url):
                return  # the hub itself may have no names: the proxy resolves them
            raise ChannelDown("no_such_host", f"the host name {host!r:.80} does not resolve") from None
        if any(is_private(str(address[0])) for *_, address in found):
            raise _private(host)


def _allows(hosts: Iterable[str], *, anything: bool) -> Callable[[str], bool]:
    """Whether the operator allows a host although it resolves to private addresses."""
    return lambda host: anything or host.strip("[]") in hosts


def _private(host: str) -> Misconfigured:
    return Misconfigured(
        "private_address",
        f"{host!r:.80} is a private address; the operator may allow it in allow_private_hosts",
    )


def retry_after(value: str | None, now: datetime) -> datetime | None:
    """The moment a Retry-After header names (seconds or HTTP date), at most 12 h away."""
    if not value:
        return None
    if _SECONDS.fullmatch(value.strip()):
        return now + min(timedelta(seconds=math.ceil(float(value.strip()[:9]))), MAX_RETRY_AFTER)
    try:
        named = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if named.tzinfo is None:
        named = named.replace(tzinfo=UTC)
    return min(max(named, now), now + MAX_RETRY_AFTER)


def _read(response: requests.Response, ends: float, max_bytes: int) -> bytes:
    """Read with `read1`, which returns what has arrived: `iter_content` would wait for a full chunk
    and never look at the clock while a channel drips."""
    content = bytearray()
    try:
        while chunk := response.raw.read1(65536, decode_content=True):
            content += chunk
            if len(content) > max_bytes:
                raise ChannelDown("too_long", f"the channel's answer is longer than {max_bytes} bytes")
            if time.monotonic() > ends:
                raise ChannelDown("timeout", "the channel did not finish its answer in time")
    except urllib3.exceptions.ReadTimeoutError:
        late = time.monotonic() >= ends
        what = "did not finish its answer in time" if late else "stopped in the middle of its answer"
        raise ChannelDown("timeout", f"the channel {what}") from None
    except urllib3.exceptions.HTTPError as error:
        raise ChannelDown("cut_off", f"the answer was cut off ({type(error).__name__})") from None
    return bytes(content)


def _text(body: bytes | None) -> str:
    return (body or b"")[:_KEPT_BYTES].decode("utf-8", "replace").replace("\x00", "�")
