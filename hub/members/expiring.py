"""Points that are about to expire, by member and day: whom to remind, and of how much."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run


def due(
    session: Session,
    program_id: int,
    *,
    now: datetime,
    until: datetime,
    member_id: int | None = None,
    after: tuple[datetime, int] | None = None,
    limit: int = 200,
) -> list[Any]:
    """What expires up to `until`, that moment included, soonest first: one row a member and moment, with
    a phone and an e-mail to be reached by. `after`: (moment, member row) of the last row seen."""
    moment, member = after or (now, 0)
    return list(
        run(
            session,
            """SELECT l.expires_at, a.member_id AS row, m.public_id AS member, m.name,
                      sum(l.remaining)::bigint AS points,
                      (SELECT min(value) FROM identities WHERE member_id = m.id AND kind = 'phone'
                         AND gone_at IS NULL) AS phone,
                      (SELECT min(value) FROM identities WHERE member_id = m.id AND kind = 'email'
                         AND gone_at IS NULL) AS email
               FROM lots l JOIN accounts a ON a.id = l.account_id JOIN members m ON m.id = a.member_id
               WHERE a.program_id = :program AND l.remaining > 0 AND l.expires_at > :now AND l.expires_at <= :until
                 AND (l.expires_at, a.member_id) > (:moment, CAST(:member AS bigint))
                 AND (CAST(:only AS bigint) IS NULL OR a.member_id = :only)
               GROUP BY l.expires_at, a.member_id, m.id ORDER BY l.expires_at, a.member_id LIMIT :limit""",
            {
                "program": program_id,
                "now": now,
                "until": until,
                "moment": moment,
                "member": member,
                "only": member_id,
                "limit": limit,
            },
        )
    )


def total(session: Session, member_id: int, *, now: datetime, until: datetime) -> int:
    """How many points of a member expire up to a moment."""
    rows = run(
        session,
        """SELECT coalesce(sum(l.remaining), 0)::bigint AS points FROM lots l JOIN accounts a ON a.id = l.account_id
           WHERE a.member_id = :member AND l.expires_at > :now AND l.expires_at <= :until""",
        {"member": member_id, "now": now, "until": until},
    )
    return int(rows[0].points)
