"""Channels that have fallen silent: quiet for three times their usual gap at these hours, and why.

What is counted. For every channel and hour, in how many of its sixty minutes something came by webhook: a burst of
messages about one order is one arrival. Of the last four weeks that gives a rate for each hour of the day, and, once
three weeks are known, for each hour of the week; the lower of the two counts, so that a shop which is closed on
Sundays is not silent on a Sunday, nor one that sleeps at night at night.

The rates of the hours that have passed since the last arrival add up to how many were to be expected. "Three times the
usual gap" is three. Were arrivals independent, one gap in twenty would be that long by chance; so three only makes the
hub ask: the platform whether its subscriptions are there and well, and for everything that has changed. What that
shows decides: a cause, or an order that nothing had told of, is an alert. Without either it is a quiet day, until
eight were to be expected (one gap in three thousand).

A channel is judged once it is known for a week with fifty arrivals.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import Row
from sqlalchemy.orm import Session

from hub import alerts
from hub.bulk import run
from hub.outbox import connections
from hub.outbox.connections import Connection
from hub.runtime import Runtime

log = structlog.get_logger()

KIND = "channel_silent"
"""The kind of the alert; its subject is the channel's id."""
ACTOR = "hub:silence"
TIMES = 3.0
SURELY = 8.0
LEAST_DAYS, LEAST_ARRIVALS = 7, 50
HISTORY = timedelta(days=28)
WEEKS_FOR_HOURS_OF_WEEK = 3
AGAIN = timedelta(minutes=15)
"""How often a channel that is silent is asked."""
AWAY = timedelta(minutes=5)
"""A hub that has not listened for so long was away."""
_HOUR, _MINUTE = timedelta(hours=1), timedelta(minutes=1)
_SLICE = 20_000
"""Messages counted in one round: an old hub's history is walked through piece by piece."""
_SLICES = 10
_BEHIND = 2_000
"""Ids are given before they are committed: so many are counted once more, which changes nothing."""
_MARK = "arrivals"
_Slot = TypeVar("_Slot", int, tuple[int, int])


@dataclass(frozen=True, slots=True)
class Quiet:
    """How long a channel has been quiet, against what is usual at these hours."""

    last: datetime
    expected: float
    """Arrivals that were to be expected since."""
    gap: timedelta
    """The usual time between two at this time of the day."""

    @property
    def is_silent(self) -> bool:
        """Long enough to ask."""
        return self.expected >= TIMES


def judge(
    hours: Iterable[tuple[datetime, int]], last: datetime, now: datetime, zone: str
) -> Quiet | None:
    """`hours`: whole hours of the last weeks (aware) with in how many of their minutes something came; hours
    without any are left out. `last`: the last arrival. None: too little is known, or it runs at this moment.
    Pure."""
    known = sorted((hour, count) for hour, count in hours if hour > now - HISTORY)
    if not known or sum(count for _, count in known) < LEAST_ARRIVALS:
        return None
    first = known[0][0]
    if last - first < timedelta(days=LEAST_DAYS) or now <= last:
        return None
    rates = _Rates(known, first, last, ZoneInfo(zone))
    expected = 0.0
    for start, share in _parts(last + _MINUTE, now):
        expected += rates.at(start) * share
    rate = rates.at(now)
    return Quiet(last, expected, timedelta(hours=1) / rate if rate else timedelta.max)


class _Rates:
    """Arrivals an hour, by the hour of the day and of the week in the program's zone."""

    def __init__(
        self, known: Sequence[tuple[datetime, int]], first: datetime, last: datetime, zone: ZoneInfo
    ) -> None:
        self._zone = zone
        counts = dict(known)
        self._of_day: dict[int, tuple[int, int]] = {}
        self._of_week: dict[tuple[int, int], tuple[int, int]] = {}
        self._has_weeks = last - first >= timedelta(weeks=WEEKS_FOR_HOURS_OF_WEEK)
        hour = first
        while hour + _HOUR <= last:  # whole hours alone, those without any among them
            here, came = hour.astimezone(zone), counts.get(hour, 0)
            _add(self._of_day, here.hour, came)
            _add(self._of_week, (here.weekday(), here.hour), came)
            hour += _HOUR

    def at(self, moment: datetime) -> float:
        here = moment.astimezone(self._zone)
        of_day = _mean(self._of_day.get(here.hour))
        if not self._has_weeks:
            return of_day
        return min(of_day, _mean(self._of_week.get((here.weekday(), here.hour))))


