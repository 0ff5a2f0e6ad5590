"""What a code's uses cost in points, as targets: less what came back, more for uses beyond the first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import json_text, run
from hub.ledger import commands
from hub.ledger.commands import Command
from hub.program.returning import Bill, kept
from hub.program.rules import Rules
from hub.redemption.voucher import Spent, Voucher

ACTOR = "hub:vouchers"


def policy_of(voucher: Voucher, rules: Rules) -> str:
    """What becomes of uses beyond the first: `take_again`, `absorb`, or `flag`: a person decides."""
    return voucher.decided or rules.double_use


@dataclass(frozen=True, slots=True)
class Costs:
    """Brings the points behind vouchers to what their uses say (rules.md E2, B5)."""

    session: Session
    program_id: int
    chain_key: bytes
    now: datetime | None = None

    def settle(self, voucher: Voucher, uses: Sequence[Bill], rules: Rules) -> set[int]:
        """`uses`: the present ones, the winner first. Returns the members whose points changed."""
        prices = [kept(rules, voucher.points, bill) for bill in uses]
        spent = voucher.redemption_state == "committed"
        standing = voucher.points if spent else 0
        wanted = prices[0] if prices and spent else standing
        takes = spent and policy_of(voucher, rules) == "take_again"
        further = sum(prices[1:]) if takes else 0
        step = {"code": "code_used_again", "points": "0", "uses": len(uses)}
        members = set(self._bring(voucher, voucher.again, voucher.again_subject, further, step))
        absorbs = policy_of(voucher, rules) == "absorb"
        self._absorb(voucher, (sum(prices[1:]) if spent else sum(prices)) if absorbs else 0)
        grace = timedelta(days=rules.grace_days) if rules.grace_days else None
        return members | self.price(voucher, wanted, refunded=bool(uses), grace=grace)

    def _absorb(self, voucher: Voucher, wanted: int) -> None:
        """What the shop bears, as a target: further uses, or all of a code that was used after its points
        had come back (E2). No member's points move; the difference is a line of the redemption's
        history, and the lines' sum is what the shop bears."""
        if wanted == voucher.absorbed:
            return
        run(
            self.session,
            """INSERT INTO redemption_events (program_id, redemption_id, event, actor, detail)
               VALUES (:program, :redemption, 'absorbed', :actor, CAST(:detail AS jsonb))""",
            {
                "program": self.program_id,
                "redemption": voucher.redemption_id,
                "actor": ACTOR,
                "detail": json_text({"points": wanted - voucher.absorbed}),
            },
        )
        voucher.absorbed = wanted

    def price(
        self, voucher: Voucher, wanted: int, *, refunded: bool, grace: timedelta | None
    ) -> set[int]:
        """Bring the redemption's own points to `wanted`. `refunded`: it is an order's refund that says
        so, or its end; else the code was taken back."""
        step = {"code": "points_taken_again", "points": "0"}
        if wanted < voucher.price.points:
            taken = {"code": "points_back_taken", "points": "0"}
            step = {"code": "points_back_refunded", "points": "0"} if refunded else taken
        subject = voucher.price_subject
        return set(self._bring(voucher, voucher.price, subject, wanted, step, grace))

    def _bring(
        self, voucher: Voucher, spent: Spent, subject: str, wanted: int, step: dict[str, Any],
        grace: timedelta | None = None,
    ) -> Iterator[int]:  # fmt: skip
        """Take or give back the difference. It goes back to whoever paid: of members merged and taken
        apart again, spends stay with the survivor (D8)."""
        delta = wanted - spent.points
        if delta > 0:
            order = self._command(voucher, voucher.member_id, subject, spent, -delta, step)
            commands.take_again(self.session, order, delta, subject)
            yield voucher.member_id
        for member_id, paid in spent.by:
            back = min(-delta, paid)
            if back <= 0:
                continue
            order = self._command(voucher, member_id, subject, spent, back, step)
            until = (self.now or commands.moment(self.session)) + grace if grace else None
            commands.give_back(self.session, order, back, subject, counter="redeemed", grace_until=until)
            delta += back
            yield member_id

    def _command(
        self, voucher: Voucher, member_id: int, subject: str, spent: Spent, points: int,
        step: dict[str, Any],
    ) -> Command:  # fmt: skip
        spent.entries += 1
        return Command(
            self.program_id,
            member_id,
            reference=f"{subject}:{spent.entries}",
            actor=ACTOR,
            chain_key=self.chain_key,
            now=self.now,
            explanation=({**step, "points": str(points)},),
            currency=voucher.currency,
        )
