"""A clock that a test moves, for a shop and the hub at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class AheadClock:
    """The time of now, and so much ahead of it (or behind); call it for the time (aware UTC)."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def pass_(self, **time: float) -> None:
        self.ahead += timedelta(**time)
