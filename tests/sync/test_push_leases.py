"""A worker keeps its own leases while it pushes, and nobody else's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from hub.outbox import deliveries
from hub.outbox.channels import Doors
from hub.outbox.deliveries import Claimed, Push
from hub.sync.push import _Run
from tests.hubs import Hub, running_hub
from tests.signed import SETTINGS

LONG_AGO = 3600.0


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path) as hub:
        yield hub


def claim(hub: Hub, lease: timedelta) -> list[Claimed]:
    with hub.runtime.sessions.begin() as session:
        return deliveries.claim(session, "outbound", limit=9, lease=lease)


def left(hub: Hub) -> float:
    """Seconds that the lease of the one delivery still has."""
    rows = hub.rows("SELECT extract(epoch FROM lease_until - clock_timestamp()) AS left FROM deliveries")
    return float(rows[0].left)


def test_a_zombie_does_not_prolong_the_lease_of_the_worker_that_took_over(hub: Hub) -> None:
    """Raced by hand: the first claim runs out, is freed and taken by a second worker."""
    channel = hub.add_channel("generic_pos", SETTINGS["generic_pos"], "Till")
    with hub.runtime.sessions.begin() as session:
        deliveries.enqueue(session, [Push(hub.program.id, channel.id, "set_balance", "balance:1")])
    zombie = claim(hub, timedelta(seconds=-1))
    with hub.runtime.sessions.begin() as session:
        assert deliveries.free_stuck(session) == [zombie[0].id]
    owner = claim(hub, timedelta(seconds=5))
    started = time.monotonic() - LONG_AGO
    _Run(hub.runtime, {d.id: d for d in zombie}, started, lambda: False, Doors(hub.runtime))._prolong()
    assert left(hub) <= 5
    _Run(hub.runtime, {d.id: d for d in owner}, started, lambda: False, Doors(hub.runtime))._prolong()
    assert left(hub) > 5
