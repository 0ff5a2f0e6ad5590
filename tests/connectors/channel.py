"""A channel as the hub hands it to a connector, for tests that need no database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hub.connector import Inbound, JSONObject, Lease
from hub.http import Http

NOON = datetime(2026, 11, 23, 5, 0, 0, tzinfo=UTC)


@dataclass
class Plenty:
    """An allowance that gives until `wait` is set; it notes what was taken and told."""

    wait: timedelta = timedelta(0)
    taken: list[tuple[float, bool]] = field(default_factory=list)
    told: list[tuple[float, float, float, float]] = field(default_factory=list)
    given_back: list[float] = field(default_factory=list)

    def take(self, cost: float, *, urgent: bool = False) -> timedelta:
        self.taken.append((cost, urgent))
        return timedelta(0) if urgent else self.wait

    def give_back(self, cost: float) -> None:
        self.given_back.append(cost)

    def tell(self, available: float, *, rate: float, most: float, taken: float = 0.0) -> None:
        self.told.append((available, rate, most, taken))


@dataclass
class Channel:
    """Settings, a door to the network, a clock; leases are always free."""

    settings: Mapping[str, Any]
    http: Http = field(default_factory=Http)
    at: datetime | None = NOON
    webhook_url: str = "https://hub.example.com/webhooks/abc"
    time_zone: str = "Asia/Ho_Chi_Minh"
    currency: str = "VND"
    memory: JSONObject = field(default_factory=dict)
    memory_version: int = 0
    budgets: dict[str, Plenty] = field(default_factory=dict)

    def state(self) -> tuple[JSONObject, int]:
        return dict(self.memory), self.memory_version

    def save_state(self, value: JSONObject, version: int) -> bool:
        if version != self.memory_version:
            return False
        self.memory, self.memory_version = dict(value), version + 1
        return True

    def once(self, name: str, seconds: float) -> AbstractContextManager[Lease | None]:
        return _free(name)

    def budget(self, name: str) -> Plenty:
        return self.budgets.setdefault(name, Plenty())

    def now(self) -> datetime:
        return self.at or datetime.now(UTC)


@contextmanager
def _free(name: str) -> Iterator[Lease | None]:
    yield Lease(name, 1)


def message(
    topic: str, body: bytes | str = b"", headers: Mapping[str, str] | None = None, at: datetime = NOON
) -> Inbound:
    """An inbound message; header names are lowered as the web entrance does."""
    lowered = {name.lower(): value for name, value in (headers or {}).items()}
    return Inbound(topic, lowered, body.encode() if isinstance(body, str) else body, at)
