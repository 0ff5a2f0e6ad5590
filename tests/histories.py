"""What somebody has said that a programme's shops sold before a moment counts for."""

from __future__ import annotations

from datetime import datetime

from hub.bulk import run
from hub.program.store import Program
from hub.runtime import Runtime
from hub.sync.backfills import Counts


def count_history(
    runtime: Runtime, program: Program, *, until: datetime, counts: Counts = "tiers"
) -> None:
    """As after a backfill of all its channels."""
    with runtime.sessions.begin() as session:
        run(
            session,
            """UPDATE channels SET history_from = CAST(:until AS timestamptz) - interval '400 days',
                   history_until = :until, history_counts = :counts WHERE program_id = :program""",
            {"until": until, "counts": counts, "program": program.id},
        )
