"""Codes that somebody does without: revoked everywhere first, and only then their points return."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.outbox import deliveries
from hub.outbox.channels import Channel
from hub.program.rules import Rules
from hub.redemption import leaving, states
from hub.redemption import voucher as voucher_rows
from hub.redemption.costs import Costs
from hub.redemption.states import TABLE
from hub.redemption.telling import code_pushes


class AlreadyUsed(Exception):
    """An order carries the code: refunding or cancelling that order is what gives points back."""


def begin(
    costs: Costs, redemption_id: str, channels: Iterable[Channel], actor: str, rules: Rules
) -> set[int] | None:
    """Take an unused code back, by hand: none of the channels may have it any more before its points
    return. Returns the members whose points changed; None when it was gone, or going, before. Raises
    `LookupError` and `AlreadyUsed`."""
    found = voucher_rows.lock(costs.session, costs.program_id, "r.public_id = :id", id=redemption_id)
    if not found:
        raise LookupError(redemption_id)
    voucher = found[0]
    if TABLE[voucher.state]["taken_back"] is states.REFUSED:
        raise AlreadyUsed(voucher.public_id)
    after = states.move(costs.session, voucher.id, "taken_back", actor, "taken_back")
    if after is None:
        return None
    voucher.state, voucher.leaving = after, "taken_back"
    deliveries.enqueue(
        costs.session, code_pushes(costs.program_id, voucher.public_id, "revoke_code", channels)
    )
    return leaving.finish(costs, voucher, rules)


def state_of(session: Session, program_id: int, redemption_id: str) -> str:
    """The state of a redemption's code."""
    sql = """SELECT v.state FROM vouchers v JOIN redemptions r ON r.id = v.redemption_id
             WHERE v.program_id = :program AND r.public_id = :id"""
    return str(run(session, sql, {"program": program_id, "id": redemption_id})[0].state)
