"""Holds and codes that end by themselves, in the sweeper's rounds, each in a transaction of its own."""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy.orm import Session

from hub.ledger.accounts import RootChanged
from hub.outbox import channels, deliveries
from hub.program import store
from hub.program.rules import in_force
from hub.redemption import leaving, phases
from hub.redemption.costs import Costs
from hub.redemption.orders import Deed
from hub.runtime import Runtime
from hub.sync.process import balance_pushes


def let_go(runtime: Runtime) -> None:
    """Points that were held, and never committed, go back."""
    now = runtime.clock()
    with runtime.sessions() as session:
        found = phases.lapsed(session, now)
    for program_id, redemption in found:
        # a member merged at this moment: the next round finds who it is now
        with suppress(RootChanged), runtime.sessions.begin() as session:
            deed = Deed(program_id, redemption, phases.ACTOR, runtime.chain_key, now)
            _tell(runtime, session, program_id, phases.release_lapsed(session, deed))


def expire(runtime: Runtime) -> None:
    """Codes whose day has passed are taken from every channel (rules.md E4)."""
    with runtime.sessions() as session:
        found = leaving.ended(session, runtime.clock())
    for program_id, voucher in found:
        with runtime.sessions.begin() as session:
            its = channels.of_program(session, program_id)
            leaving.expire(session, program_id, voucher, its)


def finish(runtime: Runtime) -> None:
    """Codes that every channel has confirmed to be gone: their points come back, or are lost."""
    now = runtime.clock()
    with runtime.sessions() as session:
        found = leaving.gone(session, now)
    for program_id, voucher in found:
        with suppress(RootChanged), runtime.sessions.begin() as session:
            rules = in_force(store.versions(session, store.by_id(session, program_id)), now)
            costs = Costs(session, program_id, runtime.chain_key, now)
            _tell(runtime, session, program_id, leaving.finish_gone(costs, voucher, rules))


def _tell(runtime: Runtime, session: Session, program_id: int, members: set[int]) -> None:
    its = channels.of_program(session, program_id)
    deliveries.enqueue(session, balance_pushes(runtime, program_id, its, members))
