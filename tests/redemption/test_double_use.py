"""A code used more than once: the winner, the uses and the points are the same in every order of arrival."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from hub.bulk import run
from hub.canonical import SaleState
from hub.desk import double_uses
from hub.runtime import Runtime
from hub.settings import Settings
from tests.market import ANN, NOON, Told, open_market
from tests.model_shop import CONNECTORS
from tests.pace import paced
from tests.plans import reading
from tests.spending import DOCUMENT, Spending, spending
from tests.statements import statements

STATES = [SaleState.PAID, SaleState.PENDING, SaleState.CANCELLED, SaleState.REFUNDED]
NAMES = {"a": 0, "b": 1, "c": 0}
"""Order -> the shop it is placed in."""


@dataclass(frozen=True)
class History:
    """What shops tell of orders with the code, and two orders in which it comes. 0: the sweeper's round."""

    messages: tuple[Told, ...]
    one: tuple[int, ...]
    other: tuple[int, ...]


@st.composite
def histories(draw: st.DrawFn) -> History:
    told = []
    for name, shop in NAMES.items():
        placed = NOON + timedelta(minutes=draw(st.integers(0, 2)))
        for version in range(1, draw(st.integers(0, 3)) + 1):
            state = draw(st.sampled_from(STATES))
            told.append(Told(name, 10_000, ANN, placed, state, version, shop))
    if not told:
        told.append(Told("a", 10_000, ANN))
    steps = [*range(1, len(told) + 1), *([0] * draw(st.integers(0, 2)))]
    twice = draw(st.lists(st.sampled_from(steps), max_size=2))
    return History(
        tuple(told),
        tuple(draw(st.permutations(steps + twice))),
        tuple(draw(st.permutations(steps))),
    )


def outcome(rig: Spending, history: History, steps: tuple[int, ...]) -> dict[str, Any]:
    """What it comes to when everything was told, confirmed and swept."""
    rig.meet()
    rig.gift(200)
    code = rig.redeem().code
    rig.push()
    for step in (*steps, 0, 0):
        if step:
            rig.market.sell(replace(history.messages[step - 1], codes=(code,)))
        else:
            rig.push()
            rig.sweep()
    rows = rig.market.rows(
        """SELECT v.state, v.uses, (SELECT t.external_id FROM voucher_uses u
               JOIN transactions t ON t.id = u.transaction_id WHERE u.voucher_id = v.id AND u.wins) AS winner
           FROM vouchers v WHERE v.program_id = :program"""
    )
    (row,) = rows
    used = {"used_late": "used"}.get(row.state, row.state)
    result = {
        "state": used,
        "uses": row.uses,
        "winner": row.winner,
        "points": rig.balance(),
        "shop": borne(rig),
    }
    entries = rig.market.entries()
    for message in history.messages:
        rig.market.sell(replace(message, codes=(code,)))
    assert rig.market.entries() == entries, "told once more, nothing is posted"
    return result


def borne(rig: Spending) -> int:
    """What the shop bears, by the lines of the history."""
    sql = """SELECT coalesce(sum(CAST(e.detail->>'points' AS bigint)), 0) AS points FROM redemption_events e
             WHERE e.event = 'absorbed' AND e.program_id = :program"""
    return int(rig.market.rows(sql)[0].points)


@pytest.fixture
def runtime(database: str, redis_url: str, tmp_path: Path) -> Iterator[Runtime]:
    options = Settings(data=tmp_path, database_url=database, redis_url=redis_url, connectors=CONNECTORS)
    runtime = Runtime.start(options)
    yield runtime
    runtime.engine.dispose()


@pytest.mark.slow
@settings(
    max_examples=paced(8, 60),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    history=histories(),
    policy=st.sampled_from(["take_again", "absorb", "flag"]),
    cancelled=st.sampled_from(["reopen", "points_back"]),
)
def test_all_orders_of_arrival_agree(
    runtime: Runtime, history: History, policy: str, cancelled: str
) -> None:
    document = {**DOCUMENT, "redeem": {"double_use": policy, "when_cancelled": cancelled}}
    one, other = (
        outcome(Spending(open_market(runtime, document)), history, steps)
        for steps in (history.one, history.other)
    )
    assert one == other


