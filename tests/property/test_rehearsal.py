"""A dry run of any history says to the point what the replay then does, member by member.

The two are carried out in different batches: the rehearsal in its own, rolled back one by one, the
replay in batches of three, committed.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from hub.connect import add_channel
from hub.ledger.verify import verify
from hub.outbox import deliveries
from hub.outbox.channels import Channel
from hub.program import store
from hub.runtime import Runtime
from hub.settings import Settings
from hub.sync import process, rehearse
from hub.sync.receive import Message as Stored
from hub.sync.receive import insert
from tests.model_shop import CONNECTORS
from tests.pace import paced
from tests.people import START
from tests.property.histories import STEP, Message, SaleLife

_numbers = itertools.count(1)
DOCUMENT = {"earn": {"points": 1, "per": {"VND": str(STEP)}}}


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Runtime]:
    given_ = Settings(
        data=tmp_path, database_url=database, redis_url=redis_url, batch_size=3, connectors=CONNECTORS
    )
    runtime = Runtime.start(given_)
    _ = runtime.chain_key
    yield runtime
    runtime.engine.dispose()


def history(chance: Random) -> list[Message]:
    """The messages of a few sales, shuffled."""
    messages = []
    for n in range(5):
        life = SaleLife(chance, f"s{n}", deletes_refunds=False, built="event")
        life.live(chance.randint(0, 8))
        messages += life.messages
    chance.shuffle(messages)
    return messages


def take(hub: Runtime, channel: Channel, messages: list[Message]) -> None:
    stored = [
        Stored(channel, "model", m.key, "{}", m.body, hashlib.sha256(m.body).digest(), datetime.now(UTC))
        for m in messages
    ]
    with hub.sessions.begin() as session:
        insert(session, stored)


def balances(hub: Runtime, program: int) -> dict[str, tuple[str, int]]:
    """Member by the key a rehearsal gives new ones -> (public id, balance)."""
    with hub.sessions() as session:
        rows = session.execute(
            text(
                """SELECT concat_ws(':', i.kind, i.scope, i.value) AS key, m.public_id, a.balance
                   FROM identities i JOIN members m ON m.id = i.member_id JOIN accounts a ON a.member_id = m.id
                   WHERE i.program_id = :program"""
            ),
            {"program": program},
        )
        return {row.key: (row.public_id, row.balance) for row in rows}


@pytest.mark.slow
@settings(
    max_examples=paced(8, 40), deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
@given(seed=st.integers(0, 2**32))
def test_what_is_rehearsed_is_what_is_replayed(hub: Runtime, seed: int) -> None:
    chance = Random(seed)
    with hub.sessions.begin() as session:
        program = store.create(
            session, slug=f"p{next(_numbers)}", name="P", currency="VND", time_zone="UTC", region="VN",
            starts_at=START, document=DOCUMENT, actor="test",
        )  # fmt: skip
        channel = add_channel(
            session,
            hub,
            program_id=program.id,
            kind="model_event",
            name="Shop",
            settings={},
            actor="test",
        )
    messages = history(chance)
    cut = chance.randint(0, len(messages))
    take(hub, channel, messages[:cut])
    process.drain(hub)
    take(hub, channel, messages[cut:])
    with hub.sessions.begin() as session:
        ids = session.execute(
            text(
                """UPDATE deliveries SET state = CASE WHEN state = 'due' THEN 'parked' ELSE state END,
                       code = CASE WHEN state = 'due' THEN 'unexpected' END, fault = 'hub'
                   WHERE program_id = :p AND direction = 'inbound' RETURNING id"""
            ),
            {"p": program.id},
        ).scalars()
        wanted = sorted(ids)
    before = balances(hub, program.id)
    rehearsal = rehearse.rehearse(hub, program.id, wanted, seconds=60)
    assert rehearsal.summary()["of"] == len(wanted)
    assert balances(hub, program.id) == before
    with hub.sessions.begin() as session:
        deliveries.replay(session, wanted)
    process.drain(hub)
    after = balances(hub, program.id)
    names = {public_id: key for key, (public_id, _) in before.items()}
    said = {names.get(member, member): points for member, points in rehearsal.moves().items()}
    moved = {key: balance - before.get(key, ("", 0))[1] for key, (_, balance) in after.items()}
    assert said == {key: points for key, points in moved.items() if points}
    with hub.sessions() as session:
        report = verify(session, hub.chain_key, program.id)
    assert report.clean, report.findings
