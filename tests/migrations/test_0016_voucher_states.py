"""0016 on a database with codes: each keeps its state, and from then on goes only where the table leads."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from hub import migrate
from hub.db import make_engine, make_sessions
from tests.people import Ground, add, new_ground

STATES = ("planned", "live", "used", "expired", "revoked", "revoking")


def code(session: Session, ground: Ground, account: int, state: str) -> int:
    redemption = add(
        session, "redemptions", public_id=f"red_{state}", program_id=ground.program, account_id=account,
        member_id=ground.ann, reward="r", reward_terms="{}", points=1, state="committed", input_hash="",
        actor="test",
    )  # fmt: skip
    return add(
        session, "vouchers", public_id=f"vch_{state}", program_id=ground.program, redemption_id=redemption,
        member_id=ground.ann, code=state, code_key=state, state=state, starts_at="2026-01-01",
    )  # fmt: skip


def test_codes_from_before_keep_their_state_and_the_database_guards_them(
    left_at: Callable[[str], str],
) -> None:
    before = left_at("0014")
    engine = make_engine(before)
    with make_sessions(engine)() as session:
        ground = new_ground(session)
        account = add(session, "accounts", program_id=ground.program, member_id=ground.ann)
        for state in STATES:
            code(session, ground, account, state)
        session.commit()
    assert "0016" in migrate.upgrade(before)
    with make_sessions(engine)() as session:
        rows = session.execute(text("SELECT state, leaving, returned FROM vouchers ORDER BY id")).all()
        assert [row.state for row in rows] == list(STATES)
        assert [tuple(row)[1:] for row in rows[4:]] == [("taken_back", True), ("taken_back", False)]
        assert all(row.leaving is None and not row.returned for row in rows[:4])
        with pytest.raises(DBAPIError, match="does not go from live to planned"), session.begin_nested():
            session.execute(text("UPDATE vouchers SET state = 'planned' WHERE state = 'live'"))
        session.execute(text("UPDATE vouchers SET state = 'expiring' WHERE state = 'live'"))
    engine.dispose()
