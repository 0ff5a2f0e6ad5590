"""Who did what: an append-only table, written in the same transaction as the deed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run


def record(
    session: Session,
    program_id: int | None,
    actor: str,
    action: str,
    subject: str,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Note one deed. `actor` is `user:<id>`, `key:<id>`, `cli:<login>` or `hub:<part>`; the detail
    holds no secret and no personal data."""
    run(
        session,
        """INSERT INTO audit (program_id, actor, action, subject, detail)
           VALUES (:program, :actor, :action, :subject, CAST(:detail AS jsonb))""",
        {
            "program": program_id,
            "actor": actor,
            "action": action,
            "subject": subject,
            "detail": json.dumps(dict(detail or {})),
        },
    )
