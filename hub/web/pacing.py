"""How fast one API key may ask: a bucket of tokens in each web process, told in every answer's headers.

It guards the hub's time and nothing else: what guards points and accounts are rows in PostgreSQL.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from flask import Flask, Response, g

from hub.i18n import gettext as _
from hub.web.problems import Problem

BURST_SECONDS = 2
"""A bucket holds what is allowed in so many seconds."""
_MOST_BUCKETS = 10_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a bucket says to one request."""

    allowed: bool
    most: int
    left: int
    refills_in: int
    """Seconds until it is full, or, when refused, until the next request is allowed; at least 1."""


@dataclass(slots=True)
class Buckets:
    """One process's buckets; safe to use from many threads. `rate`: tokens a second, 0 for no limit."""

    rate: int
    clock: Callable[[], float] = time.monotonic
    _levels: dict[str, tuple[float, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, name: str) -> Verdict:
        """Take a token out of the bucket of that name."""
        most, now = self.rate * BURST_SECONDS, self.clock()
        with self._lock:
            level, at = self._levels.get(name, (float(most), now))
            level = min(float(most), level + (now - at) * self.rate)
            allowed = level >= 1
            level -= allowed
            self._levels[name] = (level, now)
            if len(self._levels) > _MOST_BUCKETS:
                self._drop_full(now)
        missing = most - level if allowed else 1 - level
        return Verdict(allowed, most, int(level), max(1, math.ceil(missing / self.rate)))

    def _drop_full(self, now: float) -> None:
        """A bucket that is full again by now is as good as none."""
        most = self.rate * BURST_SECONDS
        for name, (level, at) in list(self._levels.items()):
            if level + (now - at) * self.rate >= most:
                del self._levels[name]


def install(app: Flask) -> None:
    """Tell the pace in the answers of an application."""
    app.after_request(_tell)


def limit(app: Flask, rate: int) -> None:
    """Let the API of an application keep to `rate` requests a second and key."""
    app.extensions["hub_pace"] = Buckets(rate)


def admit(app: Flask, key: str) -> None:
    """Count a request of this key. Raises `Problem` 429 when it is one too many."""
    buckets: Buckets = app.extensions["hub_pace"]
    if not buckets.rate:
        return
    g.pace = verdict = buckets.take(key)
    if not verdict.allowed:
        said = _(
            "This key asks more than {rate} times a second. Wait {seconds} s.",
            rate=buckets.rate,
            seconds=verdict.refills_in,
        )
        raise Problem(429, "too_many_requests", _("Too many requests"), said)


def _tell(answer: Response) -> Response:
    """The headers of draft-ietf-httpapi-ratelimit-headers, and Retry-After of RFC 9110."""
    verdict: Verdict | None = g.get("pace")
    if verdict is not None:
        answer.headers["RateLimit-Policy"] = f'"key";q={verdict.most};w={BURST_SECONDS}'
        answer.headers["RateLimit"] = f'"key";r={verdict.left};t={verdict.refills_in}'
        if not verdict.allowed:
            answer.headers["Retry-After"] = str(verdict.refills_in)
    return answer
