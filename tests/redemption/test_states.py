"""Every cell of the voucher's table on a real database, and the same table for people and for the guard."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from hub.redemption import states
from hub.redemption.states import EVENTS, STATES, TABLE, State
from tests.people import add, new_ground

ROOT = Path(__file__).parents[2]


@pytest.fixture
def voucher(session: Session) -> int:
    ground = new_ground(session)
    account = add(session, "accounts", program_id=ground.program, member_id=ground.ann)
    redemption = add(
        session, "redemptions", public_id="red_1", program_id=ground.program, account_id=account,
        member_id=ground.ann, reward="r", reward_terms="{}", points=0, state="committed", input_hash="",
        actor="test",
    )  # fmt: skip
    return add(
        session, "vouchers", public_id="vch_1", program_id=ground.program, redemption_id=redemption,
        member_id=ground.ann, code="A", code_key="A", state="planned", starts_at="2026-01-01",
    )  # fmt: skip


def put(session: Session, voucher: int, state: State) -> None:
    """Into that state, past the guard: the row is made anew."""
    gone = session.execute(text("DELETE FROM vouchers WHERE id = :id RETURNING *"), {"id": voucher})
    values = {**gone.mappings().one(), "state": state}
    marks = ", ".join(f":{name}" for name in values)
    session.execute(
        text(f"INSERT INTO vouchers ({', '.join(values)}) OVERRIDING SYSTEM VALUE VALUES ({marks})"),
        values,
    )


def state_of(session: Session, voucher: int) -> str:
    return str(
        session.execute(text("SELECT state FROM vouchers WHERE id = :id"), {"id": voucher}).scalar_one()
    )


def events(session: Session) -> list[tuple[str, str, str]]:
    rows = session.execute(
        text("SELECT event, actor, detail->>'voucher' FROM redemption_events ORDER BY id")
    )
    return [tuple(row) for row in rows]


CELLS = list(product(STATES, EVENTS))


def test_no_cell_is_empty() -> None:
    assert {(state, event) for state, row in TABLE.items() for event in row} == set(CELLS)
    assert {after for row in TABLE.values() for after in row.values() if after} <= set(STATES)
    assert all(row["use_seen"] in states.IN_USE for row in TABLE.values())


def test_every_cell_holds_on_the_database_and_each_move_is_noted_once(
    session: Session, voucher: int
) -> None:
    for state, event in CELLS:
        put(session, voucher, state)
        before, after = len(events(session)), TABLE[state][event]
        moved = states.move(session, voucher, event, "somebody")
        expected = after if after not in (state, states.REFUSED) else None
        assert (state, event, moved) == (state, event, expected)
        assert state_of(session, voucher) == (after or state)
        noted = events(session)[before:]
        assert noted == ([(after, "somebody", event)] if moved else [])
        if after is not None and TABLE[after][event] == after:
            assert states.move(session, voucher, event, "somebody") is None


def test_the_database_lets_a_voucher_go_nowhere_else(session: Session, voucher: int) -> None:
    allowed = {(state, after) for state, row in TABLE.items() for after in row.values()}
    for before, after in product(STATES, STATES):
        put(session, voucher, before)
        point = session.begin_nested()
        try:
            session.execute(text("UPDATE vouchers SET state = :after"), {"after": after})
            went = True
        except DBAPIError as refused:
            went, said = False, str(refused.orig)
            assert f"does not go from {before} to {after}" in said
        point.rollback()
        assert (before, after, went) == (before, after, before == after or (before, after) in allowed)


def test_why_a_code_leaves_is_kept_until_there_is_another_reason(session: Session, voucher: int) -> None:
    states.move(session, voucher, "taken_back", "a", "taken_back")
    states.move(session, voucher, "use_seen", "a")
    sql = text("SELECT leaving FROM vouchers")
    assert session.execute(sql).scalar_one() == "taken_back"
    states.move(session, voucher, "use_cancelled", "a", "cancelled")
    assert session.execute(sql).scalar_one() == "cancelled"


def test_the_page_shows_the_same_table() -> None:
    page = (ROOT / "docs/redemption.md").read_text()
    for event, words in EVENTS.items():
        assert f"| `{event}` | {words} |" in page
    for state, words in STATES.items():
        assert f"| `{state}` | {words} |" in page
        cells = [after or "refused" for after in TABLE[state].values()]
        shown = " | ".join("·" if cell == state else f"`{cell}`" for cell in cells)
        assert f"| **`{state}`** | {shown} |" in page
    assert "| | " + " | ".join(f"`{event}`" for event in EVENTS) + " |" in page
    assert len(re.findall(r"^\| \*\*`", page, re.MULTILINE)) == len(STATES)
