"""Points that were held and never committed go back in the sweeper's rounds, each hold in its own transaction."""

from __future__ import annotations

from contextlib import suppress

from hub.ledger.accounts import RootChanged
from hub.outbox import channels, deliveries
from hub.redemption import phases
from hub.redemption.orders import Deed
from hub.runtime import Runtime
from hub.sync.process import balance_pushes


def let_go(runtime: Runtime) -> None:
    """One round: every hold whose time is over."""
    now = runtime.clock()
    with runtime.sessions() as session:
        found = phases.lapsed(session, now)
    for program_id, redemption in found:
        # one of two members merged at this moment: the next round finds who it is now
        with suppress(RootChanged), runtime.sessions.begin() as session:
            deed = Deed(program_id, redemption, phases.ACTOR, runtime.chain_key, now)
            members = phases.release_lapsed(session, deed)
            its = channels.of_program(session, program_id)
            deliveries.enqueue(session, balance_pushes(runtime, program_id, its, members))
