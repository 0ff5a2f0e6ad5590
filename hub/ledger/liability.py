"""What members could still come for: outstanding points by the month they expire in, or by their age."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy.orm import Session

from hub.bulk import run

By = Literal["expiry", "age"]


@dataclass(frozen=True, slots=True)
class Outstanding:
    """Points of one month in the program's time zone; month is "2027-03", None: they never expire."""

    month: str | None
    members: int
    points: int
    """All that is left of lots that have not expired, what is pending among it."""
    pending: int


def outstanding(
    session: Session, program_id: int, time_zone: str, *, by: By, now: datetime
) -> Sequence[Outstanding]:
    """Unexpired points that are left, by the month in which they expire or were earned, soonest or
    oldest first. Debts and points set aside for a reward are not among them."""
    moment = {"expiry": "l.expires_at", "age": "l.placed_at"}[by]
    rows = run(
        session,
        f"""SELECT to_char({moment} AT TIME ZONE :zone, 'YYYY-MM') AS month, count(DISTINCT l.account_id) AS members,
                   sum(l.remaining)::bigint AS points,
                   coalesce(sum(l.remaining) FILTER (WHERE l.available_at > :now), 0)::bigint AS pending
            FROM lots l JOIN accounts a ON a.id = l.account_id
            WHERE a.program_id = :program AND a.member_id IS NOT NULL AND l.remaining > 0
              AND (l.expires_at IS NULL OR l.expires_at > :now)
            GROUP BY 1 ORDER BY 1 NULLS LAST""",
        {"program": program_id, "zone": time_zone, "now": now},
    )
    return [Outstanding(row.month, row.members, row.points, row.pending) for row in rows]
