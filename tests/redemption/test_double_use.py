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

from hub.canonical import SaleState
from hub.runtime import Runtime
from hub.settings import Settings
from tests.market import ANN, NOON, Told, open_market
from tests.model_shop import CONNECTORS
from tests.pace import paced
from tests.spending import DOCUMENT, Spending, spending

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
    result = {"state": used, "uses": row.uses, "winner": row.winner, "points": rig.balance()}
    entries = rig.market.entries()
    for message in history.messages:
        rig.market.sell(replace(message, codes=(code,)))
    assert rig.market.entries() == entries, "told once more, nothing is posted"
    return result


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
        winner = "SELECT external_id FROM voucher_uses u JOIN transactions t ON t.id = u.transaction_id WHERE wins"
        assert [r.external_id for r in rig.market.rows(winner)] == ["c"]  # placed first, told last
