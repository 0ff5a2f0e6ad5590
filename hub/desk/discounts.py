"""What a cart gets off without points, for the till that asks before the bill is made out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from hub.desk.place import Desk
from hub.desk.simulate import Cart, sale_of
from hub.members import view
from hub.outbox import channels
from hub.program import store
from hub.program.discounts import Off, asks_who, taken_off
from hub.program.rules import NOBODY, Buyer, Rules, in_force
from hub.transactions import standing
from hub.transactions.judge import Situation, basket


@dataclass(frozen=True, slots=True)
class Quoted:
    """What a cart gets off, minor units without tax."""

    off: int
    left: int
    """What remains of its lines and its shipping."""
    lines: Sequence[Off]


def quoted(desk: Desk, cart: Cart) -> Quoted:
    """What is taken off which line by the rules in force when the cart would be paid. Changes nothing.
    Raises `LookupError` naming a channel or a member that does not exist."""
    versions = store.versions(desk.session, desk.program)
    known = {c.public_id: c for c in channels.of_program(desk.session, desk.program.id)}
    if cart.channel.startswith("chn_") and cart.channel not in known:
        raise LookupError(cart.channel)
    kind = known[cart.channel].kind if cart.channel in known else cart.channel
    situation = Situation(versions, desk.program.starts_at, (), kind, cart.channel)
    whole = basket(sale_of(cart, None), "paid", {}, situation, cart.placed_at)
    rules = in_force(versions, cart.placed_at)
    asked = cart.member if asks_who(rules) else None
    buyer = NOBODY if asked is None else _buyer(desk, asked, versions, cart.placed_at)
    lines = taken_off(rules, whole, buyer)
    off = sum(one.amount for one in lines)
    left = sum(line.left for line in whole.lines) + whole.shipping_left - off
    return Quoted(off, left, lines)


def _buyer(desk: Desk, member: str, versions: Sequence[Rules], at: datetime) -> Buyer:
    found = view.find(desk.session, desk.program.id, member)
    if found is None:
        raise LookupError(member)
    return standing.buyer_of(desk.session, desk.program.id, versions, found.id, at)
