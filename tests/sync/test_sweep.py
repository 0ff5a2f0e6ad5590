"""The sweeper: what is due by time alone happens, whatever else is broken."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from hub.ledger import commands
from hub.ledger.commands import Command
from hub.sync.doorbell import Doorbell
from hub.sync.sweep import Sweeper
from tests.hubs import Hub, running_hub
from tests.people import add

DOCUMENT = {"earn": {"points": 1, "per": {"VND": "10000"}}}


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        yield hub


def with_expired_points(hub: Hub, name: str) -> int:
    """A member whose 50 points ran out a minute ago, and nobody has looked since."""
    now = datetime.now(UTC)
    with hub.runtime.sessions.begin() as session:
        member = add(session, "members", public_id=f"mem_{name}", program_id=hub.program.id, name=name)
        key = hub.runtime.chain_key
        past = now - timedelta(hours=1)
        order = Command(hub.program.id, member, f"start:{name}", "test", key, now=past)
        commands.adjust(session, order, 50, expires_at=now - timedelta(minutes=1))
    return member


def balances(hub: Hub) -> list[int]:
    return [row.balance for row in hub.rows("SELECT balance FROM accounts ORDER BY id")]


def test_one_broken_book_does_not_keep_the_others_from_expiring(hub: Hub) -> None:
    broken, _, _ = (with_expired_points(hub, name) for name in ("ann", "bob", "eve"))
    with hub.runtime.sessions.begin() as session:
        session.execute(
            text("UPDATE accounts SET balance = balance + 7 WHERE member_id = :m"), {"m": broken}
        )
    sweeper = Sweeper(hub.runtime, Doorbell(hub.runtime.settings.redis_url))
    sweeper.once()
    assert balances(hub) == [57, 0, 0]
    entries = hub.rows("SELECT id FROM entries")
    sweeper.once()
    assert hub.rows("SELECT id FROM entries") == entries
    assert hub.rows("SELECT 1 FROM accounts WHERE next_settle_at <= now()") == []
