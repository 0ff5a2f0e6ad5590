"""Giving and taking points by hand, with a reason."""

from __future__ import annotations

from dataclasses import dataclass

from hub.bulk import run
from hub.desk.place import Desk, rehearsal
from hub.ledger import commands
from hub.ledger.commands import Command
from hub.members import view
from hub.program import store
from hub.transactions import standing

MOST = 2**53
"""Points one adjustment may move."""
LONGEST_REASON = 200
LONGEST_PAYER = 60


@dataclass(frozen=True, slots=True)
class Adjusted:
    """Points of a member before and after. `repeated`: it had been carried out before."""

    before: int
    balance: int
    available: int
    repeated: bool


def is_payer(name: str) -> bool:
    """Whether a partner may be called so."""
    return 1 <= len(name.strip()) <= LONGEST_PAYER and ":" not in name


def adjust(
    desk: Desk, member_id: int, points: int, *, reason: str, key: str, payer: str | None = None
) -> Adjusted:
    """Give (points > 0) or take (points < 0). The same key does it once. `payer`: the partner who pays
    for them, and takes back no others. Raises `NotEnoughPoints` (more is taken than is available) and
    `ReferenceConflict` (the key was for something else)."""
    member = view.by_id(desk.session, member_id)
    before = view.balance(desk.session, member.id, desk.runtime.clock())["balance"]
    order = Command(
        desk.program.id,
        member.id,
        f"adjust:{key}",
        desk.actor,
        desk.runtime.chain_key,
        explanation=({"code": "adjusted", "points": str(points), "reason": reason[:LONGEST_REASON]},),
    )
    done = commands.adjust(desk.session, order, points, payer=payer)
    if not done.repeated:
        versions = store.versions(desk.session, desk.program)
        standing.refresh(desk.session, desk.program.id, versions, [member.id], desk.runtime.clock())
        desk.note("member.adjusted", member.public_id, points=points)
        desk.tell_balances([member.id])
    return Adjusted(before, done.balance, done.available, done.repeated)


def bring_to(desk: Desk, member_id: int, balance: int, *, reason: str, key: str) -> Adjusted:
    """Give or take what is missing to a balance that somebody has counted, asked under the account's lock:
    twice the same comes to the same. Raises what `adjust` raises."""
    member = view.by_id(desk.session, member_id)
    run(
        desk.session, "SELECT 1 FROM accounts WHERE member_id = :id FOR NO KEY UPDATE", {"id": member.id}
    )
    now = view.balance(desk.session, member.id, desk.runtime.clock())
    if balance == now["balance"]:
        return Adjusted(balance, balance, now["available"], repeated=True)
    return adjust(desk, member.id, balance - now["balance"], reason=reason, key=key)


def preview(desk: Desk, member_id: int, points: int) -> Adjusted:
    """What `adjust` would come to; raises what it would raise."""
    with rehearsal(desk.session):
        return adjust(desk, member_id, points, reason="", key="preview")
