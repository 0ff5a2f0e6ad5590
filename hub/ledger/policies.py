"""How a whole balance is used and lost: which points go first, and when idle members lose them.

Pure, standard library only. A policy is in force from a moment on; what it does to a lot is a function
of what happened, never of when somebody looked (rules.md D1).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Consume = Literal["expiry", "earned"]


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy of a programme, in force from `effective_from` until the next one."""

    effective_from: datetime
    consume: Consume = "expiry"
    """Which points are spent first: those that expire soonest, or those that were earned first."""
    idle_days: int | None = None
    """After so many days without a purchase, a grant or a spend all points are lost."""
    idle_year: bool = False
    """All points are lost at the end of a calendar year without a purchase."""
    time_zone: str = "UTC"

    @property
    def is_idle(self) -> bool:
        """Whether points are lost by inactivity."""
        return self.idle_days is not None or self.idle_year


@dataclass(frozen=True, slots=True)
class Policies:
    """The policies of a programme, oldest first, and what one member bought."""

    versions: tuple[Policy, ...] = ()
    purchases: tuple[datetime, ...] = ()
    """When the member's orders were placed, sorted; those that earned nothing too."""

    def at(self, moment: datetime) -> Policy | None:
        """The policy in force at that moment; None: none was written yet."""
        found = [policy for policy in self.versions if policy.effective_from <= moment]
        return found[-1] if found else None

    def earned_first(self, moment: datetime) -> bool:
        """Whether a spend at that moment takes the oldest points, whatever expires."""
        policy = self.at(moment)
        return policy is not None and policy.consume == "earned"

    def lost_at(self, granted_at: datetime, activity: Sequence[datetime]) -> datetime | None:
        """When points granted then are lost by inactivity; None: never, as things are. `activity`:
        sorted moments of grants and spends."""
        if not any(policy.is_idle for policy in self.versions):
            return None
        ends = (self._idle_days(granted_at, activity), self._idle_year(granted_at))
        return min((end for end in ends if end is not None), default=None)

    def _idle_days(self, granted_at: datetime, activity: Sequence[datetime]) -> datetime | None:
        """The end of the first stretch without activity after the grant. A policy's beginning counts
        as activity: nobody loses points by a rule that was not there."""
        active = sorted({*activity, *self.purchases, *(v.effective_from for v in self.versions)})
        last = granted_at
        while True:
            policy = self.at(last)
            following = bisect_right(active, last)
            if policy is None or policy.idle_days is None:
                if following == len(active):
                    return None
                last = active[following]
                continue
            end = _days_later(last, policy.idle_days, policy.time_zone)
            before_end = bisect_left(active, end)
            if before_end <= following:
                return end
            last = active[before_end - 1]

    def _idle_year(self, granted_at: datetime) -> datetime | None:
        """The end of the first calendar year, from that of the grant on, without a purchase."""
        zone = ZoneInfo(self.versions[0].time_zone)
        begun = {v.effective_from.astimezone(zone).year for v in self.versions if v.idle_year}
        bought = {moment.astimezone(zone).year for moment in self.purchases} | begun
        year = granted_at.astimezone(zone).year
        last = max([year, *bought])
        for one in range(year, last + 2):
            end = datetime(one + 1, 1, 1, tzinfo=zone)
            in_force = self.at(end - timedelta(microseconds=1))
            if in_force is not None and in_force.idle_year and one not in bought:
                return end
        return None


NO_POLICIES = Policies()


def _days_later(moment: datetime, days: int, time_zone: str) -> datetime:
    """The beginning of the day so many days after that of the moment, in the programme's zone."""
    zone = ZoneInfo(time_zone)
    day: date = moment.astimezone(zone).date() + timedelta(days=days)
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def soonest(moments: Iterable[datetime | None]) -> datetime | None:
    """The earliest of these; None where there is none."""
    return min((moment for moment in moments if moment is not None), default=None)
