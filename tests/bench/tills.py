"""Tills that redeem: requests at moments that do not depend on answers, and one that takes callbacks.

One process and one thread on raw sockets, so that asking costs little of the machine that is measured.
"""

from __future__ import annotations

import heapq
import json
import random
import selectors
import socket
import time
from collections import deque
from dataclasses import dataclass, field

CONNECTIONS = 64
MEMBERS = 500
THINKING = 1.0
"""Seconds between the steps of one redemption."""
VOIDS = 10
"""One hold in so many is let go, the others are committed."""
_OVERTIME = 30.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What was asked at one pace: milliseconds from the moment a request was due until its answer was read."""

    waits: list[float]
    per_s: float
    """Answers a second, from the first moment that counts until the last of these was answered."""
    started: int
    """Redemptions that were held."""

    def percentile(self, hundredth: int) -> float:
        found = sorted(self.waits)
        return found[min(len(found) - 1, len(found) * hundredth // 100)]


@dataclass(order=True, slots=True)
class Ask:
    """One request and when it is due."""

    due: float
    number: int
    step: str = field(compare=False)
    redemption: str | None = field(default=None, compare=False)


@dataclass(slots=True)
class Tills:
    """`rate` requests a second, in all: each redemption is a quote, a hold, and its commit (or release), a
    moment apart. Redemptions begin at random moments, as people come (exponential gaps)."""

    port: int
    key: str
    rate: float
    seconds: float
    warm_up: float
    name: str
    """Part of the idempotency keys."""
    began: float = 0.0
    waits: list[float] = field(default_factory=list)
    last: float = 0.0
    held: dict[int, str] = field(default_factory=dict)
    overdue: dict[int, Ask] = field(default_factory=dict)
    """Commits that are due and whose hold was not answered: their time counts already."""
    idle: deque[socket.socket] = field(default_factory=deque)
    busy: dict[socket.socket, tuple[Ask, bytearray]] = field(default_factory=dict)
    queue: deque[Ask] = field(default_factory=deque)
    door: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    def measure(self) -> Measured:
        asks = self._asks()
        self.began = time.monotonic() + 0.2
        ends = self.began + self.seconds + _OVERTIME
        while asks or self.busy or self.queue:
            now = time.monotonic()
            assert now < ends, f"{len(self.busy) + len(self.queue)} requests are not answered"
            while asks and self.began + asks[0].due <= now:
                self._begin(heapq.heappop(asks))
            while self.queue and self._connection() is not None:
                self._send(self.queue.popleft())
            until = self.began + asks[0].due - time.monotonic() if asks else 1.0
            self._read(max(0.0, min(until, 1.0)))
        for connection in self.idle:
            connection.close()
        assert not self.overdue
        counted = max(0.001, self.last - self.began - self.warm_up)
        return Measured(self.waits, len(self.waits) / counted, len(self.held))

    def _asks(self) -> list[Ask]:
        """All requests of the run, a heap by when they are due."""
        chance, at, number = random.Random(self.name), 0.0, 0
        asks: list[Ask] = []
        while (at := at + chance.expovariate(self.rate / 3)) < self.seconds:
            for place, step in enumerate(("quote", "hold", "void" if number % VOIDS == 0 else "commit")):
                asks.append(Ask(at + place * THINKING, number, step))
            number += 1
        heapq.heapify(asks)
        return asks

    def _begin(self, ask: Ask) -> None:
        if ask.step in ("commit", "void"):
            if ask.number not in self.held:
                self.overdue[ask.number] = ask
                return
            ask.redemption = self.held[ask.number]
        self.queue.append(ask)

    def _connection(self) -> socket.socket | None:
        """One that is free, in front of the others; None: all are waiting for answers."""
        if not self.idle and len(self.busy) < CONNECTIONS:
            fresh = socket.create_connection(("127.0.0.1", self.port))
            fresh.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.idle.append(fresh)
        return self.idle[-1] if self.idle else None

    def _send(self, ask: Ask) -> None:
        connection = self.idle.pop()
        self.busy[connection] = (ask, bytearray())
        self.door.register(connection, selectors.EVENT_READ)
        connection.sendall(self._request(ask))

    def _request(self, ask: Ask) -> bytes:
        wish = {"member": f"mem_bench{ask.number % MEMBERS}", "points": 10, "bill": 500_000}
        path, body = "/api/v1/redemptions", json.dumps(wish)
        if ask.step == "quote":
            path = f"{path}/quote"
        elif ask.step == "hold":
            body = json.dumps({**wish, "hold": True})
        else:
            path, body = f"{path}/{ask.redemption}/{ask.step}", ""
        headers = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {self.key}",
                   f"Content-Length: {len(body)}"]  # fmt: skip
        headers += ["Content-Type: application/json"] if body else []
        headers += (
            [] if ask.step == "quote" else [f"Idempotency-Key: {self.name}-{ask.step}-{ask.number}"]
        )
        return "\r\n".join([*headers, "", body]).encode()

    def _read(self, seconds: float) -> None:
        for found, _ in self.door.select(seconds):
            connection = found.fileobj
            assert isinstance(connection, socket.socket)
            ask, answer = self.busy[connection]
            answer += connection.recv(65536)
            body = whole(answer)
            if body is not None:
                self.door.unregister(connection)
                del self.busy[connection]
                self.idle.append(connection)
                self._answered(ask, bytes(answer[:20]), body)

    def _answered(self, ask: Ask, status: bytes, body: bytes) -> None:
        now = time.monotonic()
        assert b" 201 " in status or b" 200 " in status, (ask, status, body)
        if ask.step == "hold":
            self.held[ask.number] = json.loads(body)["id"]
            waiting = self.overdue.pop(ask.number, None)
            if waiting is not None:
                self._begin(waiting)
        if self.warm_up <= ask.due < self.seconds:  # before and after there is less to do
            self.waits.append((now - self.began - ask.due) * 1000)
            self.last = now


def whole(message: bytearray) -> bytes | None:
    """The body of a message, once all of it is there."""
    head, end, rest = bytes(message).partition(b"\r\n\r\n")
    if not end:
        return None
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return rest if len(rest) >= length else None


def take_callbacks(door: socket.socket) -> None:
    """A till that is told of codes and balances, and says yes; until it is ended."""
    waiting = selectors.DefaultSelector()
    waiting.register(door, selectors.EVENT_READ, None)
    while True:
        for found, _ in waiting.select():
            if found.data is None:
                waiting.register(door.accept()[0], selectors.EVENT_READ, bytearray())
                continue
            connection = found.fileobj
            assert isinstance(connection, socket.socket)
            came = connection.recv(65536)
            if not came:
                waiting.unregister(connection)
                connection.close()
                continue
            found.data.extend(came)
            if whole(found.data) is not None:
                found.data.clear()
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
                )
