"""How each channel of a program is: well, or what is wrong with it and since when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Row
from sqlalchemy.orm import Session

from hub.bulk import run
from hub.outbox import browse
from hub.outbox.browse import Group

State = Literal["refused", "unsigned", "failing", "silent", "down", "paused", "new", "well"]
"""In the order of how much they need a person; a channel has the first that is true of it.

refused: the channel does not let us in. unsigned: what it sends bears a wrong signature. failing:
messages wait for a person. silent: orders should have come. down: it does not answer and is asked
again by itself. paused: by hand. new: nothing came yet.
"""
STATES: tuple[State, ...] = (
    "refused", "unsigned", "failing", "silent", "down", "paused", "new", "well",
)  # fmt: skip
NEEDS_A_PERSON: tuple[State, ...] = ("refused", "unsigned", "failing", "silent")

_WEEK, _DAY = timedelta(days=7), timedelta(days=1)
_TELLING = 6.0
"""Orders that must have been expected before none is news: with six, none happens by chance once in
four hundred times."""
_LEAST = 3
"""And so many in each of the spans that are compared."""
_SPANS = 4
_COUNTED = 500
_BUSIEST = 10_000
"""Orders of a channel and day that are counted."""
_RECENT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often orders of a channel usually come, at this time of the week."""

    last: datetime
    expected: float
    """Orders in a span like the one since the last, at the same time of earlier weeks (or days)."""
    least: int
    """The fewest in one of those spans."""

    def is_silent(self) -> bool:
        """Whether it is news that none has come since."""
        return self.expected >= _TELLING and self.least >= _LEAST

    def interval(self, now: datetime) -> timedelta:
        """The usual time between two orders."""
        return (now - self.last) / max(self.expected, 1.0)


@dataclass(frozen=True, slots=True)
class ChannelHealth:
    """One channel and how it is."""

    id: int
    public_id: str
    kind: str
    name: str
    state: State
    last_order: datetime | None
    rhythm: Rhythm | None
    group: Group | None
    """The greatest group of failures that made it refused or failing."""
    failing: int
    """Messages that need a person, at least."""
    unsigned: int
    """Messages with a wrong signature in the last 24 hours."""
    down_until: datetime | None
    down_code: str | None
    down_detail: str | None
    waiting: int
    """Pushes that wait for the channel (paused, down or in the queue); at most 1,001."""


def of_program(
    session: Session, program_id: int, now: datetime, groups: Sequence[Group] | None = None
) -> list[ChannelHealth]:
    """Every channel that is not disconnected, the worst first. `groups` are those of
    `browse.groups`, when they are known already."""
    groups = browse.groups(session, program_id) if groups is None else groups
    rows = _channels(session, program_id, now)
    rhythms = {row.id: _rhythm(session, row, now) for row in rows if row.last_order}
    found = [_health(row, groups, rhythms.get(row.id), now) for row in rows]
    return sorted(found, key=lambda channel: (STATES.index(channel.state), channel.id))


@dataclass(frozen=True, slots=True)
class Pace:
    """A channel's orders of a day so far, beside what is usual."""

    today: int
    usual: float | None
    """The average of the same weekday, up to the same time, of the last four weeks that the channel
    has seen; None: it is younger than a week."""


def paces(
    session: Session, channel_ids: Sequence[int], start: datetime, now: datetime
) -> dict[int, Pace]:
    """How the day goes that began at `start`, channel by channel. Tests and what was cancelled count
    too: it is about how busy a channel is, not about money."""
    rows = run(
        session,
        f"""SELECT c.id, w.week, (SELECT count(*) FROM (
                    SELECT 1 FROM transactions t WHERE t.channel_id = c.id
                    AND coalesce(t.placed_at, t.created_at) >= :start - w.week * interval '7 days'
                    AND coalesce(t.placed_at, t.created_at) <= :now - w.week * interval '7 days'
                    LIMIT {_BUSIEST:d}) q) AS orders,
                   (SELECT coalesce(t.placed_at, t.created_at) <= :start - w.week * interval '7 days'
                    FROM transactions t WHERE t.channel_id = c.id
                    ORDER BY coalesce(t.placed_at, t.created_at), t.id LIMIT 1) AS known
            FROM unnest(CAST(:ids AS bigint[])) AS c(id) CROSS JOIN generate_series(0, {_SPANS:d}) AS w(week)
            ORDER BY c.id, w.week""",
        {"ids": list(channel_ids), "start": start, "now": now},
    )
    found = {}
    for channel_id in channel_ids:
        mine = [row for row in rows if row.id == channel_id]
        before = [row.orders for row in mine if row.week and row.known]
        found[channel_id] = Pace(mine[0].orders, sum(before) / len(before) if before else None)
    return found


