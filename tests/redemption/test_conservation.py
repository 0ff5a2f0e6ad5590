"""Nothing is lost and nothing comes from nowhere: points in lots + held + spent + expired = granted, at every step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from hub.canonical import SaleState
from hub.ledger.commands import NotEnoughPoints
from hub.redemption.orders import AlreadyCommitted, HoldEnded
from hub.redemption.taking_back import AlreadyUsed
from hub.runtime import Runtime
from hub.settings import Settings
from tests.market import ANN, open_market
from tests.model_shop import CONNECTORS
from tests.pace import paced
from tests.spending import DOCUMENT, Spending

COST = 20
STEPS = ["gift", "short gift", "hold", "hold", "commit", "release", "lapse", "redeem", "use", "use again",
         "cancel", "return half", "return all", "take back", "tell", "days"]  # fmt: skip
SUMS = """
SELECT (SELECT coalesce(sum(l.remaining), 0) FROM lots l JOIN accounts a ON a.id = l.account_id
        WHERE a.program_id = :program) AS in_lots,
       (SELECT coalesce(sum(debt), 0) FROM accounts WHERE program_id = :program) AS owed,
       (SELECT coalesce(sum(points), 0) FROM redemptions WHERE program_id = :program AND state = 'held') AS held,
       coalesce(-sum(amount) FILTER (WHERE counter = 'expired'), 0) AS expired,
       coalesce(-sum(amount) FILTER (WHERE counter IN ('held', 'redeemed')), 0) AS taken,
       coalesce(sum(amount) FILTER (WHERE counter IN ('adjusted', 'issued')), 0) AS granted
FROM entries WHERE program_id = :program
"""
USES = """
SELECT r.points, r.state, v.state AS code, count(t.id) FILTER (WHERE t.state <> 'refunded' AND t.eligible > 0) AS kept,
       count(t.id) AS uses
FROM redemptions r LEFT JOIN vouchers v ON v.redemption_id = r.id
LEFT JOIN voucher_uses u ON u.voucher_id = v.id AND u.present LEFT JOIN transactions t ON t.id = u.transaction_id
WHERE r.program_id = :program GROUP BY r.id, v.id
"""
"""Of each code: the orders that carry it, and those of which something is left."""


@dataclass
class Life:
    """A member who does one thing after the other."""

    rig: Spending
    held: list[str] = field(default_factory=list)
    bought: list[tuple[str, str]] = field(default_factory=list)
    """(redemption, code)."""
    orders: list[tuple[str, str, int]] = field(default_factory=list)
    """(order, code, shop)."""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def do(self, step: str, pick: int) -> None:
        with suppress(NotEnoughPoints, HoldEnded, AlreadyCommitted, AlreadyUsed):
            getattr(self, step.replace(" ", "_"))(pick)

    def gift(self, pick: int) -> None:
        self.rig.gift(10 + pick)

    def short_gift(self, pick: int) -> None:
        self.rig.gift(10 + pick, lives=timedelta(hours=1 + pick))

    def hold(self, _pick: int) -> None:
        self.held.append(self.rig.hold().id)

    def redeem(self, _pick: int) -> None:
        done = self.rig.redeem()
        self.bought.append((done.id, done.code))

    def commit(self, pick: int) -> None:
        if self.held:
            done = self.rig.commit(self.held[pick % len(self.held)])
            self.bought.append((done.id, done.code))

    def release(self, pick: int) -> None:
        if self.held:
            self.rig.release(self.held[pick % len(self.held)])

    def lapse(self, _pick: int) -> None:
        with self.rig.runtime.sessions.begin() as session:
            session.execute(text("UPDATE redemptions SET hold_until = now() WHERE state = 'held'"))
        self.rig.sweep(self.at)

    def use(self, pick: int) -> None:
        if self.bought:
            self._order(self.bought[pick % len(self.bought)][1], pick % 2)

    def use_again(self, pick: int) -> None:
        if self.orders:
            self._order(self.orders[pick % len(self.orders)][1], 0)

    def _order(self, code: str, shop: int) -> None:
        self.orders.append((f"order-{len(self.orders)}", code, shop))
        self.rig.tell(f"order-{len(self.orders) - 1}", code, shop=shop)

    def cancel(self, pick: int) -> None:
        self._change(pick, state=SaleState.CANCELLED)

    def return_half(self, pick: int) -> None:
        self._change(pick, returned=5_000)

    def return_all(self, pick: int) -> None:
        self._change(pick, state=SaleState.REFUNDED, returned=10_000)

    def _change(self, pick: int, **more: object) -> None:
        if self.orders:
            name, code, shop = self.orders[pick % len(self.orders)]
            self.rig.tell(name, code, shop=shop, **more)

    def take_back(self, pick: int) -> None:
        if self.bought:
            self.rig.take_back(self.bought[pick % len(self.bought)][0])

    def tell(self, _pick: int) -> None:
        self.rig.push()
        self.rig.sweep(self.at)

    def days(self, pick: int) -> None:
        self.at += timedelta(hours=pick)
        self.tell(0)


def check(rig: Spending) -> None:
    (sums,) = rig.market.rows(SUMS)
    spent = 0
    for row in rig.market.rows(USES):
        if row.state == "committed":
            spent += row.points * (row.kept if row.uses else 1)
    assert sums.taken == sums.held + spent, "what left the lots is held, or spent by what was bought"
    assert sums.in_lots - sums.owed + sums.held + spent + sums.expired == sums.granted


@pytest.fixture
def runtime(database: str, redis_url: str, tmp_path: Path) -> Iterator[Runtime]:
    options = Settings(data=tmp_path, database_url=database, redis_url=redis_url, connectors=CONNECTORS)
    runtime = Runtime.start(options)
    yield runtime
    runtime.engine.dispose()


@pytest.mark.slow
@settings(
    max_examples=paced(6, 60),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 9)), min_size=8, max_size=24),
    cancelled=st.sampled_from(["reopen", "points_back"]),
)
def test_points_are_kept_at_every_step(
    runtime: Runtime, steps: list[tuple[str, int]], cancelled: str
) -> None:
    rewards = [{**DOCUMENT["rewards"][0], "valid_days": 1}]
    document = {**DOCUMENT, "rewards": rewards, "redeem": {"when_cancelled": cancelled}}
    life = Life(Spending(open_market(runtime, document)))
    life.rig.meet(ANN)
    for step, pick in [("gift", 9), ("gift", 9), ("redeem", 0), *steps]:
        life.do(step, pick)
        check(life.rig)
    life.rig.check()
