"""Codes that orders bring, in the sweeper's rounds: given when an order is there, taken back with it.

Each in a transaction of its own. An order that is refused one (a limit, no stock, another tier) has
brought none; a code that was used stays used, whatever becomes of the order that brought it.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hub.audit import record
from hub.ledger.accounts import RootChanged
from hub.outbox import channels
from hub.program import store
from hub.program.rules import in_force
from hub.redemption import taking_back
from hub.redemption.costs import Costs
from hub.redemption.limits import NotOffered
from hub.redemption.orders import NoSuchReward, Order
from hub.redemption.redeem import redeem
from hub.redemption.taking_back import AlreadyUsed
from hub.runtime import Runtime
from hub.transactions import order_rewards

ACTOR = "hub:orders"
AT_ONCE = 100


def bring_in_line(runtime: Runtime, now: datetime | None = None) -> int:
    """One round; how many orders were looked at. What meets a merge is done in the next round."""
    with runtime.sessions() as session:
        found = order_rewards.due(session, AT_ONCE)
    for row in found:
        with suppress(RootChanged), runtime.sessions.begin() as session:
            _carry_out(runtime, session, row, now or runtime.clock())
    return len(found)


def _carry_out(runtime: Runtime, session: Session, row: Any, now: datetime) -> None:
    if row.wanted and not row.is_out and row.member_id is not None:
        order_rewards.done(session, row, redemption=_give(runtime, session, row, now))
        return
    if not row.wanted and row.is_out:
        _take_back(runtime, session, row, now)
    order_rewards.done(session, row)


def _take_back(runtime: Runtime, session: Session, row: Any, now: datetime) -> None:
    costs = Costs(session, row.program_id, runtime.chain_key, now)
    program = store.by_id(session, row.program_id)
    known, rules = (
        channels.of_program(session, program.id),
        in_force(store.versions(session, program), now),
    )
    with suppress(AlreadyUsed):
        if taking_back.begin(costs, row.redemption, known, ACTOR, rules) is not None:
            detail = {"order": row.public_id}
            record(session, program.id, ACTOR, "redemption.taken_back", row.redemption, detail)


def _give(runtime: Runtime, session: Session, row: Any, now: datetime) -> str | None:
    """The redemption by which the order has brought its reward; None where it brought none."""
    program = store.by_id(session, row.program_id)
    rules = in_force(store.versions(session, program), row.placed_at)
    known = channels.of_program(session, program.id)
    key = f"order:{row.reward}:{row.public_id}:{row.given + 1}"
    order = Order(
        program.id, row.member_id, row.reward, ACTOR, runtime.chain_key, key,
        now=now, brought_at=row.placed_at,
    )  # fmt: skip
    try:
        with session.begin_nested():  # the order is noted as looked at, whatever is refused
            made = redeem(session, order, rules, known)
    except (NotOffered, NoSuchReward):
        return None
    if not made.repeated:
        detail = {"reward": row.reward, "order": row.public_id}
        record(session, program.id, ACTOR, "redemption.made", made.id, detail)
    return made.id