def _channels(session: Session, program_id: int, now: datetime) -> Sequence[Row[Any]]:
    return run(
        session,
        """SELECT c.id, c.public_id, c.kind, c.name, c.status, c.down_until, c.down_code, c.down_detail,
                  f.at AS first_order, l.at AS last_order,
                  (SELECT count(*) FROM quarantine q WHERE q.channel_id = c.id AND q.received_at > :recent)
                      AS unsigned,
                  (SELECT count(*) FROM (SELECT 1 FROM deliveries d WHERE d.channel_id = c.id
                      AND d.direction = 'outbound' AND d.state = 'due' LIMIT 1001) q) AS waiting,
                  (SELECT d.id FROM deliveries d WHERE d.channel_id = c.id AND d.direction = 'inbound'
                      ORDER BY d.key LIMIT 1) IS NOT NULL AS has_sent,
                  (SELECT max(a.at) FROM audit a WHERE a.program_id = :program AND a.subject = c.public_id
                      AND a.action = 'channel.changed') AS changed_at
           FROM channels c
           LEFT JOIN LATERAL (SELECT coalesce(placed_at, created_at) AS at FROM transactions WHERE channel_id = c.id
               ORDER BY coalesce(placed_at, created_at) DESC, id DESC LIMIT 1) l ON true
           LEFT JOIN LATERAL (SELECT coalesce(placed_at, created_at) AS at FROM transactions WHERE channel_id = c.id
               ORDER BY coalesce(placed_at, created_at), id LIMIT 1) f ON true
           WHERE c.program_id = :program AND c.status <> 'disconnected' ORDER BY c.id""",
        {"program": program_id, "recent": now - _RECENT},
    )


def _rhythm(session: Session, row: Row[Any], now: datetime) -> Rhythm | None:
    """The orders in as long a time as has passed since the last one, at the same hours of the weeks
    before; of days, while the channel is younger than two weeks. None: too little is known."""
    passed, known = now - row.last_order, row.last_order - row.first_order
    step = _WEEK if known >= 2 * _WEEK else _DAY
    spans = min(_SPANS, known // step)
    if spans < 2 or not timedelta(0) < passed <= step:
        return None
    counts = [
        _orders(session, row.id, row.last_order - n * step, now - n * step) for n in range(1, spans + 1)
    ]
    return Rhythm(row.last_order, sum(counts) / spans, min(counts))


def _orders(session: Session, channel_id: int, start: datetime, end: datetime) -> int:
    found: int = run(
        session,
        f"""SELECT count(*) AS n FROM (
                SELECT 1 FROM transactions WHERE channel_id = :channel
                AND coalesce(placed_at, created_at) > :start AND coalesce(placed_at, created_at) <= :end
                LIMIT {_COUNTED:d}) q""",
        {"channel": channel_id, "start": start, "end": end},
    )[0].n
    return found


def _health(
    row: Row[Any], groups: Sequence[Group], rhythm: Rhythm | None, now: datetime
) -> ChannelHealth:
    mine = [g for g in groups if g.channel_id == row.id and not g.retrying]
    refused = _greatest([g for g in mine if g.fault == "merchant" and not _is_put_right(row, g)])
    state = _state(row, now, refused=refused is not None, failing=bool(mine), rhythm=rhythm)
    return ChannelHealth(
        row.id, row.public_id, row.kind, row.name, state, row.last_order, rhythm,
        refused if state == "refused" else _greatest(mine),
        sum(g.count for g in mine), row.unsigned, row.down_until, row.down_code, row.down_detail, row.waiting,
    )  # fmt: skip


def _state(
    row: Row[Any], now: datetime, *, refused: bool, failing: bool, rhythm: Rhythm | None
) -> State:
    silent = rhythm is not None and rhythm.is_silent()
    down = row.down_until is not None and row.down_until > now
    is_so: Mapping[State, bool] = {
        "refused": refused,
        "unsigned": row.unsigned > 0,
        "failing": failing,
        "silent": silent,
        "down": down,
        "paused": row.status == "paused",
        "new": not row.has_sent and row.last_order is None,
        "well": True,
    }
    if row.status == "paused" and not failing:
        return "paused"
    return next(state for state in STATES if is_so[state])


def _is_put_right(row: Row[Any], group: Group) -> bool:
    """Whether the settings were changed after they last failed: what is left is to replay."""
    return row.changed_at is not None and row.changed_at > group.last


def _greatest(groups: Sequence[Group]) -> Group | None:
    return max(groups, key=lambda group: group.count, default=None)
