"""A channel that is down is left alone, by everything that talks to it; then one call finds out.

Closed, open and half open (https://martinfowler.com/bliki/CircuitBreaker.html) are columns of the channel's row:
`down_until` in the future is open. Once that has passed, whoever calls first is the probe: pushes of a channel
are one worker's alone, and the first call that fails pauses the channel again, for longer.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.errors import ChannelDown
from hub.outbox import deliveries


def trip(session: Session, channel_id: int, down: ChannelDown, now: datetime) -> datetime:
    """Pause the channel: as long as it asked, else with back-off by how often it was down in a row. Returns
    until when."""
    row = run(
        session,
        """UPDATE channels SET down_code = :code, down_detail = :detail, down_count = down_count
               + CASE WHEN down_until > clock_timestamp() THEN 0 ELSE 1 END
           WHERE id = :id RETURNING down_count""",
        {"id": channel_id, "code": down.code, "detail": down.detail},
    )[0]
    until = deliveries.pause(row.down_count, now, down.retry_at)
    found: datetime = run(
        session,
        "UPDATE channels SET down_until = greatest(down_until, :until) WHERE id = :id RETURNING down_until",
        {"until": until, "id": channel_id},
    )[0].down_until
    return found


def close(session: Session, channel_id: int) -> None:
    """It answered: nothing is paused any more."""
    run(
        session,
        """UPDATE channels SET down_until = NULL, down_count = 0, down_code = NULL, down_detail = NULL
           WHERE id = :id AND down_count > 0""",
        {"id": channel_id},
    )
