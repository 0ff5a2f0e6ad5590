"""The checker: a clean book is clean, and whatever somebody changes behind the hub's back is named."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.orm import Session

from hub.db import libpq_url
from hub.ledger import commands, lots, merging
from hub.ledger import verify as verifying
from hub.ledger.as_of import as_of
from hub.ledger.book import Target, post_targets
from hub.ledger.commands import Command
from hub.ledger.invariants import INVARIANTS
from hub.ledger.liability import outstanding
from hub.ledger.verify import verify
from tests.people import KEY, Ground, add, new_ground, new_member, new_program, new_sale

ROOT = Path(__file__).parents[2]
DAY = timedelta(days=1)
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
NOW = NOON + 10 * DAY


@pytest.fixture
def ground(session: Session) -> Ground:
    """A book with everything in it: sales, a refund, a spend, an expiry, a merge, a voucher."""
    ground = new_ground(session)
    bob = new_member(session, ground.program, "Bob")
    first, second, third = (new_sale(session, ground, str(n)) for n in range(3))
    _post(session, ground, first, ground.ann, 100, now=NOON, expires_at=NOON + 5 * DAY)
    _post(session, ground, second, ground.ann, 60, now=NOON + DAY)
    _post(session, ground, second, ground.ann, 40, now=NOON + 2 * DAY)
    _post(session, ground, third, bob, 50, now=NOON + 2 * DAY)
    _buy(session, ground)
    commands.settle(session, ground.program, [ground.ann], chain_key=KEY, now=NOON + 6 * DAY)
    merging.merge(
        session,
        merging.Merge(
            ground.program, gone=bob, kept=ground.ann, actor="test", chain_key=KEY, now=NOON + 7 * DAY
        ),
    )
    session.commit()
    return ground


def _post(
    session: Session, ground: Ground, sale: int, member: int, points: int, *, now: datetime, **times: Any
) -> None:
    fields = {"placed_at": NOON, "available_at": NOON, "expires_at": None, "context": "v1"} | times
    target = Target(sale, member, points, winners=("aa",), **fields)
    post_targets(session, ground.program, [target], chain_key=KEY, actor="test", now=now)


def _buy(session: Session, ground: Ground) -> None:
    """30 points for a voucher that works."""
    account = session.connection().exec_driver_sql("SELECT id FROM accounts ORDER BY id").scalar()
    redemption = add(
        session, "redemptions", public_id="red_1", program_id=ground.program, account_id=account,
        member_id=ground.ann, reward="r", reward_terms="{}", points=30, state="committed",
        input_hash="", actor="test",
    )  # fmt: skip
    add(
        session, "vouchers", public_id="vch_1", program_id=ground.program, redemption_id=redemption,
        member_id=ground.ann, code="C", code_key="c", state="live", starts_at=NOON,
    )  # fmt: skip
    command = Command(ground.program, ground.ann, f"hold:{redemption}", "test", KEY, NOON + 3 * DAY)
    commands.hold(session, command, 30, f"red:{redemption}")


def test_a_book_with_everything_in_it_is_clean_and_stays_so(session: Session, ground: Ground) -> None:
    for _ in range(2):
        report = verify(session, KEY)
        assert report.findings == []
        assert (report.accounts, report.entries) == (2, verifying.size(session))
    assert report.entries == 8


TAMPERED = [
    (1, "UPDATE entries SET amount = amount + 1 WHERE counter = 'member' AND amount > 0"),
    (2, "UPDATE entries SET amount = 0 WHERE seq = 2"),
    (3, "UPDATE accounts SET balance = balance + 1"),
    (4, "DELETE FROM entries WHERE seq = 2"),
    (4, "DELETE FROM entries e WHERE seq = (SELECT max(seq) FROM entries WHERE account_id = e.account_id)"),
    (5, "UPDATE entries SET balance_after = balance_after + 1 WHERE seq = 2"),
    (6, "UPDATE accounts SET debt = debt + 1"),
    (7, "UPDATE lots SET remaining = remaining - 1 WHERE remaining > 0"),
    (9, "UPDATE entries SET subject = 'sale:9' WHERE counter = 'expired'"),
    (10, "UPDATE entries SET amount = -200 WHERE counter = 'issued' AND amount < 0"),
    (11, "ALTER TABLE entries DROP CONSTRAINT entries_program_id_reference_key"),
    (13, "UPDATE postings SET posted = posted + 1 WHERE posted > 0"),
    (14, "UPDATE redemptions SET state = 'released'"),
    (14, "UPDATE redemptions SET state = 'held', points = points + 1"),
    (15, "ALTER TABLE entries DISABLE TRIGGER entries_append_only"),
    (15, "GRANT UPDATE ON entries TO hub_app"),
    (16, "UPDATE entries SET member_id = (SELECT max(id) FROM members) WHERE seq = 1"),
    (17, "UPDATE entries SET actor = 'somebody' WHERE seq = 1"),
    (17, "UPDATE accounts SET head = 'x'"),
    (19, "UPDATE entries SET recorded_at = '2001-01-01' WHERE seq = 2"),
    (20, "DELETE FROM contributions"),
    (20, """INSERT INTO deliveries (program_id, channel_id, direction, topic, key, state, body, body_hash)
            SELECT program_id, id, 'inbound', 't', 'k', 'done', '', '' FROM channels LIMIT 1"""),
    (22, "UPDATE redemptions SET state = 'held'"),
    (23, "UPDATE entries SET balance_after = balance_after - 7"),
]  # fmt: skip


@pytest.mark.parametrize(("number", "change"), TAMPERED, ids=lambda v: str(v)[:60])
def test_what_is_changed_behind_the_hubs_back_is_named(
    database: str, session: Session, ground: Ground, number: int, change: str
) -> None:
    new_member(session, new_program(session, "elsewhere"), "Stranger")
    session.commit()
    with _as_a_superuser(database) as connection:
        connection.execute("ALTER TABLE entries DROP CONSTRAINT entries_amount_check")
        connection.execute(change)
    try:
        findings = verify(session, KEY).findings
    finally:
        session.rollback()
        with _as_a_superuser(database) as connection:
            connection.execute("REVOKE UPDATE ON entries FROM hub_app")
    assert number in {finding.invariant for finding in findings}, findings
    assert all(finding.what and finding.name for finding in findings)


def _as_a_superuser(database: str) -> psycopg.Connection[Any]:
    """With triggers and foreign keys off, as whoever owns the machine may."""
    options = "-c session_replication_role=replica"
    return psycopg.connect(libpq_url(database), autocommit=True, options=options)


def test_a_replay_that_depends_on_the_order_is_found(
    session: Session, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = lots.replay

    def moody(grants: Any, spends: Any, now: datetime, *more: Any) -> lots.Book:
        given = list(grants)
        book = real(given, spends, now, *more)
        if given and given[0].key != min(grant.key for grant in given):
            book.lots.pop(given[0].key)
        return book

    monkeypatch.setattr(lots, "replay", moody)
    assert 8 in {finding.invariant for finding in verify(session, KEY).findings}


def test_few_entries_are_in_memory_at_a_time_and_all_are_looked_at(
    session: Session, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "ENTRIES_AT_ONCE", 1)
    told: list[int] = []
    report = verify(session, KEY, progress=told.append)
    assert report.clean
    assert len(told) == report.accounts
    assert sum(told) == report.entries == verifying.size(session, ground.program)


def test_it_ends_at_the_limit(session: Session, ground: Ground, database: str) -> None:
    with _as_a_superuser(database) as connection:
        connection.execute("UPDATE accounts SET balance = balance + 1, head = 'x'")
    assert len(verify(session, KEY, limit=3).findings) == 3


# --- as of a time, and what is owed --------------------------------------------------------------


def test_a_balance_as_of_a_time_is_what_it_was_then(session: Session, ground: Ground) -> None:
    seen = {
        days: as_of(session, ground.ann, NOON + days * DAY).balance for days in (-1, 0, 1, 2, 3, 6, 7)
    }
    assert seen == {-1: 0, 0: 100, 1: 160, 2: 140, 3: 110, 6: 40, 7: 90}
    before_it_was_posted = as_of(session, ground.ann, NOON + 5 * DAY)
    assert (before_it_was_posted.balance, before_it_was_posted.available) == (110, 40)


def test_at_every_moment_of_its_history_a_replay_gives_the_balance(
    session: Session, ground: Ground
) -> None:
    rows = session.connection().exec_driver_sql(
        "SELECT DISTINCT e.recorded_at, a.member_id FROM entries e JOIN accounts a ON a.id = e.account_id"
    )
    moments = rows.all()
    assert len(moments) > 6
    for moment, member in moments:
        stood = as_of(session, member, moment)
        assert stood.replayed == stood.balance


def test_what_is_outstanding_is_told_by_month(session: Session, ground: Ground) -> None:
    later = new_sale(session, ground, "later")
    _post(
        session, ground, later, ground.ann, 25, now=NOW, available_at=NOW + 40 * DAY,
        expires_at=datetime(2026, 12, 31, 17, 30, tzinfo=UTC),
    )  # fmt: skip
    found = outstanding(session, ground.program, "Asia/Ho_Chi_Minh", by="expiry", now=NOW)
    assert [(row.month, row.members, row.points, row.pending) for row in found] == [
        ("2027-01", 1, 25, 25),  # half past midnight there
        (None, 1, 90, 0),
    ]
    aged = outstanding(session, ground.program, "Asia/Ho_Chi_Minh", by="age", now=NOW)
    assert [(row.month, row.points) for row in aged] == [("2026-11", 115)]


# --- the documentation ---------------------------------------------------------------------------


@pytest.fixture
def documented() -> list[tuple[int, str, str]]:
    text = (ROOT / "docs" / "ledger.md").read_text()
    return [
        (int(number), name, says)
        for number, name, says in re.findall(r"^\| (\d+) \| `(\w+)` \| (.+?) \|", text, re.MULTILINE)
    ]


def test_every_invariant_is_documented_and_those_shown_by_tests_name_them(
    documented: list[tuple[int, str, str]],
) -> None:
    assert documented == [(i.number, i.name, i.says) for i in INVARIANTS]
    for invariant in INVARIANTS:
        assert (invariant.how == "tests") == bool(invariant.shown_by)
        assert not invariant.shown_by or (ROOT / invariant.shown_by).is_file()


def test_every_invariant_that_rows_can_show_has_a_tampering_that_is_found() -> None:
    tried = {number for number, _ in TAMPERED} | {8}
    assert tried == {i.number for i in INVARIANTS if i.how != "tests"}
