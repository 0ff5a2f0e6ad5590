"""Codes on their way out: told to every channel, confirmed by each, and only then their points are settled.

Taken back, or cancelled: once every channel has confirmed (rules.md E3). Expired: also once every channel
has had time to tell of orders from before (E4).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.outbox import deliveries
from hub.outbox.channels import Channel
from hub.program.rules import Rules
from hub.redemption import states
from hub.redemption import voucher as voucher_rows
from hub.redemption.costs import ACTOR, Costs
from hub.redemption.telling import code_pushes
from hub.redemption.voucher import Voucher

AT_ONCE = 100
FEED_WAIT = timedelta(hours=6)
"""How long after its last moment a code may still turn up in an order: longer than channels repeat a
message that was not answered. Of channels that cannot be asked."""
ASKED_WAIT = timedelta(hours=1)
"""A channel that is asked what changed has told of a code's last moment once it was asked to the end so long
after it: longer than a round of asking takes, and than clocks differ."""
UNREAD_WAIT = timedelta(days=7)
"""No longer hold up expired codes a message from before that cannot be read, or a channel that does not answer."""

_UNCONFIRMED = """EXISTS (SELECT 1 FROM voucher_channels vc JOIN channels c ON c.id = vc.channel_id
                  WHERE vc.voucher_id = v.id AND vc.state <> 'revoked' AND c.status <> 'disconnected')"""
_MAY_TELL = """v.state = 'expiring' AND (EXISTS (
                   SELECT 1 FROM channels c LEFT JOIN connections k ON k.channel_id = c.id
                   WHERE c.program_id = v.program_id AND c.status <> 'disconnected'
                     AND CASE WHEN k.asked_at IS NULL THEN v.expires_at > :heard
                              ELSE v.expires_at > :unread AND k.asked_at <= v.expires_at + :asked END)
               OR v.expires_at > :unread AND EXISTS (
                   SELECT 1 FROM channels c JOIN deliveries d ON d.channel_id = c.id
                   WHERE c.program_id = v.program_id AND c.status <> 'disconnected' AND d.direction = 'inbound'
                     AND d.state IN ('due', 'working', 'waiting', 'failed', 'parked')
                     AND d.received_at <= v.expires_at + :wait))"""
"""The watermark: until then a channel may tell of an order from before, or has told of one that is not
read yet."""


def ended(session: Session, now: datetime) -> Sequence[tuple[int, int]]:
    """(program id, voucher id) of codes whose last moment is over, the longest ago first."""
    rows = run(
        session,
        """SELECT program_id, id FROM vouchers WHERE state IN ('planned', 'live') AND expires_at <= :now
           ORDER BY expires_at LIMIT :most""",
        {"now": now, "most": AT_ONCE},
    )
    return [(row.program_id, row.id) for row in rows]


def expire(session: Session, program_id: int, voucher_id: int, channels: Iterable[Channel]) -> None:
    """What `ended` has found, under its lock: every channel is told."""
    for voucher in voucher_rows.lock(session, program_id, "v.id = :id", id=voucher_id):
        if states.move(session, voucher.id, "day_passed", ACTOR, "expired") is None:
            return
        pushes = code_pushes(program_id, voucher.public_id, "revoke_code", channels, urgent=False)
        deliveries.enqueue(session, pushes)


def gone(session: Session, now: datetime) -> Sequence[tuple[int, int]]:
    """(program id, voucher id) of codes that are gone everywhere, and of which nothing is to be heard
    any more."""
    found: list[tuple[int, int]] = []
    for state, order in (("revoking", "v.id"), ("expiring", "v.expires_at")):
        rows = run(
            session,
            f"""SELECT v.program_id, v.id FROM vouchers v
                WHERE v.state = '{state}' AND NOT {_UNCONFIRMED} AND NOT ({_MAY_TELL})
                ORDER BY {order} LIMIT :most""",
            {**_marks(now), "most": AT_ONCE},
        )
        found += [(row.program_id, row.id) for row in rows]
    return found


def finish_gone(costs: Costs, voucher_id: int, rules: Rules) -> set[int]:
    """What `gone` has found, under its lock: a use that came meanwhile keeps the points spent. Returns the
    members whose points changed."""
    where = "v.id = :id AND v.state IN ('revoking', 'expiring')"
    members: set[int] = set()
    for voucher in voucher_rows.lock(costs.session, costs.program_id, where, id=voucher_id):
        members |= finish(costs, voucher, rules)
    return members


def finish(costs: Costs, voucher: Voucher, rules: Rules) -> set[int]:
    """Settle the points of a code that every channel has confirmed to be gone. Returns the members whose
    points changed."""
    now = costs.now
    if not close(costs.session, costs.program_id, voucher, rules, now) or not voucher.returned:
        return set()
    cancelled = voucher.leaving == "cancelled"
    grace = timedelta(days=rules.grace_days) if cancelled and rules.grace_days else None
    return costs.price(voucher, 0, refunded=False, grace=grace)


def close(
    session: Session, program_id: int, voucher: Voucher, rules: Rules, now: datetime | None = None
) -> bool:
    """The end of a code that no channel has any more; False while one may have it, or may tell of it. Its
    points come back, unless nobody used it and the programme says that they are lost."""
    held_up = f"SELECT 1 FROM vouchers v WHERE v.id = :id AND ({_UNCONFIRMED} OR {_MAY_TELL})"
    if run(session, held_up, {"id": voucher.id, **_marks(now)}):
        return False
    after = states.move(session, voucher.id, "all_gone", ACTOR)
    if after is None:
        return False
    voucher.state = after
    voucher.returned = voucher.leaving == "cancelled" or rules.unused == "points_back"
    run(
        session,
        "UPDATE vouchers SET returned = :returned WHERE id = :id",
        {"returned": voucher.returned, "id": voucher.id},
    )
    if voucher.returned:
        _spend(session, program_id, voucher, "released", "released")
    return True


def take_up(session: Session, program_id: int, voucher: Voucher, *, charged: bool) -> None:
    """An order carries the code: it counts, and costs the points again that had come back, unless it is
    not the member who bears a late use."""
    if charged and voucher.redemption_state == "released":
        _spend(session, program_id, voucher, "committed", "taken_again")
    elif not charged and voucher.redemption_state == "committed":
        _spend(session, program_id, voucher, "released", "released")


def _spend(session: Session, program_id: int, voucher: Voucher, state: str, event: str) -> None:
    """The other state of the redemption, and why, in its history."""
    run(
        session,
        """WITH moved AS (UPDATE redemptions SET state = :state WHERE id = :id AND state <> :state RETURNING id)
           INSERT INTO redemption_events (program_id, redemption_id, event, actor)
           SELECT :program, id, :event, :actor FROM moved""",
        {
            "program": program_id,
            "id": voucher.redemption_id,
            "state": state,
            "event": event,
            "actor": ACTOR,
        },
    )
    voucher.redemption_state = state


def _marks(now: datetime | None) -> dict[str, object]:
    """The moments of the watermark. Without a clock of the caller's own it is today's."""
    at = now or datetime.now(UTC)
    return {"heard": at - FEED_WAIT, "unread": at - UNREAD_WAIT, "wait": FEED_WAIT, "asked": ASKED_WAIT}
