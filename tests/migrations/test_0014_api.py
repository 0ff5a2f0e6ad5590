"""0014 on a database with data: redemptions keep their keys, and answers can be stored beside them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import text

from hub import answers, migrate
from hub.db import make_engine, make_sessions
from tests.people import add, new_ground


def test_what_was_there_stays_and_answers_are_texts_that_may_come_later(
    left_at: Callable[[str], str],
) -> None:
    before = left_at("0012")
    engine = make_engine(before)
    with make_sessions(engine)() as session:
        ground = new_ground(session)
        account = add(session, "accounts", program_id=ground.program, member_id=ground.ann)
        add(session, "redemptions", public_id="red_1", program_id=ground.program, account_id=account,
            member_id=ground.ann, reward="tea", reward_terms="{}", points=1, state="committed",
            idempotency_key="k", input_hash="x", actor="test")  # fmt: skip
        session.execute(
            text("INSERT INTO idempotency_keys VALUES (:program, 'old', 'x', 200, '{\"a\": 1}', now())"),
            {"program": ground.program},
        )
        session.commit()
    assert "0014" in migrate.upgrade(before)
    with make_sessions(engine).begin() as session:
        now = datetime.now(UTC)
        assert answers.find(session, ground.program, "old") == answers.Answer("x", 200, '{"a": 1}')
        assert answers.claim(session, ground.program, "new", "y", now)
        assert answers.find(session, ground.program, "new") is None
        answers.keep(session, ground.program, "new", 201, '{"b":  2}')
        assert answers.find(session, ground.program, "new") == answers.Answer("y", 201, '{"b":  2}')
        assert not answers.claim(session, ground.program, "new", "y", now)
        assert session.execute(text("SELECT idempotency_key FROM redemptions")).scalar() == "k"
        valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'actions_of_program'::regclass"
        assert session.execute(text(valid)).scalar()
    assert migrate.upgrade(before) == []
    engine.dispose()
