"""A programme made by chance lives by chance: sales, refunds, redemptions, gifts, expiry, merges, replays.

After every step the book verifies by all its invariants and is what a simple model says: points of a
sale by plain arithmetic, balances by adding up. What has expired is taken from the entries (the checker
proves that it had to). Messages go through the inbox and the workers' own code; redemptions and merges
are the desk's deeds.
"""

from __future__ import annotations

import math
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from hub.canonical import SaleState
from hub.desk import merging, points
from hub.desk.place import carry_out
from hub.desk.rewards import redeem
from hub.ledger import commands
from hub.ledger.commands import NotEnoughPoints
from hub.ledger.merging import NotMergeable, Shortfall
from hub.runtime import Runtime
from hub.settings import Settings
from tests.market import ANN, BOB, EVE, Market, Told, open_market
from tests.model_shop import CONNECTORS
from tests.pace import paced

PHONES = (ANN, BOB, EVE)
MOMENTS = [
    datetime.fromisoformat(f"2026-11-{day:02d}T{hour}:00+00:00")
    for day in range(1, 9)
    for hour in ("09", "21")
]
COST = 25
AMOUNTS = [33_000, 72_000, 145_000, 301_000]


@dataclass(frozen=True)
class Programme:
    """What chance decides of the rules."""

    per: int
    rounding: str
    partial_refund: str
    daily: int | None
    double_on_monday: bool
    per_order: int
    minimum: int
    expire_days: int | None
    negative: str

    def document(self) -> dict[str, Any]:
        """As a merchant would write it."""
        rate = {"points": 1, "per": {"VND": str(self.per)}}
        least = {"minimum": {"VND": str(self.minimum)}} if self.minimum else {}
        earn: list[dict[str, Any]] = [rate | least]
        if self.per_order:
            earn.append({"id": "visit", "type": "per_order", "points": self.per_order})
        double = [{"id": "monday", "factor": "2", "weekdays": ["mon"]}]
        told = {
            "rounding": self.rounding,
            "partial_refund": self.partial_refund,
            "most_per_day": self.daily,
            "expire_after_days": self.expire_days,
            "negative": self.negative,
        }
        return {
            "earn": earn,
            "multipliers": double if self.double_on_monday else [],
            "points": {name: value for name, value in told.items() if value is not None},
            "rewards": [{"id": "tea", "name": "Tea", "cost": COST, "perk": "A tea"}],
        }

    def worth(self, sale: Told, left: int) -> int:
        """Points of a sale of which so much is left, before caps, by plain arithmetic."""
        exact = Fraction(left, self.per) if left > 0 and left >= self.minimum else Fraction(0)
        if left > 0:
            exact += self.per_order
        if self.double_on_monday and sale.at.weekday() == 0:
            exact *= 2
        return self.rounded(exact)

    def rounded(self, exact: Fraction) -> int:
        whole = math.floor(exact)
        if self.rounding == "down" or exact == whole:
            return whole
        return whole + 1 if self.rounding == "up" or exact - whole >= Fraction(1, 2) else whole

    def earned(self, sale: Told, most: int) -> int:
        """What the sale earns in its present state, at most what caps leave of the day. A share that is
        kept is one of what was booked (rules.md B5), so the cap comes first."""
        if sale.state is not SaleState.PAID:
            return 0
        if self.partial_refund == "recompute" or not sale.returned:
            return min(most, self.worth(sale, sale.amount - sale.returned))
        booked = min(most, self.worth(sale, sale.amount))
        return self.rounded(Fraction(booked * (sale.amount - sale.returned), sale.amount))


PROGRAMMES = st.builds(
    Programme,
    per=st.sampled_from([7_000, 10_000]),
    rounding=st.sampled_from(["half_up", "down", "up"]),
    partial_refund=st.sampled_from(["recompute", "share"]),
    daily=st.sampled_from([None, 30]),
    double_on_monday=st.booleans(),
    per_order=st.sampled_from([0, 3]),
    minimum=st.sampled_from([0, 50_000]),
    expire_days=st.sampled_from([None, 20, 400]),
    negative=st.sampled_from(["debt", "forgive"]),
)


