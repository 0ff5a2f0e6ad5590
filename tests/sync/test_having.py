"""A reward that is had by itself: bought once as soon as the points are enough, by the sweeper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hub.ledger import commands
from hub.ledger.commands import Command
from hub.program import document as documents
from hub.program.document import DocumentRefused
from hub.sync.having import buy_what_is_due
from tests.hubs import Hub, running_hub
from tests.people import new_member

REWARD: dict[str, Any] = {"id": "cup", "name": "Cup", "cost": 10, "free": ["CUP"], "automatic": True}


def give(hub: Hub, member: int, points: int, key: str) -> None:
    with hub.runtime.sessions.begin() as session:
        order = Command(hub.program.id, member, key, "test", hub.runtime.chain_key)
        commands.adjust(session, order, points)


def test_the_tenth_stamp_brings_the_cup_by_itself_and_no_round_brings_another(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    document = {"earn": {"type": "per_quantity"}, "rewards": [REWARD]}
    with running_hub(database, redis_url, tmp_path, document=document) as hub:
        with hub.runtime.sessions.begin() as session:
            ann = new_member(session, hub.program.id)
        give(hub, ann, 9, "nine")
        buy_what_is_due(hub.runtime)
        assert hub.rows("SELECT 1 FROM vouchers") == []
        give(hub, ann, 14, "more")
        for _ in range(4):
            buy_what_is_due(hub.runtime)
        assert len(hub.rows("SELECT 1 FROM vouchers")) == 2
        assert hub.rows("SELECT balance FROM accounts")[0].balance == 3
        assert [
            row.actor for row in hub.rows("SELECT actor FROM audit WHERE action = 'redemption.made'")
        ] == [
            "hub:automatic",
            "hub:automatic",
        ]
        hub.assert_clean()


def test_its_limit_holds(database: str, redis_url: str, tmp_path: Path) -> None:
    document = {"earn": {"type": "per_quantity"}, "rewards": [{**REWARD, "per_member": 1}]}
    with running_hub(database, redis_url, tmp_path, document=document) as hub:
        with hub.runtime.sessions.begin() as session:
            ann = new_member(session, hub.program.id)
        give(hub, ann, 50, "all")
        for _ in range(3):
            buy_what_is_due(hub.runtime)
        assert hub.rows("SELECT balance FROM accounts")[0].balance == 40
        hub.assert_clean()


def test_what_is_had_by_itself_costs_points() -> None:
    with pytest.raises(DocumentRefused, match="automatic"):
        documents.check(
            {"earn": {"type": "per_order"}, "rewards": [{**REWARD, "cost": 0, "per_member": 1}]}
        )
