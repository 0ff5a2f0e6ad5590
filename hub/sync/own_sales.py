"""Sales that cashiers rang up for themselves: told, or judged anew where the programme refuses them.

Posting refuses those it knows of. What was learnt afterwards (who a cashier is, that two members are one
person) is found here, in the sweeper's rounds, in both directions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress

from hub import alerts
from hub.db import AWAY
from hub.ledger.accounts import RootChanged
from hub.members import staff
from hub.members.resolve import Collision
from hub.members.staff import OwnSale
from hub.outbox import channels, deliveries
from hub.program import store
from hub.program.rules import in_force
from hub.registry import UnknownConnector
from hub.runtime import Runtime
from hub.sync.anew import post_anew
from hub.sync.process import balance_pushes

ACTOR = "hub:staff"


def look(runtime: Runtime) -> None:
    """One round."""
    with runtime.sessions() as session:
        given = staff.own_sales(session)
        refused = staff.refused_sales(session)
    wrong = [one for one in refused if one.ref is None]
    for program_id, its in _by_program([*given, *wrong]).items():
        with suppress(
            Collision, RootChanged, UnknownConnector, *AWAY
        ):  # the next round finds them again
            _set_right(runtime, program_id, its)
    with runtime.sessions.begin() as session:
        for one in refused:
            if one.ref is not None:
                detail, now = {"cashier": one.ref}, runtime.clock()
                alerts.tell(session, one.program_id, "own_sale_refused", one.transaction, detail, now)


def _by_program(found: Sequence[OwnSale]) -> dict[int, list[OwnSale]]:
    by_program: dict[int, list[OwnSale]] = defaultdict(list)
    for one in found:
        by_program[one.program_id].append(one)
    return by_program


def _set_right(runtime: Runtime, program_id: int, its: Sequence[OwnSale]) -> None:
    """Tell of those that gave points; those of a time when they are refused are judged anew first, and told
    where they give points nevertheless: another message names another cashier."""
    with runtime.sessions.begin() as session:
        program = store.by_id(session, program_id)
        versions = store.versions(session, program)
        anew = {
            (one.channel_id, one.external_id): one
            for one in its
            if one.ref is None or in_force(versions, one.placed_at).till.own_sales == "refuse"
        }
        moved = post_anew(runtime, session, program, anew, ACTOR)
        if moved:
            known = channels.of_program(session, program_id)
            deliveries.enqueue(session, balance_pushes(runtime, program_id, known, moved))
        still = {one.transaction for one in staff.own_sales(session)} if anew else set()
        for one in its:
            judged = (one.channel_id, one.external_id) in anew
            if one.ref is None or (judged and one.transaction not in still):
                continue
            detail, now = {"cashier": one.ref, "points": one.points}, runtime.clock()
            alerts.tell(session, program_id, "own_sale", one.transaction, detail, now)
