"""Codes on their way back: revoked everywhere first, and only then their points return (rules.md E3)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.outbox import deliveries
from hub.outbox.channels import Channel
from hub.outbox.deliveries import Push
from hub.redemption import voucher as voucher_rows
from hub.redemption.costs import Costs
from hub.redemption.voucher import Voucher

_UNCONFIRMED = """EXISTS (SELECT 1 FROM voucher_channels vc JOIN channels c ON c.id = vc.channel_id
                  WHERE vc.voucher_id = v.id AND vc.state <> 'revoked' AND c.status <> 'disconnected')"""
AT_ONCE = 100


class AlreadyUsed(Exception):
    """An order carries the code: refunding or cancelling that order is what gives points back."""


def begin(costs: Costs, redemption_id: str, channels: Iterable[Channel], actor: str) -> set[int] | None:
    """Take an unused code back, by hand: none of the channels may have it any more before its points
    return. Returns the members whose points changed; None when it was taken back before. Raises
    `LookupError` and `AlreadyUsed`."""
    found = voucher_rows.lock(costs.session, costs.program_id, "r.public_id = :id", id=redemption_id)
    if not found:
        raise LookupError(redemption_id)
    voucher = found[0]
    if voucher.state == "used":
        raise AlreadyUsed(voucher.public_id)
    if voucher.state in {"revoking", "revoked"}:
        return None
    _set_state(costs.session, voucher, "revoking")
    note(costs.session, costs.program_id, voucher, "taken_back", actor)
    deliveries.enqueue(
        costs.session, code_pushes(costs.program_id, voucher.public_id, "revoke_code", channels)
    )
    return finish(costs, voucher, None)


def finish(costs: Costs, voucher: Voucher, grace: timedelta | None) -> set[int]:
    """Give the points back once every channel that may have had the code has confirmed that it is gone.
    Returns the members whose points changed."""
    if not close(costs.session, costs.program_id, voucher):
        return set()
    return costs.price(voucher, 0, refunded=False, grace=grace)


def close(session: Session, program_id: int, voucher: Voucher) -> bool:
    """Release the redemption of a code that no channel has any more; False while one may have it."""
    if run(session, f"SELECT 1 FROM vouchers v WHERE v.id = :id AND {_UNCONFIRMED}", {"id": voucher.id}):
        return False
    _set_state(session, voucher, "revoked")
    voucher.redemption_state = "released"
    run(
        session,
        "UPDATE redemptions SET state = 'released' WHERE id = :id",
        {"id": voucher.redemption_id},
    )
    note(session, program_id, voucher, "released", "hub:vouchers")
    return True


def confirmed(session: Session) -> list[tuple[int, str]]:
    """(program id, redemption) of codes that every channel has confirmed to be gone."""
    rows = run(
        session,
        f"""SELECT v.program_id, r.public_id FROM vouchers v JOIN redemptions r ON r.id = v.redemption_id
            WHERE v.state = 'revoking' AND NOT {_UNCONFIRMED} ORDER BY v.id LIMIT :most""",
        {"most": AT_ONCE},
    )
    return [(row.program_id, row.public_id) for row in rows]


def finish_confirmed(costs: Costs, redemption_id: str, grace: timedelta) -> set[int]:
    """What `confirmed` has found, under its lock: a use that came meanwhile keeps the points spent."""
    where = "r.public_id = :id AND v.state = 'revoking'"
    for voucher in voucher_rows.lock(costs.session, costs.program_id, where, id=redemption_id):
        return finish(costs, voucher, grace if _had_order(costs.session, voucher) else None)
    return set()


def state_of(session: Session, program_id: int, redemption_id: str) -> str:
    """The state of a redemption's code."""
    sql = """SELECT v.state FROM vouchers v JOIN redemptions r ON r.id = v.redemption_id
             WHERE v.program_id = :program AND r.public_id = :id"""
    return str(run(session, sql, {"program": program_id, "id": redemption_id})[0].state)


def take_up_again(session: Session, program_id: int, voucher: Voucher) -> None:
    """A use of a code whose points had come back: it counts, and costs them again."""
    run(
        session,
        "UPDATE redemptions SET state = 'committed' WHERE id = :id",
        {"id": voucher.redemption_id},
    )
    voucher.redemption_state = "committed"
    note(session, program_id, voucher, "used_late", "hub:vouchers")


def note(session: Session, program_id: int, voucher: Voucher, event: str, actor: str) -> None:
    """Into the redemption's history."""
    run(
        session,
        """INSERT INTO redemption_events (program_id, redemption_id, event, actor)
           VALUES (:program, :id, :event, :actor)""",
        {"program": program_id, "id": voucher.redemption_id, "event": event, "actor": actor},
    )


def code_pushes(program_id: int, voucher: str, topic: str, channels: Iterable[Channel]) -> list[Push]:
    """One row a voucher and channel: what is pushed follows from the voucher's state by then."""
    return [
        Push(
            program_id,
            channel.id,
            topic=topic,
            key=f"code:{voucher}",
            subject=f"voucher:{voucher}",
            priority=deliveries.URGENT if topic == "revoke_code" else deliveries.NORMAL,
            body={"action": topic, "voucher": voucher},
        )
        for channel in channels
        if channel.status != "disconnected"
    ]


def _had_order(session: Session, voucher: Voucher) -> bool:
    """Whether an order carried it: points that were lost with the order live on for a while (D5)."""
    sql = "SELECT 1 FROM voucher_uses WHERE voucher_id = :id LIMIT 1"
    return bool(run(session, sql, {"id": voucher.id}))


def _set_state(session: Session, voucher: Voucher, state: str) -> None:
    run(session, "UPDATE vouchers SET state = :state WHERE id = :id", {"state": state, "id": voucher.id})
    voucher.state = state
