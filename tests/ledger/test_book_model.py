"""Random commands against one book: after every step all that is stored follows from the entries."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from hub.ledger import commands
from hub.ledger.book import Target, post_targets
from hub.ledger.commands import Command, NotEnoughPoints
from hub.ledger.verify import verify
from tests.pace import paced
from tests.people import KEY, Ground, new_channel, new_member, new_program, new_sale

BEGIN = datetime(2027, 1, 1, tzinfo=UTC)
STEPS = 18
_numbers = itertools.count(1)


@dataclass
class Story:
    """One program, two members, three sales, and what has been done so far.

    The oracle is plain arithmetic: what sales are worth now, adjustments, spends less returns;
    what expired is taken from the entries, and `verify` proves that it had to."""

    session: Session
    ground: Ground
    bob: int
    chance: Random
    expiring: bool
    now: datetime = BEGIN
    sales: list[int] = field(default_factory=list)
    worth: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Sale -> (member, points)."""
    placed: dict[int, datetime] = field(default_factory=dict)
    other: dict[int, int] = field(default_factory=dict)
    """Member -> adjustments less spends plus returns."""
    spends: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Subject -> (member, points not yet returned)."""
    number: int = 0

    def step(self) -> None:
        """One random command, some time later."""
        self.number += 1
        self.now += timedelta(hours=self.chance.choice([0, 1, 20, 60]))
        often = [self.sell, self.sell, self.spend]
        act = self.chance.choice(
            [*often, *often, self.give_back, self.adjust, self.settle, self.learn_it_was_earlier]
        )
        note(f"{self.number}. {self.now:%d %H:%M} {act.__name__}")
        act()
        self.session.commit()
        self.check()

    def sell(self) -> None:
        """A sale is placed, changed, taken back, or turns out to be somebody else's."""
        sale = self.chance.choice(self.sales)
        self.placed.setdefault(sale, self.now - timedelta(hours=self.chance.choice([0, 3, 50])))
        member = self.chance.choice([self.ground.ann, self.ground.ann, self.bob])
        self.post(sale, member, self.chance.choice([0, 10, 25, 40, 100]))

    def learn_it_was_earlier(self) -> None:
        if self.worth:
            sale = self.chance.choice(sorted(self.worth))
            self.placed[sale] -= timedelta(hours=self.chance.choice([1, 30]))
            self.post(sale, *self.worth[sale])

    def post(self, sale: int, member: int, points: int) -> None:
        placed = self.placed[sale]
        target = Target(
            sale,
            member,
            points,
            placed_at=placed,
            available_at=placed + timedelta(hours=24 * (sale % 2)),
            expires_at=placed + timedelta(days=3) if self.expiring and sale % 3 else None,
            context="v1",
            winners=(str(self.number),),
        )
        note(f"   sale {sale} of {member}: {points}, placed {placed:%d %H:%M}")
        post_targets(
            self.session, self.ground.program, [target], chain_key=KEY, actor="test", now=self.now
        )
        self.worth[sale] = (member, points)

    def spend(self) -> None:
        member, points = self.member(), self.chance.choice([5, 20, 60])
        subject = f"red:{self.number}"
        try:
            commands.hold(self.session, self.command(member), points, subject)
        except NotEnoughPoints:
            self.session.rollback()
            return
        self.spends[subject] = (member, points)
        self.other[member] = self.other.get(member, 0) - points

    def give_back(self) -> None:
        if not self.spends:
            return
        subject = self.chance.choice(sorted(self.spends))
        member, left = self.spends.pop(subject)
        back = self.chance.randint(1, left)
        grace = self.now + timedelta(days=1) if self.chance.random() < 0.5 else None
        note(f"   {back} of {subject}, grace {grace}")
        commands.give_back(
            self.session, self.command(member), back, subject, counter="held", grace_until=grace
        )
        self.other[member] += back
        if left > back:
            self.spends[subject] = (member, left - back)

    def adjust(self) -> None:
        member, points = self.member(), self.chance.choice([-30, -5, 5, 50])
        commands.adjust(self.session, self.command(member), points, may_owe=True)
        self.other[member] = self.other.get(member, 0) + points

    def settle(self) -> None:
        commands.settle(
            self.session, self.ground.program, [self.ground.ann, self.bob], chain_key=KEY, now=self.now
        )

    def check(self) -> None:
        report = verify(self.session, KEY, self.ground.program)
        assert report.clean, report.findings
        for row in self.session.execute(text(_SUMS), {"program": self.ground.program}):
            earned = sum(points for member, points in self.worth.values() if member == row.member_id)
            assert row.balance == earned + self.other.get(row.member_id, 0) - row.expired
            assert row.debt == 0 or row.remaining == 0, "a debt stands beside an open lot"
        self.session.commit()

    def member(self) -> int:
        return self.chance.choice([self.ground.ann, self.bob])

    def command(self, member: int) -> Command:
        return Command(self.ground.program, member, f"c:{self.number}", "test", KEY, self.now)


_SUMS = """
SELECT a.member_id, a.balance, a.debt,
       coalesce((SELECT sum(remaining) FROM lots WHERE account_id = a.id), 0) AS remaining,
       coalesce((SELECT -sum(amount) FROM entries WHERE account_id = a.id AND counter = 'expired'), 0)
           AS expired
FROM accounts a JOIN members m ON m.id = a.member_id
WHERE m.program_id = :program
"""


@pytest.mark.parametrize("expiring", [False, True], ids=["for ever", "expiring"])
@settings(
    max_examples=paced(12, 150), deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
@given(seed=st.integers(0, 2**32))
def test_after_every_step_lots_debts_and_balances_follow_from_the_entries(
    session: Session, expiring: bool, seed: int
) -> None:
    session.rollback()
    story = Story(session, *_people(session), Random(seed), expiring)
    story.sales = [new_sale(session, story.ground, str(n)) for n in range(3)]
    session.commit()
    for _ in range(STEPS):
        story.step()


def _people(session: Session) -> tuple[Ground, int]:
    program = new_program(session, f"story-{next(_numbers)}")
    ann, bob = (new_member(session, program, name) for name in ("Ann", "Bob"))
    ground = Ground(program, new_channel(session, program), ann)
    session.commit()
    return ground, bob
