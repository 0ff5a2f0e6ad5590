"""A shop that throws the hub's app out: nothing more is pushed to it, and a person is told."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from hub import alerts
from hub.audit import record
from hub.bulk import run
from hub.outbox.channels import Channel

ACTOR = "hub:process"


def stop(session: Session, channel: Channel, left_at: datetime, now: datetime) -> None:
    """Pause the channel and forget its tokens, which are dead already; what the shop sent, and every
    point, stays. A message of a time before the shop was connected (again) stops nothing."""
    rows = run(
        session,
        """UPDATE channels c SET status = 'paused', state = '{}', sealed_state = '', state_version = state_version + 1
           WHERE c.id = :id AND c.status = 'active' AND c.created_at <= :left AND NOT EXISTS (
               SELECT 1 FROM audit a WHERE a.program_id = c.program_id AND a.subject = c.public_id
                 AND a.action IN ('channel.changed', 'channel.active') AND a.at > :left)
           RETURNING c.id""",
        {"id": channel.id, "left": left_at},
    )
    if rows:
        record(session, channel.program_id, ACTOR, "channel.uninstalled", channel.public_id)
        detail = {"channel": channel.name}
        alerts.tell(session, channel.program_id, "uninstalled", channel.public_id, detail, now)