@pytest.mark.parametrize(("policy", "points"), [("take_again", 3 * 20), ("absorb", 20), ("flag", 20)])
def test_three_uses_cost_what_the_programme_says(
    database: str, redis_url: str, tmp_path: Path, policy: str, points: int
) -> None:
    document = {**DOCUMENT, "redeem": {"double_use": policy}}
    with spending(database, redis_url, tmp_path, document) as rig:
        rig.gift(100)
        code = rig.redeem().code
        rig.push()
        for number, (name, shop) in enumerate(NAMES.items()):
            rig.tell(name, code.lower(), shop=shop, at=NOON - timedelta(minutes=number))
        assert rig.balance() == 100 - points + 3
        (row,) = rig.market.rows("SELECT state, uses FROM vouchers")
        assert (row.state, row.uses) == ("used", 3)
        assert borne(rig) == (40 if policy == "absorb" else 0)
        winner = "SELECT external_id FROM voucher_uses u JOIN transactions t ON t.id = u.transaction_id WHERE wins"
        assert [r.external_id for r in rig.market.rows(winner)] == ["c"]  # placed first, told last


def test_what_the_shop_bears_follows_the_uses_and_the_decision(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    document = {**DOCUMENT, "redeem": {"double_use": "absorb"}}
    with spending(database, redis_url, tmp_path, document) as rig:
        rig.gift(100)
        code = rig.redeem().code
        rig.tell("a", code)
        assert borne(rig) == 0
        rig.tell("b", code, shop=1)
        rig.tell("b", code, shop=1)  # told again
        assert borne(rig) == 20
        for decision, shop, points in (("take_again", 0, 62), ("absorb", 20, 82), ("absorb", 20, 82)):
            rig.do(lambda desk, wish=decision: double_uses.decide(desk, code, wish))  # type: ignore[misc]
            assert (borne(rig), rig.balance()) == (shop, points)
        (listed,) = rig.do(lambda desk: double_uses.listed(desk.session, desk.program))
        assert (listed.charged, listed.absorbed, listed.decided) == (0, 20, True)
        rig.tell("b", code, shop=1, state=SaleState.CANCELLED)
        assert (borne(rig), rig.balance()) == (0, 81)


@pytest.fixture
def many(database: str, redis_url: str, tmp_path: Path, owner: Engine) -> Iterator[Spending]:
    """Thousands of codes, of which every fourth was used twice."""
    with spending(database, redis_url, tmp_path) as rig:
        with rig.runtime.sessions.begin() as session:
            keys = {"program": rig.program.id, "member": rig.market.member()}
            run(
                session,
                "INSERT INTO accounts (program_id, member_id) VALUES (:program, :member) ON CONFLICT DO NOTHING",
                keys,
            )
            for statement in CODES:
                run(session, statement, keys)
        # as the owner: others are told "permission denied, skipping", and go on
        with owner.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
        yield rig
        with rig.runtime.sessions.begin() as session:  # made up: nothing was paid for them
            run(session, "DELETE FROM vouchers")
            run(session, "DELETE FROM redemptions")


CODES = (
    """INSERT INTO redemptions (public_id, program_id, account_id, member_id, reward, reward_terms, points, state,
                                input_hash, actor)
       SELECT 'red_' || lpad(n::text, 16, '0'), :program, (SELECT id FROM accounts WHERE member_id = :member),
              :member, 'r', '{"amounts": {}}', 0, 'committed', '', 'test' FROM generate_series(1, 6000) n""",
    """INSERT INTO vouchers (public_id, program_id, redemption_id, member_id, code, code_key, state, starts_at, uses,
                             decided)
       SELECT 'vch_' || lpad(r.id::text, 16, '0'), :program, r.id, :member, 'C' || r.id, 'C' || r.id, 'used', now(),
              CASE WHEN r.id % 4 = 0 THEN 2 ELSE 1 END, 'absorb' FROM redemptions r""",
)


def test_the_list_reads_no_more_than_it_shows(many: Spending) -> None:
    with statements() as asked:
        found = many.do(lambda desk: double_uses.listed(desk.session, desk.program, limit=20))
        again = many.do(
            lambda desk: double_uses.listed(desk.session, desk.program, before=found[-1].id, limit=20)
        )
    assert (len(found), len(again), again[0].id < found[-1].id) == (20, 20, True)
    with many.runtime.sessions() as session:
        steps = [
            step
            for step in reading(session, asked)
            if step[1] in ("vouchers", "entries", "voucher_uses")
        ]
    assert steps
    assert [step for step in steps if step[2] > 50] == []
