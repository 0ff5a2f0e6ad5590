"""Lists of a programme's redemptions and vouchers, newest first, read along an index (keyset)."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run

_OWN = """(SELECT id FROM members WHERE id = :member UNION ALL SELECT id FROM members WHERE alias_of = :member)"""


def redemptions(
    session: Session, program_id: int, *, member_id: int | None, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Up to `limit` redemptions from behind the row `before`, of one member (a root) or of all."""
    rows = run(
        session,
        f"""SELECT r.public_id AS id, r.state, r.reward, r.points, r.currency, r.created_at, m.public_id AS member,
                   v.public_id AS voucher, v.code, v.state AS voucher_state, v.expires_at
            FROM redemptions r JOIN members m ON m.id = r.member_id
            LEFT JOIN vouchers v ON v.redemption_id = r.id
            WHERE r.program_id = :program AND {_narrowed("r", member_id, before)}
            ORDER BY r.id DESC LIMIT :limit""",
        {"program": program_id, "member": member_id, "before": before, "limit": limit},
    )
    return [dict(row._mapping) for row in rows]


def vouchers(
    session: Session, program_id: int, *, member_id: int | None, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Up to `limit` codes from behind the row `before`, of one member (a root) or of all."""
    rows = run(
        session,
        f"""SELECT v.public_id AS id, v.code, v.state, v.expires_at, v.created_at, m.public_id AS member,
                   r.reward, r.public_id AS redemption
            FROM vouchers v JOIN members m ON m.id = v.member_id JOIN redemptions r ON r.id = v.redemption_id
            WHERE v.program_id = :program AND {_narrowed("v", member_id, before)}
            ORDER BY v.id DESC LIMIT :limit""",
        {"program": program_id, "member": member_id, "before": before, "limit": limit},
    )
    return [dict(row._mapping) for row in rows]


def _narrowed(alias: str, member_id: int | None, before: int | None) -> str:
    parts = [f"{alias}.member_id IN {_OWN}"] if member_id is not None else []
    parts += [f"{alias}.id < :before"] if before is not None else []
    return " AND ".join(parts) or "true"
