"""What a cart gets off without points, for the till that asks before the bill is made out."""

from __future__ import annotations

from collections.abc import Sequence

from hub.desk.place import Desk
from hub.desk.simulate import Cart, sale_of
from hub.outbox import channels
from hub.program import store
from hub.program.discounts import Off, taken_off
from hub.program.rules import in_force
from hub.transactions.judge import Situation, basket


def total(off: Sequence[Off]) -> int:
    """Minor units in all."""
    return sum(one.amount for one in off)


def quoted(desk: Desk, cart: Cart) -> Sequence[Off]:
    """What is taken off which line by the rules in force when the cart would be paid. Changes nothing.
    Raises `LookupError` naming a channel that does not exist."""
    versions = store.versions(desk.session, desk.program)
    known = {c.public_id: c for c in channels.of_program(desk.session, desk.program.id)}
    if cart.channel.startswith("chn_") and cart.channel not in known:
        raise LookupError(cart.channel)
    kind = known[cart.channel].kind if cart.channel in known else cart.channel
    situation = Situation(versions, desk.program.starts_at, (), kind, cart.channel)
    whole = basket(sale_of(cart, None), "paid", {}, situation, cart.placed_at)
    return taken_off(in_force(versions, cart.placed_at), whole)
