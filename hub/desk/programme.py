"""A programme as its people look at it: versions and who made them, tiers, budgets, and who brought whom."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.program.differences import Difference, differences
from hub.program.rules import Rules
from hub.program.store import Program


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a programme's document."""

    number: int
    effective_from: datetime
    actor: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Spent:
    """A campaign's budget, points."""

    rule: str
    given: int
    total: int | None
    per_member: int | None

    @property
    def left(self) -> int | None:
        """What is left of it; None: only each member has a limit."""
        return None if self.total is None else max(0, self.total - self.given)


def versions(session: Session, program_id: int) -> list[Version]:
    """All versions, the newest first."""
    rows = run(
        session,
        """SELECT number, effective_from, actor, created_at FROM program_versions
           WHERE program_id = :program ORDER BY number DESC""",
        {"program": program_id},
    )
    return [Version(**row._mapping) for row in rows]


def changes(session: Session, program: Program, number: int) -> list[Difference] | None:
    """What a version changed, setting by setting; nothing for the first one, None where there is none."""
    rows = run(
        session,
        """SELECT number, CAST(document AS text) AS document FROM program_versions
           WHERE program_id = :program AND number IN (:number, :number - 1) ORDER BY number""",
        {"program": program.id, "number": number},
    )
    documents: Mapping[int, Any] = {row.number: json.loads(row.document) for row in rows}
    if number not in documents:
        return None
    if number - 1 not in documents:
        return []
    return differences(documents[number - 1], documents[number])


def budgets(session: Session, program_id: int, rules: Rules) -> list[Spent]:
    """What campaigns with a budget have given, and what is left; nothing is asked where none has one."""
    if not rules.budgets:
        return []
    sql = "SELECT campaign, given FROM budgets WHERE program_id = :program"
    given = {row.campaign: row.given for row in run(session, sql, {"program": program_id})}
    return [
        Spent(rule, given.get(rule, 0), budget.total, budget.per_member)
        for rule, budget in sorted(rules.budgets.items())
    ]


def referrals(
    session: Session, program_id: int, *, before: int | None, limit: int
) -> Sequence[Mapping[str, Any]]:
    """Who brought whom, the newest first, from behind the row `before`: with the order that qualified."""
    behind = "AND r.id < :before" if before is not None else ""
    rows = run(
        session,
        f"""SELECT r.id AS row, r.referred_at, a.public_id AS referrer, a.name AS referrer_name,
                   b.public_id AS friend, b.name AS friend_name, t.public_id AS sale, t.number
            FROM referrals r JOIN members a ON a.id = r.referrer_id JOIN members b ON b.id = r.friend_id
            LEFT JOIN transactions t ON t.id = r.transaction_id
            WHERE r.program_id = :program {behind} ORDER BY r.id DESC LIMIT :limit""",
        {"program": program_id, "before": before, "limit": limit},
    )
    return [dict(row._mapping) for row in rows]
