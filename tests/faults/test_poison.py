"""One message that nothing can process: it is set aside with a code, and its neighbours go through."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import text

from hub.outbox import deliveries
from hub.outbox.channels import Channel
from hub.outbox.deliveries import LeaseLost
from hub.sync import process
from hub.sync.receive import Message, insert
from tests.broken_shop import CONNECTORS, FIXED
from tests.crew import Crew, a_crew
from tests.property.histories import SaleLife
from tests.ups import wait_for

DOCUMENT = {"earn": {"points": 1, "per": {"VND": "10000"}}}
COUNT = 12


@pytest.fixture
def crew(database: str, redis_url: str, tmp_path: Path) -> Iterator[Crew]:
    with a_crew(
        database, redis_url, tmp_path, document=DOCUMENT, connectors=CONNECTORS,
        lease_seconds=5, sweep_seconds=0.2, batch_size=50,
    ) as crew:  # fmt: skip
        yield crew


@pytest.fixture
def shop(crew: Crew, tmp_path: Path) -> Channel:
    file = tmp_path / "mood"
    file.write_text("well")
    return crew.hub.add_channel("model_broken", {"shop_file": str(file)}, "shop")


def put(crew: Crew, shop: Channel, poison: str = "") -> None:
    """A dozen paid sales; the seventh holds the poison in its number."""
    messages = []
    for number in range(COUNT):
        life = SaleLife(Random(number), f"s{number}", deletes_refunds=False, built="event")
        life.live(0)
        life._tick()
        life._pay()
        body = life.messages[-1].body
        if number == 7 and poison:
            body = json.dumps(json.loads(body) | {"poison": poison}).encode()
        digest = hashlib.sha256(body).digest()
        key = f"k{number}"
        messages.append(Message(shop, "t", key, "{}", body, digest, datetime.now(UTC)))
    with crew.hub.runtime.sessions.begin() as session:
        insert(session, messages)


def inbound(crew: Crew) -> dict[str, tuple[str, str | None, str | None]]:
    rows = crew.hub.rows("SELECT key, state, fault, code FROM deliveries WHERE direction = 'inbound'")
    return {row.key: (row.state, row.fault, row.code) for row in rows}


def posted(crew: Crew) -> int:
    return int(crew.hub.rows("SELECT count(*) FROM transactions WHERE points > 0")[0][0])


def replay(crew: Crew, key: str) -> None:
    with crew.hub.runtime.sessions.begin() as session:
        found = session.execute(text("SELECT id FROM deliveries WHERE key = :k"), {"k": key})
        deliveries.replay(session, [row.id for row in found])


def test_a_message_that_always_throws_is_isolated_by_halving_and_posted_after_the_fix(
    crew: Crew, shop: Channel, tmp_path: Path
) -> None:
    put(crew, shop, "POISON")
    process.drain(crew.hub.runtime)
    ends = inbound(crew)
    assert ends.pop("k7") == ("parked", "hub", "unexpected")
    assert set(ends.values()) == {("done", None, None)}
    assert posted(crew) == COUNT - 1
    replay(crew, "k7")
    process.drain(crew.hub.runtime)
    assert inbound(crew)["k7"] == ("parked", "hub", "unexpected")
    (tmp_path / FIXED).touch()
    replay(crew, "k7")
    process.drain(crew.hub.runtime)
    assert inbound(crew)["k7"][0] == "done"
    assert posted(crew) == COUNT
    crew.hub.assert_clean()


def test_a_channel_whose_connector_is_gone_stops_nobody_else(crew: Crew, shop: Channel) -> None:
    """A plug-in that was not installed again after an update is that channel's misfortune."""
    put(crew, shop)
    other = crew.hub.add_channel("model_broken", {"shop_file": "x"}, "other")
    with crew.hub.runtime.sessions.begin() as session:
        session.execute(text("UPDATE channels SET kind = 'nobody' WHERE id = :id"), {"id": other.id})
    process.drain(crew.hub.runtime)
    assert set(inbound(crew).values()) == {("done", None, None)}
    assert posted(crew) == COUNT


@pytest.mark.slow
def test_a_message_that_kills_its_worker_is_found_out_and_its_neighbours_go_through(
    crew: Crew, shop: Channel, tmp_path: Path
) -> None:
    put(crew, shop, "KILLER")
    crew.start("sweep")

    def is_parked() -> bool:
        """As the supervisor does: a worker that is gone is started again."""
        if not any(p.is_alive() for p in crew.running if p.name == "worker"):
            crew.start("worker")
        return inbound(crew)["k7"][0] == "parked"

    wait_for(is_parked, seconds=150, said=crew.log.read_text)
    ends = inbound(crew)
    assert ends.pop("k7") == ("parked", "hub", "kills_its_worker")
    assert set(ends.values()) == {("done", None, None)}
    assert posted(crew) == COUNT - 1
    (tmp_path / FIXED).touch()
    replay(crew, "k7")
    process.drain(crew.hub.runtime)
    assert posted(crew) == COUNT
    crew.hub.assert_clean()


def test_what_a_worker_finishes_after_its_lease_was_lost_is_refused(crew: Crew, shop: Channel) -> None:
    runtime = crew.hub.runtime
    put(crew, shop)
    stale = process.claim(runtime)
    with runtime.sessions.begin() as session:
        session.execute(
            text("UPDATE deliveries SET lease_until = now() - interval '1 s' WHERE state = 'working'")
        )
        assert len(deliveries.free_stuck(session)) == COUNT
    fresh = process.claim(runtime)
    assert {d.token for d in stale}.isdisjoint({d.token for d in fresh})
    process.process(runtime, stale)
    assert posted(crew) == 0
    finishes = [deliveries.Finish(d, "done", "posted") for d in stale]
    with pytest.raises(LeaseLost), runtime.sessions.begin() as session:
        deliveries.finish(session, finishes, worker="zombie")
    process.process(runtime, fresh)
    process.process(runtime, stale)
    assert posted(crew) == COUNT
    assert len(crew.hub.rows("SELECT 1 FROM entries")) == COUNT
    assert len(crew.hub.rows("SELECT 1 FROM attempts WHERE outcome = 'posted'")) == COUNT
    crew.hub.assert_clean()


def test_a_claim_is_bounded_in_bytes(crew: Crew, shop: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    put(crew, shop)
    monkeypatch.setattr(deliveries, "CLAIM_BYTES", 1000)
    sizes = []
    while batch := process.claim(crew.hub.runtime):
        sizes.append([len(d.body) for d in batch])
    assert sum(map(len, sizes)) == COUNT
    assert len(sizes) > 3
    assert all(sum(its[:-1]) < 1000 for its in sizes)
