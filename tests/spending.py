"""People with points in a programme of two shops, and everything they may do with a reward."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import text

from hub.desk import rewards
from hub.desk.place import Desk, carry_out
from hub.ledger import commands
from hub.ledger.commands import Command
from hub.program.store import Program
from hub.redemption.redeem import Redeemed
from hub.runtime import Runtime
from hub.sync import push
from hub.sync.sweep import Sweeper
from tests.market import ANN, Market, Told, market

Result = TypeVar("Result")
DOCUMENT: Mapping[str, Any] = {
    "earn": {"per": {"VND": "10000"}},
    "rewards": [{"id": "r", "name": "R", "cost": 20, "amount": {"VND": "50000"}}],
}


class NoBell:
    """Nobody hears it: the test works by itself."""

    def ring(self, _queue: str) -> bool:
        return True


@dataclass
class Spending:
    """One programme; `gift` points, then spend them."""

    market: Market
    gifts: int = 0
    told: dict[str, int] = field(default_factory=dict)

    @property
    def runtime(self) -> Runtime:
        return self.market.runtime

    @property
    def program(self) -> Program:
        return self.market.program

    def meet(self, phone: str = ANN) -> int:
        """A member whom both shops know, by an order of nothing in each."""
        for shop in (0, 1):
            self.market.sell(Told(f"hello-{phone}-{shop}", 0, phone, shop=shop))
        return self.market.member(phone)

    def gift(self, points: int, phone: str = ANN, *, lives: timedelta | None = None) -> None:
        """A lot of its own."""
        self.gifts += 1
        runtime, member = self.runtime, self.market.member(phone)
        with runtime.sessions.begin() as session:
            ends = commands.moment(session) + lives if lives else None
            gift = Command(self.program.id, member, f"given:{self.gifts}", "test", runtime.chain_key)
            commands.adjust(session, gift, points, expires_at=ends)

    def do(self, deed: Callable[[Desk], Result]) -> Result:
        """One deed at the desk, in a transaction of its own."""
        return carry_out(self.runtime, self.program, "test", deed)

    def redeem(self, phone: str = ANN, *, key: str | None = None) -> Redeemed:
        member = self.market.member(phone)
        return self.do(lambda desk: rewards.redeem(desk, member, "r", key=key))

    def hold(self, phone: str = ANN, *, key: str | None = None) -> Redeemed:
        member = self.market.member(phone)
        return self.do(lambda desk: rewards.hold(desk, member, "r", key=key))

    def commit(self, redemption: str) -> Redeemed:
        return self.do(lambda desk: rewards.commit(desk, redemption))

    def release(self, redemption: str) -> Redeemed:
        return self.do(lambda desk: rewards.release(desk, redemption))

    def take_back(self, redemption: str) -> str:
        return self.do(lambda desk: rewards.take_back(desk, redemption))

    def tell(self, name: str, *codes: str, **more: Any) -> None:
        """A shop tells of an order once more; worked at once."""
        self.told[name] = self.told.get(name, 0) + 1
        values = {"amount": 10_000, "version": self.told[name], **more}
        self.market.sell(Told(name, codes=codes, **values))

    def push(self) -> None:
        """All that is to be told is told now."""
        with self.runtime.sessions.begin() as session:
            session.execute(
                text("UPDATE deliveries SET due_at = now() WHERE state = 'due' AND code IS NULL")
            )
        push.drain(self.runtime)

    def sweep(self, at: datetime | None = None) -> None:
        """One round of the sweeper, at that moment."""
        clock = self.runtime.clock
        if at is not None:
            self.runtime.clock = lambda: at
        try:
            Sweeper(self.runtime, NoBell()).once()  # type: ignore[arg-type]
        finally:
            self.runtime.clock = clock
            with self.runtime.sessions.begin() as session:
                session.execute(text("DELETE FROM leases"))

    def lots(self, phone: str = ANN) -> list[tuple[int, datetime | None]]:
        """(remaining, expires_at) of what is left, soonest expiry first."""
        rows = self.market.rows(
            """SELECT remaining, expires_at FROM lots l JOIN accounts a ON a.id = l.account_id
               WHERE a.member_id = :member AND remaining > 0 ORDER BY expires_at, l.key""",
            member=self.market.member(phone),
        )
        return [(row.remaining, row.expires_at) for row in rows]

    def balance(self, phone: str = ANN) -> int:
        return self.market.balance(phone)

    def events(self, redemption: str) -> list[str]:
        """Its history."""
        sql = """SELECT e.event FROM redemption_events e JOIN redemptions r ON r.id = e.redemption_id
                 WHERE r.public_id = :id ORDER BY e.id"""
        return [row.event for row in self.market.rows(sql, id=redemption)]

    def audit(self, redemption: str) -> list[str]:
        """What the audit says of it."""
        sql = "SELECT action FROM audit WHERE subject = :id ORDER BY id"
        return [row.action for row in self.market.rows(sql, id=redemption)]

    def check(self) -> None:
        self.market.assert_clean()
        assert self.market.rows("SELECT id FROM deliveries WHERE state IN ('failed', 'parked')") == []


@contextmanager
def spending(
    database: str, redis_url: str, data: Path, document: Mapping[str, Any] = DOCUMENT
) -> Iterator[Spending]:
    """Ann is there, known in both shops, without a point."""
    with market(database, redis_url, data, document) as place:
        rig = Spending(place)
        rig.meet()
        yield rig
        rig.check()
