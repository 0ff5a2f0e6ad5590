"""How often a reward may be had: in all, by a member, and by a member on one day (rules.md B4).

What was taken back counts no more: it is there again for the next one.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.program.rewards import Reward


class NotOffered(Exception):
    """The reward cannot be had now; `why` is a stable code."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def lock_stock(session: Session, program_id: int, reward: Reward) -> None:
    """Of a reward with limited stock: one buyer at a time, before any account is locked (C4). Raises
    `NotOffered`."""
    if reward.stock is None:
        return
    keys = {"program": program_id, "reward": reward.id}
    run(
        session,
        "INSERT INTO reward_stock (program_id, reward) VALUES (:program, :reward) ON CONFLICT DO NOTHING",
        keys,
    )
    run(
        session,
        "SELECT 1 FROM reward_stock WHERE program_id = :program AND reward = :reward FOR UPDATE",
        keys,
    )
    if _taken(session, program_id, reward.id) >= reward.stock:
        raise NotOffered("sold_out")


def left(session: Session, program_id: int, reward: Reward) -> int | None:
    """How many of a reward are left; None: as many as anybody wants."""
    if reward.stock is None:
        return None
    return max(0, reward.stock - _taken(session, program_id, reward.id))


def check_member(
    session: Session, program_id: int, member_id: int, reward: Reward, now: datetime, zone: str
) -> None:
    """What one member may have, the redemption that is being made among them: asked under the lock of
    the member's account. Raises `NotOffered`."""
    _refuse(session, program_id, member_id, reward, now, zone, more=0)


def refuse_one_more(
    session: Session, program_id: int, member_id: int, reward: Reward, now: datetime, zone: str
) -> None:
    """The same before it is made, without a lock: for whoever only asks."""
    _refuse(session, program_id, member_id, reward, now, zone, more=1)


def _refuse(
    session: Session, program_id: int, member_id: int, reward: Reward, now: datetime, zone: str, *, more: int
) -> None:  # fmt: skip
    if reward.per_member is None and reward.per_day is None:
        return
    day = now.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    row: Any = run(
        session,
        """SELECT count(*) AS n, count(*) FILTER (WHERE r.created_at >= :day AND r.created_at < :next) AS today
           FROM redemptions r JOIN members m ON m.id = r.member_id
           WHERE r.program_id = :program AND r.reward = :reward AND r.state <> 'released'
             AND coalesce(m.alias_of, m.id) = (SELECT coalesce(alias_of, id) FROM members WHERE id = :member)""",
        {
            "program": program_id,
            "reward": reward.id,
            "member": member_id,
            "day": day,
            "next": day + timedelta(days=1),
        },
    )[0]
    if reward.per_member is not None and row.n + more > reward.per_member:
        raise NotOffered("limit_reached")
    if reward.per_day is not None and row.today + more > reward.per_day:
        raise NotOffered("limit_of_today_reached")


def check_points(
    session: Session, program_id: int, member_id: int, most: int, now: datetime, zone: str
) -> None:
    """So many points at most one member pays with on one day, those of the redemption that is being made
    among them: asked under the lock of the member's account. Raises `NotOffered`."""
    if paid_today(session, program_id, member_id, now, zone) > most:
        raise NotOffered("limit_of_today_reached")


def paid_today(session: Session, program_id: int, member_id: int, now: datetime, zone: str) -> int:
    """So many points a member has paid with on the programme's day, those that are held among them."""
    day = now.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    row = run(
        session,
        """SELECT coalesce(sum(r.points), 0) AS points FROM redemptions r JOIN members m ON m.id = r.member_id
           WHERE r.program_id = :program AND r.reward = 'points' AND r.state <> 'released'
             AND r.created_at >= :day AND r.created_at < :next
             AND coalesce(m.alias_of, m.id) = (SELECT coalesce(alias_of, id) FROM members WHERE id = :member)""",
        {"program": program_id, "member": member_id, "day": day, "next": day + timedelta(days=1)},
    )[0]
    return int(row.points)


def _taken(session: Session, program_id: int, reward: str) -> int:
    """So many were had and not taken back."""
    found: int = run(
        session,
        """SELECT count(*) AS n FROM redemptions
           WHERE program_id = :program AND reward = :reward AND state <> 'released'""",
        {"program": program_id, "reward": reward},
    )[0].n
    return found
