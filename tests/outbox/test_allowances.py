"""What a platform allows is shared by all processes: what one takes the others do not have."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from hub.outbox.allowances import KEPT, Allowance
from tests.hubs import Hub, running_hub


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path) as hub:
        yield hub


@pytest.fixture
def budget(hub: Hub) -> Allowance:
    channel = hub.add_channel("generic_pos", {"webhook_secret": "s" * 32}, "Shop")
    return Allowance(hub.runtime, channel.id, "graphql")


def test_an_allowance_that_nothing_is_known_of_gives_all(budget: Allowance) -> None:
    assert budget.take(10_000) == timedelta(0)


def test_what_is_not_urgent_leaves_a_part_to_what_is(budget: Allowance) -> None:
    budget.tell(1000, rate=0.001, most=1000)
    assert budget.take(1000 * (1 - KEPT)) == timedelta(0)
    assert budget.take(1) > timedelta(0)
    assert budget.take(1000 * KEPT, urgent=True) == timedelta(0)
    assert budget.take(1, urgent=True) > timedelta(0)


def test_the_wait_is_as_long_as_the_bucket_takes_to_fill(budget: Allowance) -> None:
    budget.tell(0, rate=10, most=1000)
    wait = budget.take(100, urgent=True)
    assert timedelta(seconds=8) < wait <= timedelta(seconds=10)


def test_what_the_platform_says_replaces_what_was_thought(budget: Allowance) -> None:
    budget.tell(500, rate=0.001, most=500)
    assert budget.take(400) == timedelta(0)
    budget.tell(490, rate=0.001, most=500, taken=400)  # it cost ten and not four hundred
    assert budget.take(300) == timedelta(0)


def test_an_answer_does_not_give_away_what_another_call_has_taken(budget: Allowance) -> None:
    budget.tell(500, rate=0.001, most=500)
    assert budget.take(100) == timedelta(0)
    assert budget.take(100) == timedelta(0)
    budget.tell(500, rate=0.001, most=500, taken=100)  # sent before the second was counted there
    assert budget.take(301, urgent=True) == timedelta(0)
    assert budget.take(100, urgent=True) > timedelta(0)


def test_taken_by_eight_at_once_it_is_never_overdrawn(budget: Allowance) -> None:
    """Threads with connections of their own: each statement takes under the row's lock, or takes nothing."""
    budget.tell(1000, rate=0.000001, most=1000)
    given: list[int] = []
    start = threading.Barrier(8)

    def take() -> None:
        start.wait()
        given.extend(1 for _ in range(20) if budget.take(10, urgent=True) == timedelta(0))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(given) == 100