def _add(sums: dict[_Slot, tuple[int, int]], slot: _Slot, came: int) -> None:
    so_far, hours = sums.get(slot, (0, 0))
    sums[slot] = (so_far + came, hours + 1)


def _mean(sum_: tuple[int, int] | None) -> float:
    return sum_[0] / sum_[1] if sum_ else 0.0


def _parts(start: datetime, end: datetime) -> Iterable[tuple[datetime, float]]:
    """The hours between two moments, with how much of each is between them; of the last three days at
    most: no longer silence is any surer."""
    start = max(start, end - timedelta(days=3))
    while start < end:
        next_hour = start.replace(minute=0, second=0, microsecond=0) + _HOUR
        upto = min(next_hour, end)
        yield start, (upto - start) / _HOUR
        start = upto


# --- counting ------------------------------------------------------------------------------------


def count(session: Session) -> int:
    """Note in which minutes messages came, since the last time. Counting the same message twice changes
    nothing. Returns how many were looked at."""
    mark = run(session, "SELECT place FROM marks WHERE name = :name FOR UPDATE", {"name": _MARK})
    after = mark[0].place if mark else 0
    rows = run(
        session,
        """SELECT max(id) AS upto, count(*) AS n FROM (
               SELECT id FROM deliveries WHERE id > :after ORDER BY id LIMIT :limit) d""",
        {"after": after, "limit": _SLICE},
    )[0]
    if rows.upto is None:
        return 0
    run(
        session,
        """INSERT INTO arrivals AS a (channel_id, hour, minutes)
           SELECT channel_id, date_trunc('hour', received_at, 'UTC'),
                  bit_or(set_bit(repeat('0', 60)::bit(60),
                                 extract(minute FROM received_at AT TIME ZONE 'UTC')::integer, 1))
           FROM deliveries WHERE id > :after AND id <= :upto AND direction = 'inbound' AND source = 'webhook'
             AND received_at > clock_timestamp() - CAST(:history AS interval)
           GROUP BY 1, 2 ORDER BY 1, 2
           ON CONFLICT (channel_id, hour) DO UPDATE SET minutes = a.minutes | excluded.minutes""",
        {"after": after - _BEHIND, "upto": rows.upto, "history": HISTORY},
    )
    run(
        session,
        """INSERT INTO marks (name, place) VALUES (:name, :place)
           ON CONFLICT (name) DO UPDATE SET place = excluded.place""",
        {"name": _MARK, "place": rows.upto},
    )
    run(
        session,
        "DELETE FROM arrivals WHERE hour < clock_timestamp() - CAST(:history AS interval)",
        {"history": HISTORY},
    )
    return int(rows.n)


def quiet(
    session: Session, channel_id: int, now: datetime, zone: str, *, not_before: datetime | None = None
) -> Quiet | None:
    """How quiet a channel is, at most since `not_before`; None as of `judge`."""
    rows = run(
        session,
        """SELECT hour, bit_count(minutes) AS n, 60 - position('1' IN reverse(minutes::text)) AS latest
           FROM arrivals WHERE channel_id = :id ORDER BY hour""",
        {"id": channel_id},
    )
    if not rows:
        return None
    last = rows[-1].hour + _MINUTE * rows[-1].latest
    last = max(last, not_before) if not_before else last
    return judge([(row.hour, row.n) for row in rows], last, now, zone)


# --- listening -----------------------------------------------------------------------------------


