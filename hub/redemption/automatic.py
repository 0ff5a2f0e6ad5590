"""Rewards that are had by themselves: as soon as a member's points are enough, the code is on its way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.program.rules import Rules

AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Due:
    """A member who has enough for a reward, and the key under which it is bought, once."""

    member_id: int
    reward: str
    key: str


def due(session: Session, program_id: int, rules: Rules, now: datetime) -> list[Due]:
    """Whose points are enough for which automatic reward now; the first of the document's wins."""
    found: dict[int, Due] = {}
    for reward in rules.rewards.values():
        if not reward.automatic or reward.why_not_at(now) is not None:
            continue
        rows = run(
            session,
            """SELECT a.member_id, (SELECT count(*) FROM redemptions r WHERE r.account_id = a.id
                                    AND r.reward = :reward) AS had
               FROM accounts a JOIN members m ON m.id = a.member_id AND m.alias_of IS NULL
               WHERE a.program_id = :program AND a.balance >= :cost
                 AND (SELECT sum(l.remaining) FROM lots l WHERE l.account_id = a.id AND l.available_at <= :now
                        AND (l.expires_at IS NULL OR l.expires_at > :now)) >= :cost
                 AND (CAST(:most AS bigint) IS NULL OR :most > (SELECT count(*) FROM redemptions r
                        WHERE r.account_id = a.id AND r.reward = :reward AND r.state <> 'released'))
               ORDER BY a.id LIMIT :limit""",
            {
                "program": program_id,
                "reward": reward.id,
                "cost": reward.cost,
                "now": now,
                "most": reward.per_member,
                "limit": AT_ONCE,
            },
        )
        for row in rows:
            key = f"auto:{reward.id}:{row.member_id}:{row.had + 1}"
            found.setdefault(row.member_id, Due(row.member_id, reward.id, key))
    return list(found.values())


def programs(session: Session) -> list[int]:
    """The programmes that have such a reward in any version: one look, however many programmes there are."""
    rows = run(
        session,
        """SELECT DISTINCT program_id FROM program_versions
           WHERE document @> '{"rewards": [{"automatic": true}]}' ORDER BY program_id""",
    )
    return [row.program_id for row in rows]
