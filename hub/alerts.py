"""What a person should look at: one open row for each kind and subject, counted while it goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hub.audit import record
from hub.bulk import run
from hub.ids import new_id

MOST = 100


@dataclass(frozen=True, slots=True)
class Alert:
    """One of them."""

    id: str
    kind: str
    subject: str
    detail: Mapping[str, Any]
    times: int
    first_at: datetime
    last_at: datetime


def tell(
    session: Session, program_id: int, kind: str, subject: str, detail: Mapping[str, Any], now: datetime
) -> None:
    """Open an alert, or count it once more while it is open. The detail holds no secret."""
    run(
        session,
        """INSERT INTO alerts (public_id, program_id, kind, subject, detail, first_at, last_at)
           VALUES (:public_id, :program, :kind, :subject, CAST(:detail AS jsonb), :now, :now)
           ON CONFLICT (program_id, kind, subject) WHERE settled_at IS NULL
           DO UPDATE SET times = alerts.times + 1, last_at = excluded.last_at, detail = excluded.detail""",
        {
            "public_id": new_id("alr"),
            "program": program_id,
            "kind": kind,
            "subject": subject,
            "detail": json.dumps(dict(detail)),
            "now": now,
        },
    )


def unsettled(session: Session, program_id: int, limit: int = MOST) -> list[Alert]:
    """Those that are open, the latest first."""
    rows = run(
        session,
        """SELECT public_id AS id, kind, subject, detail, times, first_at, last_at FROM alerts
           WHERE program_id = :program AND settled_at IS NULL ORDER BY last_at DESC, id LIMIT :limit""",
        {"program": program_id, "limit": limit},
    )
    return [Alert(**row._mapping) for row in rows]


def settle(session: Session, program_id: int, alert: str, *, actor: str, now: datetime) -> bool:
    """A person has looked at it; False when there is no such open alert. The next one opens a new row."""
    rows = run(
        session,
        """UPDATE alerts SET settled_at = :now, settled_by = :actor
           WHERE program_id = :program AND public_id = :id AND settled_at IS NULL RETURNING kind""",
        {"program": program_id, "id": alert, "actor": actor, "now": now},
    )
    if rows:
        record(session, program_id, actor, "alert.settled", alert, {"kind": rows[0].kind})
    return bool(rows)


def settle_all(
    session: Session, program_id: int, kind: str, subject: str, *, actor: str, now: datetime
) -> bool:
    """What was told of this kind and subject is over by itself; False when nothing was open."""
    rows = run(
        session,
        """UPDATE alerts SET settled_at = :now, settled_by = :actor
           WHERE program_id = :program AND kind = :kind AND subject = :subject AND settled_at IS NULL
           RETURNING public_id""",
        {"program": program_id, "kind": kind, "subject": subject, "actor": actor, "now": now},
    )
    for row in rows:
        record(session, program_id, actor, "alert.settled", row.public_id, {"kind": kind})
    return bool(rows)


def last_told(session: Session, program_id: int, kind: str, subject: str) -> Mapping[str, Any] | None:
    """What the latest alert of this kind and subject says, open or not, unless the hub itself has settled it: what
    a person has looked at need not be told again. None when there is none."""
    rows = run(
        session,
        """SELECT detail, coalesce(settled_by, '') AS settled_by FROM alerts
           WHERE program_id = :program AND kind = :kind AND subject = :subject ORDER BY id DESC LIMIT 1""",
        {"program": program_id, "kind": kind, "subject": subject},
    )
    return dict(rows[0].detail) if rows and not rows[0].settled_by.startswith("hub:") else None
