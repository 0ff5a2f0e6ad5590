"""Birthdays and arrivals that earn points: recorded by the sweeper, each once."""

from __future__ import annotations

import structlog
from sqlalchemy.orm import Session

from hub.actions.occasions import Occasion, due
from hub.actions.record import Deed, record_action
from hub.db import AWAY
from hub.ledger.accounts import RootChanged
from hub.ledger.write import LedgerBroken
from hub.outbox import channels, deliveries
from hub.program import store
from hub.program.rules import Rules, in_force
from hub.program.store import Program
from hub.runtime import Runtime
from hub.sync.process import balance_pushes
from hub.transactions import standing

log = structlog.get_logger()

ACTOR = "hub:occasions"


def record_due(runtime: Runtime) -> int:
    """Record what is due in every program whose rules ask for it; returns how many."""
    with runtime.sessions() as session:
        asked = [
            (program, versions)
            for program in store.all_programs(session)
            if _asks(versions := store.versions(session, program))
        ]
    return sum(_record_program(runtime, program, versions) for program, versions in asked)


def _asks(versions: list[Rules]) -> bool:
    return any(action.by != "event" for rules in versions for action in rules.actions.values())


def _record_program(runtime: Runtime, program: Program, versions: list[Rules]) -> int:
    with runtime.sessions() as session:
        found = due(session, program.id, versions, runtime.clock())
    return sum(_record(runtime, program, versions, occasion) for occasion in found)


def _record(runtime: Runtime, program: Program, versions: list[Rules], occasion: Occasion) -> bool:
    """Each in a transaction of its own: one that cannot be recorded now holds up nobody else."""
    try:
        with runtime.sessions.begin() as session:
            return _record_one(session, runtime, program, versions, occasion)
    except (*AWAY, RootChanged):
        return False  # the next look finds it again
    except LedgerBroken as error:
        log.error("ledger broken; run hub ledger verify", member=occasion.member_id, error=str(error))
        return False


def _record_one(
    session: Session, runtime: Runtime, program: Program, versions: list[Rules], occasion: Occasion
) -> bool:
    deed = Deed(
        program.id, occasion.member_id, occasion.action, occasion.key, occasion.at, ACTOR,
        runtime.chain_key,
    )  # fmt: skip
    rules = in_force(versions, occasion.at)
    done = record_action(session, deed, rules)
    if done.points and not done.repeated:
        standing.look_again(session, rules, [occasion.member_id])
        its = channels.of_program(session, program.id)
        deliveries.enqueue(session, balance_pushes(runtime, program.id, its, [occasion.member_id]))
    return not done.repeated
