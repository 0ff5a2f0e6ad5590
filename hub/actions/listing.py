"""The list of what members did besides buying, newest first, read along an index (keyset)."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run


def recorded(
    session: Session, program_id: int, *, member_id: int | None, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Up to `limit` recorded actions from behind the row `before`, of one member (a root) or of all."""
    of_member = """AND a.member_id IN (SELECT id FROM members WHERE id = :member
                                       UNION ALL SELECT id FROM members WHERE alias_of = :member)"""
    rows = run(
        session,
        f"""SELECT a.id AS row, a.public_id AS id, m.name, a.action, a.points, a.why, a.occurred_at,
                   m.public_id AS member
            FROM actions a JOIN members m ON m.id = a.member_id
            WHERE a.program_id = :program {of_member if member_id is not None else ""}
              {"AND a.id < :before" if before is not None else ""}
            ORDER BY a.id DESC LIMIT :limit""",
        {"program": program_id, "member": member_id, "before": before, "limit": limit},
    )
    return [dict(row._mapping) for row in rows]
