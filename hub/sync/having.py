"""Rewards that are had by themselves are bought in the sweeper's rounds, each in a transaction of its own."""

from __future__ import annotations

from contextlib import suppress

from hub.audit import record
from hub.ledger.accounts import RootChanged
from hub.ledger.commands import NotEnoughPoints
from hub.outbox import channels, deliveries
from hub.program import store
from hub.program.rules import Rules, in_force
from hub.program.store import Program
from hub.redemption import automatic
from hub.redemption.automatic import Due
from hub.redemption.limits import NotOffered
from hub.redemption.redeem import NoSuchReward, Order, redeem
from hub.runtime import Runtime
from hub.sync.process import balance_pushes

ACTOR = "hub:automatic"


def buy_what_is_due(runtime: Runtime) -> None:
    """One round: whoever has enough gets one. What is refused (a limit, points that were spent
    meanwhile) is asked again in the next round."""
    now = runtime.clock()
    with runtime.sessions() as session:
        found: list[tuple[Program, Rules, Due]] = []
        for program_id in automatic.programs(session):
            program = store.by_id(session, program_id)
            rules = in_force(store.versions(session, program), now)
            found += [(program, rules, one) for one in automatic.due(session, program_id, rules, now)]
    for program, rules, due in found:
        with suppress(RootChanged, NotEnoughPoints, NotOffered, NoSuchReward):
            _buy(runtime, program, rules, due)


def _buy(runtime: Runtime, program: Program, rules: Rules, due: Due) -> None:
    with runtime.sessions.begin() as session:
        known = channels.of_program(session, program.id)
        order = Order(program.id, due.member_id, due.reward, ACTOR, runtime.chain_key, key=due.key)
        done = redeem(session, order, rules, known)
        if not done.repeated:
            detail = {"reward": due.reward, "points": done.points}
            record(session, program.id, ACTOR, "redemption.made", done.id, detail)
            pushes = balance_pushes(runtime, program.id, known, [due.member_id])
            deliveries.enqueue(session, pushes)
