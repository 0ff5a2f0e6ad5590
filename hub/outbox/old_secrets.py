"""Secrets that were replaced: honoured for a while, then forgotten."""

from __future__ import annotations

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.outbox import channels
from hub.runtime import Runtime

BEFORE = "previous_webhook_secret"


def forget_previous(session: Session, runtime: Runtime) -> int:
    """Forget secrets whose day is over. Returns of how many channels."""
    rows = run(
        session,
        """SELECT id FROM channels WHERE previous_secret_until <= :now AND secrets <> ''
           ORDER BY id LIMIT 100 FOR NO KEY UPDATE""",
        {"now": runtime.clock()},
    )
    for channel in channels.by_ids(session, [row.id for row in rows]).values():
        kept = runtime.secrets.decrypt(channel.secrets)
        kept.pop(BEFORE, None)
        run(
            session,
            "UPDATE channels SET secrets = :secrets, previous_secret_until = NULL WHERE id = :id",
            {"secrets": runtime.secrets.encrypt(kept), "id": channel.id},
        )
    return len(rows)
