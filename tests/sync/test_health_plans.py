"""Home costs the same however much there is: its statements, on 20,000 orders and messages."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session, sessionmaker

from hub.outbox import browse, figures
from hub.sync import day, health
from tests.people import new_program
from tests.plans import reading
from tests.shops import shop
from tests.statements import Asked, statements

NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
ROWS = 20_000
LARGE = ("deliveries", "transactions")
MOST = 2_500
"""A tenth of what there is: more than a day's orders and all failures, far less than everything."""


@pytest.fixture
def program(session: Session, owner: Engine) -> int:
    """One busy shop among others: 600 orders a day, one message in a hundred failed."""
    program, other = new_program(session), new_program(session, "other")
    channels = [shop(session, program, "Busy"), shop(session, other, "Theirs")]
    for channel, mine in zip(channels, (program, other), strict=True):
        session.execute(
            text("""INSERT INTO transactions (public_id, program_id, channel_id, external_id, state, currency, points,
                                              placed_at)
                    SELECT 'txn_' || :channel || '_' || n, :program, :channel, n, 'paid', 'VND', 30,
                           CAST(:now AS timestamptz) - n * interval '144 seconds' - interval '2 hours'
                    FROM generate_series(1, :rows) n"""),
            {"channel": channel, "program": mine, "now": NOW, "rows": ROWS // 2},
        )
        session.execute(
            text("""INSERT INTO deliveries (program_id, channel_id, direction, topic, key, body, body_hash, state,
                                            outcome, fault, code)
                    SELECT :program, :channel, CASE n % 3 WHEN 0 THEN 'outbound' ELSE 'inbound' END, 't', n, '', '',
                           CASE WHEN n % 100 = 0 THEN 'failed' ELSE 'done' END, 'posted',
                           CASE WHEN n % 100 = 0 THEN 'payload' END, CASE WHEN n % 100 = 0 THEN 'not_json' END
                    FROM generate_series(1, :rows) n"""),
            {"channel": channel, "program": mine, "rows": ROWS // 2},
        )
    session.commit()
    with owner.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")
    return program


def asked_by_home(sessions: sessionmaker[Session], program: int) -> Asked:
    with sessions() as session, statements() as asked:
        groups = browse.groups(session, program)
        (busy,) = health.of_program(session, program, NOW, groups)
        today = day.of_day(session, program, *day.bounds(NOW, "Asia/Ho_Chi_Minh"))
        start, _end = day.bounds(NOW, "Asia/Ho_Chi_Minh")
        (pace,) = health.paces(session, [busy.id], start, NOW).values()
        figures.read(session)
    assert pace.usual is not None
    assert (busy.state, busy.failing) == ("failing", 100)
    assert busy.rhythm is not None
    assert busy.rhythm.is_silent()
    assert today.orders > 100
    return asked


def test_home_reads_no_table_from_end_to_end(
    session: Session, sessions: sessionmaker[Session], program: int
) -> None:
    steps = list(reading(session, asked_by_home(sessions, program)))
    assert len(steps) > 15
    assert [step for step in steps if step[0] == "Seq Scan" and step[1] in LARGE] == []
    assert [step for step in steps if step[2] > MOST] == []


def test_a_statement_that_reads_everything_is_seen(
    session: Session, sessions: sessionmaker[Session], program: int
) -> None:
    with sessions() as other, statements() as asked:
        other.connection().exec_driver_sql("SELECT count(*) FROM deliveries WHERE topic = 't'")
    assert any(step[0] == "Seq Scan" and step[2] >= ROWS for step in reading(session, asked))