def listen(runtime: Runtime) -> None:
    """Count what came, have silent channels asked, and tell what came of it. Asks nobody itself."""
    now = runtime.clock()
    if not _counted(runtime):
        return
    with runtime.sessions.begin() as session:
        back = _back_since(session, now)
        for row in _channels(session):
            found = quiet(session, row.id, now, row.time_zone, not_before=back)
            kept = connections.of_channel(session, row.id)
            if kept is None:
                continue
            if found is None or not found.is_silent:
                alerts.settle_all(session, row.program_id, KIND, row.public_id, actor=ACTOR, now=now)
                continue
            _ask(session, kept, found, now)
            _tell(session, row, kept, found, now)


def _counted(runtime: Runtime) -> bool:
    """Count what came; False while a long history is still being walked through: its end is not now."""
    for _ in range(_SLICES):
        with runtime.sessions.begin() as session:
            if count(session) < _SLICE:
                return True
    return False


def _back_since(session: Session, now: datetime) -> datetime | None:
    """Since when the hub listens without a break. While it was away it heard nobody, and nobody was silent."""
    rows = run(session, "SELECT name, place FROM marks WHERE name IN ('listened', 'back')")
    known = {row.name: datetime.fromtimestamp(row.place, UTC) for row in rows}
    was_away = "listened" in known and now - known["listened"] > AWAY
    marks = {"listened": now} | ({"back": now} if was_away else {})
    for name, at in marks.items():
        run(
            session,
            """INSERT INTO marks (name, place) VALUES (:name, :place)
               ON CONFLICT (name) DO UPDATE SET place = excluded.place""",
            {"name": name, "place": int(at.timestamp())},
        )
    return now if was_away else known.get("back")


def _channels(session: Session) -> Sequence[Row[Any]]:
    return run(
        session,
        """SELECT c.id, c.public_id, c.program_id, c.name, c.kind, p.time_zone,
                  CASE WHEN c.down_until > clock_timestamp() THEN c.down_code END AS down_code, c.down_detail
           FROM channels c JOIN programs p ON p.id = c.program_id
           WHERE c.status = 'active' AND EXISTS (SELECT FROM arrivals a WHERE a.channel_id = c.id) ORDER BY c.id""",
    )


def _ask(session: Session, kept: Connection, found: Quiet, now: datetime) -> None:
    """At once when it has just become silent, then now and again while it lasts."""
    began = found.last
    watched = kept.watched_at is not None and kept.watched_at > max(began, now - AGAIN)
    if not watched:
        connections.ask_soon(session, kept.channel_id, now)


def _tell(session: Session, row: Row[Any], kept: Connection, found: Quiet, now: datetime) -> None:
    cause = row.down_code or why(kept, found, now)
    if cause is None:
        return
    detail = {
        "channel": row.name, "kind": row.kind, "cause": cause, "since": found.last.isoformat(),
        "zone": row.time_zone,
        "minutes": round(found.gap / _MINUTE) if found.gap < timedelta(days=30) else None,
        "why": (row.down_detail or kept.watch_detail or "")[:300], "missed": kept.last_missed,
    }  # fmt: skip
    told = alerts.last_told(session, row.program_id, KIND, row.public_id) or {}
    if (told.get("cause"), told.get("since")) != (cause, detail["since"]):
        log.warning("a channel has fallen silent", channel=row.public_id, cause=cause)
        alerts.tell(session, row.program_id, KIND, row.public_id, detail, now)


def why(kept: Connection, found: Quiet, now: datetime) -> str | None:
    """The likely cause as far as the platform was asked since; None: nothing speaks for more than a quiet
    hour. The codes of the channel's health, and three of our own (`CAUSE_WORDS` in hub.desk.telling)."""
    looked = kept.watched_at is not None and kept.watched_at > found.last
    if kept.mended_at is not None and kept.mended_at > found.last:
        return "subscription_gone"
    if looked and kept.watch_ok is False:
        return kept.watch_code
    asked = kept.asked_at is not None and kept.asked_at > found.last
    if kept.ask_code and (kept.asked_at is None or not asked):
        return kept.ask_code
    if asked and kept.last_missed > 0:
        return "messages_lost"
    cannot_be_asked = min(kept.watch_at, kept.ask_at) > now + timedelta(days=2)
    if found.expected >= SURELY and (looked or asked or cannot_be_asked):
        return "nothing_found"
    return None
