"""Numbers about the whole hub for machines that watch it: no program's business, nobody's data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from hub.bulk import run

COUNTED = 100_000
"""Counts end here: what is beyond is no less alarming, and counting it would cost the database."""

_OPEN = ("due", "working", "waiting", "failed", "parked")


@dataclass(frozen=True, slots=True)
class Figures:
    """What there is at one moment."""

    open: Mapping[tuple[str, str], int]
    """(direction, state) -> deliveries that are not at their end, at most `COUNTED`."""
    oldest_due: Mapping[str, float]
    """Direction -> seconds since the oldest one fell due; 0: nothing is."""
    channels: Mapping[tuple[str, str], int]
    """(kind, active | paused | down | disconnected) -> channels."""
    asked: Mapping[str, tuple[float, int]]
    """Kind -> seconds since the active channel that waits longest was asked to the end for what changed, and how many
    active channels are not well."""
    asked_for: Mapping[str, int]
    """seen, found, missed -> messages that asking has brought so far: all, news, news that nothing had told of."""
    quarantined: int
    created: Mapping[str, int]
    """deliveries, entries, transactions -> the last number given: grows with each, with gaps."""


def read(session: Session) -> Figures:
    """All figures, along indexes."""
    return Figures(
        _open(session),
        _oldest(session),
        _channels(session),
        _asked(session),
        _asked_for(session),
        _quarantined(session),
        _created(session),
    )


def _open(session: Session) -> dict[tuple[str, str], int]:
    found = {(d, s): 0 for d in ("inbound", "outbound") for s in _OPEN}
    for state in _OPEN:
        rows = run(
            session,
            f"""SELECT direction, count(*) AS n FROM (
                    SELECT direction FROM deliveries WHERE state = '{state}' LIMIT {COUNTED:d}) q
                GROUP BY direction""",
        )
        found |= {(row.direction, state): row.n for row in rows}
    return found


def _oldest(session: Session) -> dict[str, float]:
    """The first of each priority, by the index that workers claim along."""
    rows = run(
        session,
        """SELECT w.direction, coalesce(extract(epoch FROM clock_timestamp() - min(f.due_at)), 0) AS seconds
           FROM (VALUES ('inbound'), ('outbound')) AS w(direction)
           CROSS JOIN generate_series(0, 9) AS p(priority)
           LEFT JOIN LATERAL (
               SELECT due_at FROM deliveries d WHERE d.state = 'due' AND d.direction = w.direction
               AND d.priority = p.priority AND d.due_at <= clock_timestamp() ORDER BY d.due_at LIMIT 1) f ON true
           GROUP BY w.direction""",
    )
    return {row.direction: float(max(row.seconds, 0)) for row in rows}


def _channels(session: Session) -> dict[tuple[str, str], int]:
    rows = run(
        session,
        """SELECT kind, CASE WHEN status = 'active' AND down_until > clock_timestamp() THEN 'down' ELSE status END
                  AS status, count(*) AS n FROM channels GROUP BY 1, 2""",
    )
    return {(row.kind, row.status): row.n for row in rows}


def _asked(session: Session) -> dict[str, tuple[float, int]]:
    rows = run(
        session,
        """SELECT c.kind, coalesce(extract(epoch FROM clock_timestamp() - min(k.asked_at)), 0) AS seconds,
                  count(*) FILTER (WHERE k.watch_ok = false) AS ill
           FROM connections k JOIN channels c ON c.id = k.channel_id WHERE c.status = 'active' GROUP BY 1""",
    )
    return {row.kind: (float(max(row.seconds, 0)), row.ill) for row in rows}


def _asked_for(session: Session) -> dict[str, int]:
    row = run(
        session,
        """SELECT coalesce(sum(seen), 0) AS seen, coalesce(sum(found), 0) AS found, coalesce(sum(missed), 0) AS missed
           FROM connections""",
    )[0]
    return {name: int(number) for name, number in row._mapping.items()}


def _quarantined(session: Session) -> int:
    found: int = run(
        session,
        f"SELECT count(*) AS n FROM (SELECT 1 FROM quarantine LIMIT {COUNTED:d}) q",
    )[0].n
    return found


def _created(session: Session) -> dict[str, int]:
    row = run(
        session,
        """SELECT (SELECT coalesce(max(id), 0) FROM deliveries) AS deliveries,
                  (SELECT coalesce(max(id), 0) FROM entries) AS entries,
                  (SELECT coalesce(max(id), 0) FROM transactions) AS transactions""",
    )[0]
    return dict(row._mapping)
