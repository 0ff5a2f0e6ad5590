"""Switching a member's account off and on: while it is off nothing is spent, and events give nothing.

Orders count all the same: what they earn follows from them alone, and waits until it is on again.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from hub.bulk import run


def switch_off(session: Session, member_id: int, at: datetime) -> bool:
    """Off from that moment on. False: it was off already."""
    return bool(
        run(
            session,
            "UPDATE members SET disabled_at = :at WHERE id = :id AND disabled_at IS NULL RETURNING id",
            {"id": member_id, "at": at},
        )
    )


def switch_on(session: Session, member_id: int) -> bool:
    """On again. False: it was on."""
    return bool(
        run(
            session,
            "UPDATE members SET disabled_at = NULL WHERE id = :id AND disabled_at IS NOT NULL RETURNING id",
            {"id": member_id},
        )
    )


def is_off(session: Session, member_id: int) -> bool:
    """Whether the account of a member, or of whom it was merged into, is off."""
    rows = run(
        session,
        """SELECT 1 FROM members m JOIN members root ON root.id = coalesce(m.alias_of, m.id)
           WHERE m.id = :id AND root.disabled_at IS NOT NULL""",
        {"id": member_id},
    )
    return bool(rows)
