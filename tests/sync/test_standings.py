"""Tiers that change while nothing happens: the sweeper looks again when their day has come."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.program import store
from hub.sync import standings
from tests.conftest import Clock
from tests.counter import Counter
from tests.hubs import Hub, running_hub

LEVELS: list[dict[str, Any]] = [
    {"id": "member", "name": "Member", "from": 0},
    {"id": "gold", "name": "Gold", "from": "1000000"},
]
DOCUMENT: dict[str, Any] = {
    "earn": {"per": {"VND": "10000"}},
    "tiers": {"currency": "VND", "over": "calendar_year", "levels": LEVELS},
}


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path, clock: Clock) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        clock.now = datetime.now(UTC)
        hub.runtime.clock = clock
        yield hub


def tiers(hub: Hub) -> list[str | None]:
    return [row.tier for row in hub.rows("SELECT tier FROM tier_standings ORDER BY member_id")]


def test_a_review_takes_a_tier_on_its_day_and_not_before(hub: Hub, clock: Clock) -> None:
    till = Counter(hub)
    till.sell(1, 1_000_000, "2025-06-01T00:00:00Z")
    till.work()
    clock.now = datetime(2026, 12, 31, 16, 59, tzinfo=UTC)
    assert (standings.review_due(hub.runtime), tiers(hub)) == (0, ["gold"])
    clock.advance(minutes=1)
    assert (standings.review_due(hub.runtime), tiers(hub)) == (1, ["member"])
    assert standings.review_due(hub.runtime) == 0


def test_a_till_whose_clock_is_ahead_counts_when_its_time_has_come(hub: Hub, clock: Clock) -> None:
    till = Counter(hub)
    till.sell(1, 1_000_000, (datetime.now(UTC) + timedelta(minutes=3)).isoformat())
    till.work()
    assert (standings.review_due(hub.runtime), tiers(hub)) == (0, ["member"])
    clock.advance(minutes=4)
    assert (standings.review_due(hub.runtime), tiers(hub)) == (1, ["gold"])


def test_new_tiers_place_everybody_once(hub: Hub, clock: Clock) -> None:
    till = Counter(hub)
    for number, phone in ((1, "0912345678"), (2, "0912345679"), (3, "0912345670")):
        till.sell(number, 600_000, "2026-06-01T00:00:00Z", phone=phone)
    till.work()
    while standings.walk(hub.runtime):
        pass
    assert tiers(hub) == ["member"] * 3
    lower: dict[str, Any] = {"currency": "VND", "levels": [LEVELS[0], {**LEVELS[1], "from": "500000"}]}
    with hub.runtime.sessions.begin() as session:
        store.add_version(
            session, hub.program, {**DOCUMENT, "tiers": lower},
            effective_from=clock.now + timedelta(days=1), now=clock.now, actor="test",
        )  # fmt: skip
    assert standings.walk(hub.runtime) == 0, "not in force yet"
    clock.advance(days=2)
    assert standings.walk(hub.runtime) == 3
    assert (tiers(hub), standings.walk(hub.runtime)) == (["gold"] * 3, 0)


def test_a_programme_without_tiers_is_left_alone(database: str, redis_url: str, tmp_path: Path) -> None:
    with running_hub(
        database, redis_url, tmp_path, document={"earn": DOCUMENT["earn"]}, slug="plain"
    ) as hub:
        till = Counter(hub)
        till.sell(1, 600_000, "2026-06-01T00:00:00Z")
        till.work()
        assert (standings.walk(hub.runtime), standings.review_due(hub.runtime), tiers(hub)) == (0, 0, [])
