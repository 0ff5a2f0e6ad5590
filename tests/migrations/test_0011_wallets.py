"""0011 on a database with accounts: points stay where they are, and money gets accounts of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from hub import migrate
from hub.db import make_engine, make_sessions
from hub.ledger import commands
from hub.ledger.commands import Command
from hub.ledger.verify import verify
from tests.people import KEY, add, new_ground


def test_accounts_from_before_stay_points_and_each_member_gets_one_for_a_currency(
    left_at: Callable[[str], str],
) -> None:
    before = left_at("0009")
    engine = make_engine(before)
    with make_sessions(engine)() as session:
        ground = new_ground(session)
        gift = Command(ground.program, ground.ann, "gift", "test", KEY)
        add(session, "accounts", program_id=ground.program, member_id=ground.ann)
        session.commit()
    assert "0011" in migrate.upgrade(before)
    with make_sessions(engine)() as session:
        commands.adjust(session, gift, 70)
        commands.adjust(session, replace(gift, reference="money", currency="VND"), 5_000)
        session.commit()
        rows = session.execute(text("SELECT balance, currency FROM accounts ORDER BY id")).all()
        assert [tuple(row) for row in rows] == [(70, None), (5_000, "VND")]
        assert verify(session, KEY).clean
        for strange in (
            {"holder_id": ground.ann, "currency": "VND"},
            {"member_id": ground.ann, "currency": "USD"},
            {"holder_id": ground.ann},
        ):
            with pytest.raises(IntegrityError), session.begin_nested():
                add(session, "accounts", program_id=ground.program, **strange)
    engine.dispose()