SALES = st.builds(
    lambda amount, tenths, **more: Told("", amount, returned=amount * tenths // 10, **more),
    amount=st.sampled_from(AMOUNTS),
    tenths=st.sampled_from([0, 0, 0, 4, 10]),
    phone=st.sampled_from(PHONES),
    at=st.sampled_from(MOMENTS),
    shop=st.integers(0, 1),
)
"""Sales that a life begins with."""


@dataclass
class Model:
    """The truth that is simple: sales as they are now, who is one person, what was taken and given."""

    programme: Programme
    sales: dict[str, Told] = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)
    """Phone that was merged away -> phone of who stayed."""
    moved: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Phone of the account -> gifts less what was spent, as it was booked there."""

    def root(self, phone: str) -> str:
        return self.same.get(phone, phone)

    def points(self) -> dict[str, int]:
        """Sale -> points, caps in the order of the sales of one person."""
        found: dict[str, int] = {}
        days: dict[tuple[str, Any], int] = defaultdict(int)
        for sale in sorted(self.sales.values(), key=lambda s: (s.at, s.shop, s.name)):
            day = (self.root(sale.phone), sale.at.date())
            daily = self.programme.daily
            worth = self.programme.earned(sale, 10**9 if daily is None else daily - days[day])
            days[day] += worth
            found[sale.name] = worth
        return found


class Life(RuleBasedStateMachine):
    """One programme's life."""

    runtime: Runtime
    sold = Bundle("sold")

    @initialize(target=sold, programme=PROGRAMMES, opening=st.lists(SALES, min_size=5, max_size=9))
    def begin(self, programme: Programme, opening: list[Told]) -> Any:
        self.market: Market = open_market(self.runtime, programme.document())
        self.model = Model(programme)
        self.now = datetime.fromisoformat("2026-11-23T12:00:00+00:00")
        self.steps = 0
        self.late: set[str] = set()
        # every member exists from the first, so that merges and gifts have somebody
        for number, phone in enumerate(PHONES):
            self._tell(Told(f"0{number}", 72_000, phone, MOMENTS[0]))
        names = []
        for number, sale in enumerate(opening):
            names.append(f"1{number}")
            self._tell(replace(sale, name=names[-1], returned=0))
            if sale.returned:
                self._tell(replace(sale, name=names[-1], version=2))
        return multiple(*names)

    # --- sales ---

    @rule(
        target=sold,
        phone=st.sampled_from(PHONES),
        at=st.sampled_from(MOMENTS),
        amount=st.sampled_from(AMOUNTS),
        shop=st.integers(0, 1),
    )
    def sell(self, phone: str, at: datetime, amount: int, shop: int) -> str:
        self.steps += 1
        name = f"s{self.steps}"
        self._tell(Told(name, amount, phone, at, shop=shop))
        return name

    @rule(name=sold, share=st.sampled_from([3, 10]), again=st.booleans())
    def give_back_a_part(self, name: str, share: int, again: bool) -> None:
        sale = self.model.sales[name]
        if sale.state is SaleState.PAID:
            returned = min(sale.amount, sale.returned + sale.amount * share // 10)
            self._tell(replace(sale, returned=returned, version=sale.version + 1), again=again)

    @rule(name=sold, state=st.sampled_from([SaleState.CANCELLED, SaleState.PAID]))
    def cancel_or_complete(self, name: str, state: SaleState) -> None:
        sale = self.model.sales[name]
        self._tell(replace(sale, state=state, version=sale.version + 1))

    @rule(name=sold)
    def an_old_message_comes_late(self, name: str) -> None:
        sale = self.model.sales[name]
        if sale.version > 1 and name not in self.late:  # it says what was so, and changes nothing
            self.late.add(name)
            self.market.sell(replace(sale, version=0, state=SaleState.CANCELLED))

    def _tell(self, sale: Told, *, again: bool = False) -> None:
        self.model.sales[sale.name] = sale
        self.market.sell(*([sale, sale] if again else [sale]))

    # --- points ---

    @rule(phone=st.sampled_from(PHONES))
    def redeem(self, phone: str) -> None:
        member, available = self._member(phone), self._available(phone)
        self.steps += 1
        try:
            self._deed(lambda desk: redeem(desk, member, "tea", key=f"k{self.steps}"))
        except NotEnoughPoints:
            assert available < COST
            return
        assert available >= COST
        self.model.moved[self.model.root(phone)] -= COST

    @rule(phone=st.sampled_from(PHONES), amount=st.sampled_from([-20, 5, 60]))
    def adjust(self, phone: str, amount: int) -> None:
        member, available = self._member(phone), self._available(phone)
        self.steps += 1
        key = f"a{self.steps}"
        try:
            for _ in range(2):  # the same key does it once
                self._deed(lambda desk: points.adjust(desk, member, amount, reason="r", key=key))
        except NotEnoughPoints:
            assert available < -amount
            return
        self.model.moved[self.model.root(phone)] += amount

    @rule(days=st.sampled_from([1, 8, 30]))
    def time_passes_and_the_sweeper_comes(self, days: int) -> None:
        self.now += timedelta(days=days)
        members = [self._member(phone) for phone in PHONES]
        with self.runtime.sessions.begin() as session:
            commands.settle(
                session,
                self.market.program.id,
                members,
                chain_key=self.runtime.chain_key,
                now=self.now,
            )

    # --- people ---

    @rule(pair=st.permutations(PHONES))
    def merge(self, pair: list[str]) -> None:
        gone, kept = pair[0], pair[1]
        if gone in self.model.same or kept in self.model.same or gone in self.model.same.values():
            return
        one, other = self._member(gone), self._member(kept)
        self._deed(lambda desk: merging.merge(desk, one, other))
        self.model.same[gone] = kept
        self.model.moved[kept] += self.model.moved.pop(gone, 0)

    @precondition(lambda self: self.model.same)
    @rule()
    def take_apart(self) -> None:
        gone, kept = min(self.model.same.items())
        one = int(self.market.rows(_ALIAS, phone=gone)[0].member_id)
        other = self._member(kept)
        with suppress(NotMergeable):
            try:
                self._deed(lambda desk: merging.unmerge(desk, one, other))
            except Shortfall:
                self._deed(lambda desk: merging.unmerge(desk, one, other, accept_shortfall=True))
            del self.model.same[gone]
            self._share_what_was_moved(gone, kept)

    def _share_what_was_moved(self, gone: str, kept: str) -> None:
        """Which gifts and spends went where is the ledger's word (D8): what stayed and what returned must
        add up to what there was, and is taken from the entries from here on."""
        whole = self.model.moved.pop(kept, 0) + self.model.moved.pop(gone, 0)
        parts = {phone: self._moved(phone) for phone in (gone, kept)}
        assert sum(parts.values()) == whole
        self.model.moved |= parts

    @rule()
    def everything_is_replayed(self) -> None:
        before = self.market.entries()
        with self.runtime.sessions.begin() as session:
            session.execute(text(_REPLAY), {"program": self.market.program.id})
        self.market.work()
        assert self.market.entries() == before

    # --- what holds after each step ---

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        if not hasattr(self, "model"):
            return
        self.market.assert_clean()
        expected = self.model.points()
        if self.model.programme.negative == "debt":
            assert self.market.points() == expected
        balances: dict[str, int] = defaultdict(int)
        for sale in self.model.sales.values():
            balances[self.model.root(sale.phone)] += expected[sale.name]
        for phone in PHONES:
            root = self.model.root(phone)
            row = self.market.rows(_BOOK, phone=root)[0]
            assert row.balance == balances[root] + self.model.moved[root] - row.expired + row.forgiven

    # --- ways ---

    def _deed(self, deed: Any) -> Any:
        return carry_out(self.runtime, self.market.program, "test", deed)

    def _member(self, phone: str) -> int:
        return int(self.market.rows(_ROOT, phone=phone)[0].root)

    def _available(self, phone: str) -> int:
        return int(self.market.rows(_AVAILABLE, phone=self.model.root(phone))[0].points)

    def _moved(self, phone: str) -> int:
        """What an account has of gifts and spends by its entries: all but sales, expiry and what was let off."""
        row = self.market.rows(_BOOK, phone=phone)[0]
        return int(row.balance - row.earned + row.expired - row.forgiven)


_MINE = """FROM identities i JOIN members m ON m.id = i.member_id
           JOIN accounts a ON a.member_id = coalesce(m.alias_of, m.id)
           WHERE i.program_id = :program AND i.value = :phone"""
_ALIAS = "SELECT member_id FROM identities WHERE program_id = :program AND value = :phone"
_ROOT = """SELECT coalesce(m.alias_of, m.id) AS root FROM identities i JOIN members m ON m.id = i.member_id
           WHERE i.program_id = :program AND i.value = :phone"""
_AVAILABLE = f"""SELECT coalesce((SELECT sum(l.remaining) FROM lots l WHERE l.account_id = a.id
                    AND (l.expires_at IS NULL OR l.expires_at > greatest(clock_timestamp(), a.last_recorded_at))), 0)
                    AS points {_MINE}"""
# what was let off is asked of the postings: in a merge it moves with its sale, by entries that say `member`
_BOOK = f"""SELECT a.balance,
       coalesce((SELECT sum(posted) FROM postings WHERE account_id = a.id), 0) AS earned,
       coalesce((SELECT -sum(amount) FROM entries WHERE account_id = a.id AND counter = 'expired'), 0) AS expired,
       coalesce((SELECT sum(forgiven) FROM postings WHERE account_id = a.id), 0) AS forgiven
       {_MINE}"""
_REPLAY = """UPDATE deliveries SET state = 'due', due_at = now(), generation = generation + 1
             WHERE program_id = :program AND direction = 'inbound'"""


@pytest.fixture
def runtime(database: str, redis_url: str, tmp_path: Path) -> Any:
    runtime = Runtime.start(
        Settings(data=tmp_path, database_url=database, redis_url=redis_url, connectors=CONNECTORS)
    )
    yield runtime
    runtime.engine.dispose()


@pytest.mark.slow
def test_a_programme_made_by_chance_lives_as_a_simple_model_says(runtime: Runtime) -> None:
    Life.runtime = runtime
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=paced(8, 30),
            stateful_step_count=paced(15, 25),
            deadline=None,
            print_blob=True,
            phases=(Phase.explicit, Phase.reuse, Phase.generate),  # shrinking a life takes hours
            suppress_health_check=list(HealthCheck),
        ),
    )
