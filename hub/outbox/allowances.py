"""What a platform lets us ask for, as a bucket that refills: one row a channel, shared by all processes.

The platform counts; this row only remembers what it said last, so that two workers do not both spend what is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from hub.bulk import run
from hub.runtime import Runtime

KEPT = 0.2
"""The share of a bucket that only what is urgent may use: a code that was used elsewhere is taken back although
a thousand look-ups wait."""
SHORTEST, LONGEST = timedelta(milliseconds=200), timedelta(minutes=1)

_RESERVED = (
    "CASE WHEN a.reserved_at > clock_timestamp() - interval '60 seconds' THEN a.reserved ELSE 0 END"
)
"""What calls on their way have taken; one whose answer never came gives it back after a minute."""
_LEFT = f"""(least(a.most, a.available + a.rate * greatest(0, extract(epoch FROM clock_timestamp() - a.at)))
    - {_RESERVED})"""
"""What the bucket `a` holds by now, for the next one."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """The core's implementation of `hub.connector.Budget`."""

    runtime: Runtime
    channel_id: int
    name: str

    def take(self, cost: float, *, urgent: bool = False) -> timedelta:
        """In one statement: it is there and reserved, or nothing changes. What costs more than the whole
        bucket may go when it is full."""
        kept = 0.0 if urgent else KEPT
        given = {"channel": self.channel_id, "name": self.name, "cost": cost, "kept": kept}
        with self.runtime.sessions.begin() as session:
            taken = run(
                session,
                f"""UPDATE allowances a SET reserved = {_RESERVED} + :cost, reserved_at = clock_timestamp()
                    WHERE a.channel_id = :channel AND a.name = :name
                      AND {_LEFT} >= least(:cost + :kept * a.most, a.most)
                    RETURNING 1""",
                given,
            )
            if taken:
                return timedelta(0)
            short = run(
                session,
                f"""SELECT (least(:cost + :kept * a.most, a.most) - {_LEFT}) / a.rate AS seconds
                    FROM allowances a WHERE a.channel_id = :channel AND a.name = :name AND a.rate > 0""",
                given,
            )
        if not short:
            return timedelta(0)
        return min(max(timedelta(seconds=float(short[0].seconds)), SHORTEST), LONGEST)

    def give_back(self, cost: float) -> None:
        """A call that failed holds nothing; what it used all the same the platform's next answer tells."""
        with self.runtime.sessions.begin() as session:
            run(
                session,
                f"""UPDATE allowances a SET reserved = greatest(0, {_RESERVED} - :cost)
                    WHERE a.channel_id = :channel AND a.name = :name""",
                {"channel": self.channel_id, "name": self.name, "cost": cost},
            )

    def tell(self, available: float, *, rate: float, most: float, taken: float = 0.0) -> None:
        """The platform's word replaces ours; what other calls have reserved stays reserved."""
        with self.runtime.sessions.begin() as session:
            run(
                session,
                f"""INSERT INTO allowances AS a (channel_id, name, available, at, rate, most)
                    VALUES (:channel, :name, :available, clock_timestamp(), :rate, :most)
                    ON CONFLICT (channel_id, name) DO UPDATE
                    SET available = excluded.available, at = excluded.at, rate = excluded.rate,
                        most = excluded.most, reserved = greatest(0, {_RESERVED} - :taken)""",
                {
                    "channel": self.channel_id,
                    "name": self.name,
                    "available": available,
                    "rate": rate,
                    "most": most,
                    "taken": taken,
                },
            )
