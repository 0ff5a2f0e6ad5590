"""Giving and taking store credit by hand, with a reason."""

from __future__ import annotations

from dataclasses import dataclass

from hub.desk.place import Desk
from hub.desk.points import LONGEST_REASON
from hub.ledger import commands
from hub.ledger.commands import Command
from hub.members import view


@dataclass(frozen=True, slots=True)
class Adjusted:
    """Store credit after it, in minor units. `repeated`: it had been carried out before."""

    currency: str
    balance: int
    available: int
    repeated: bool


def adjust(desk: Desk, member_id: int, amount: int, currency: str, *, reason: str, key: str) -> Adjusted:
    """Give (amount > 0, minor units) or take (amount < 0). The same key does it once. Raises
    `NotEnoughPoints` (more is taken than is there) and `ReferenceConflict`."""
    member = view.by_id(desk.session, member_id)
    order = Command(
        desk.program.id,
        member.id,
        f"credit:{key}",
        desk.actor,
        desk.runtime.chain_key,
        explanation=({"code": "adjusted", "points": str(amount), "reason": reason[:LONGEST_REASON]},),
        currency=currency,
    )
    done = commands.adjust(desk.session, order, amount)
    if not done.repeated:
        desk.note("member.credit_adjusted", member.public_id, amount=amount, currency=currency)
        desk.tell_balances([member.id])
    return Adjusted(currency, done.balance, done.available, done.repeated)
