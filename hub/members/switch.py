"""Switching a member's account off and on: while it is off, it earns nothing and spends nothing."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from hub.bulk import run


def switch_off(session: Session, member_id: int, at: datetime) -> bool:
    """Off from that moment on; what was earned before stays. False: it was off already."""
    return bool(
        run(
            session,
            "UPDATE members SET disabled_at = :at WHERE id = :id AND disabled_at IS NULL RETURNING id",
            {"id": member_id, "at": at},
        )
    )


def switch_on(session: Session, member_id: int) -> bool:
    """On again; False: it was on."""
    return bool(
        run(
            session,
            "UPDATE members SET disabled_at = NULL WHERE id = :id AND disabled_at IS NOT NULL RETURNING id",
            {"id": member_id},
        )
    )
