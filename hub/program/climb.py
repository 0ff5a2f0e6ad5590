"""How one member climbs: a replay of what they bought and were given into the tiers they were in.

Pure, no clock, standard library only. The result depends on the facts and not on when they were told:
any order of arrival gives the same history. What was refunded was not bought, so a tier that only a
refunded sale carried is gone with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from hub.program.days import first_after, months_later, start_of
from hub.program.history import Act, Fact, Movement, Purchase
from hub.program.ladder import Ladder

Ladders = Sequence[tuple[datetime, Ladder | None]]
"""The ladder of each version of a program, with the moment from which it is in force, oldest first."""


@dataclass(frozen=True, slots=True)
class Change:
    """From when on a member is in a tier, and why."""

    at: datetime
    tier: str | None
    why: str
    """reached, lapsed, reviewed, set, guaranteed, guarantee_ended, member_of, membership_ended,
    rules_changed."""
    count: int = 0
    """What was counted then, in the ladder's own unit."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a member stands: in the count's own unit (minor units, points, orders, days)."""

    tier: str | None
    since: datetime | None
    count: int
    next_tier: str | None = None
    next_at: int | None = None
    """The count from which the next tier is reached."""
    missing: int | None = None
    keep_at: int | None = None
    """The count that keeps the present tier at the next review; None: it needs none."""
    review_at: datetime | None = None
    held: bool = False
    """The present tier is guaranteed or bought, above what the count leads to."""
    held_until: datetime | None = None


@dataclass(slots=True)
class _Guarantee:
    tier: str
    starts: datetime
    ends: datetime | None
    why: str


class Climb:
    """A member's way, one fact after the other, each not before the last. It begins with the first that
    is known of them (`begins`); `joined`: the day from which membership years count, where it is another."""

    def __init__(
        self, ladders: Ladders, zone: ZoneInfo, begins: datetime, joined: datetime | None = None
    ) -> None:
        self.changes: list[Change] = []
        self._zone = zone
        self._begins, self._joined = begins, joined or begins
        self._later = deque(ladders[1:])
        self._ladder = ladders[0][1] if ladders else None
        self._facts: list[Fact] = []
        self._guarantees: list[_Guarantee] = []
        self._now = begins
        while self._later and self._later[0][0] <= begins:
            self._ladder = self._later.popleft()[1]
        self._level = self._ladder.base if self._ladder else -1
        self._pending: tuple[datetime, int] | None = None
        self._last_visit: date | None = None
        self._begin_period(begins)
        self._recount()
        if self._level >= 0:
            self._record("reached")

    # --- what can be asked ---

    @property
    def tier(self) -> str | None:
        """The tier at this point."""
        if self._ladder is None or self._place < 0:
            return None
        return self._ladder.levels[self._place].id

    def tier_with(self, purchase: Purchase) -> str | None:
        """The tier by which a sale that comes next is judged: the one it finds, or leads to."""
        ladder = self._ladder
        if ladder is None or not ladder.this_order:
            return self.tier
        if ladder.enter == "at_review" or ladder.by.startswith("points"):
            return self.tier
        place = max(self._place, ladder.reached(self._count + self._more(purchase)))
        return ladder.levels[place].id if place >= 0 else None

    @property
    def next_moment(self) -> datetime | None:
        """When the tier may change although nothing happens; None: never."""
        ladder = self._ladder
        found = [at for at in self._moments() if at is not None]
        if ladder is not None and self._place <= ladder.base and ladder.enter == "at_once":
            found = [self._later[0][0]] if self._later else []
        return min(found, default=None)

    def progress(self) -> Progress:
        """How far it is to the next tier, and what keeps the present one."""
        ladder, since = self._ladder, self.changes[-1].at if self.changes else None
        if ladder is None:
            return Progress(None, since, 0)
        found = Progress(self.tier, since, int(self._count))
        following = ladder.above(self._place)
        if following is not None and following.least is not None:
            missing = max(0, _up(following.least - self._count))
            found = replace(found, next_tier=following.id, next_at=following.least, missing=missing)
        if self._place > self._level:
            ends = [g.ends for g in self._guarantees if ladder.place(g.tier) == self._place]
            until = None if None in ends else max(e for e in ends if e is not None)
            return replace(found, held=True, held_until=until)
        if ladder.leave == "at_review" and self._level > ladder.base:
            keep = ladder.levels[self._level].keep
            found = replace(found, keep_at=keep, review_at=self._review_at)
        return found

    # --- what happens ---

    def advance(self, to: datetime) -> None:
        """Let time pass until then: reviews, ends of guarantees, sales that leave the window."""
        while (moment := min((m for m in self._moments() if m is not None), default=None)) is not None:
            if moment > to:
                break
            self._now = moment
            self._pass(moment)
        self._now = max(self._now, to)
        self._slide()

    def take(self, fact: Fact) -> None:
        """One more fact, at or after the last."""
        self.advance(fact.at)
        self._facts.append(fact)
        if isinstance(fact, Act):
            self._act(fact)
            return
        more = self._more(fact)
        if isinstance(fact, Purchase):
            self._last_visit = fact.at.astimezone(self._zone).date()
            for tier, pieces in fact.memberships:
                self._join(tier, pieces, fact.at)
        if more:
            self._add(more)
            self._settle("reached")

    # --- counting ---

    def _more(self, fact: Fact) -> Fraction | int:
        """What a fact adds to the count."""
        ladder = self._ladder
        if ladder is None or isinstance(fact, Act):
            return 0
        if isinstance(fact, Movement):
            if ladder.by == "points_balance":
                return fact.balance
            return fact.earned if ladder.by == "points_earned" else 0
        if ladder.by == "visits" and fact.at.astimezone(self._zone).date() == self._last_visit:
            return 0
        return ladder.worth(fact)

    def _add(self, more: Fraction | int) -> None:
        self._count += more
        ladder = self._ladder
        if ladder is not None and ladder.over == "rolling" and ladder.by != "points_balance":
            day = months_later(self._now.astimezone(self._zone).date(), ladder.rolling_months)
            self._window.append((start_of(day, self._zone), more))

    def _recount(self) -> None:
        """The count from all facts so far, as the ladder in force counts."""
        facts, now, self._now = self._facts, self._now, self._begins
        self._count: Fraction | int = 0
        self._window: deque[tuple[datetime, Fraction | int]] = deque()
        self._last_visit = None
        for fact in facts:
            self._now = fact.at
            if fact.at < self._counts_from:
                continue
            if isinstance(fact, Act):
                if fact.kind == "count":
                    self._add(fact.amount - self._count)
            else:
                self._add(self._more(fact))
            if isinstance(fact, Purchase):
                self._last_visit = fact.at.astimezone(self._zone).date()
        self._now = now
        self._slide()

    @property
    def _counts_from(self) -> datetime:
        ladder = self._ladder
        periodic = ladder is not None and ladder.over in {"calendar_year", "membership_year"}
        if ladder is None or ladder.by == "points_balance" or not periodic:
            return self._begins
        return self._period_start

    def _slide(self) -> None:
        """Sales that are older than the window count no more."""
        while self._window and self._window[0][0] <= self._now:
            self._count -= self._window.popleft()[1]

    def _empty(self) -> None:
        ladder = self._ladder
        if ladder is not None and ladder.by != "points_balance":
            self._count = 0
            self._window.clear()

    # --- time ---

    def _moments(self) -> tuple[datetime | None, ...]:
        """When something happens by itself."""
        ladder = self._ladder
        ends = [g.ends for g in self._guarantees if g.ends is not None]
        slides = bool(ladder and ladder.leave == "at_once" and self._window)
        return (
            self._later[0][0] if self._later else None,
            self._review_at,
            self._pending[0] if self._pending else None,
            min(ends, default=None),
            self._window[0][0] if slides else None,
        )

    def _pass(self, moment: datetime) -> None:
        self._slide()
        if self._later and self._later[0][0] <= moment:
            self._change_rules()
        if self._pending and self._pending[0] <= moment:
            self._drop(self._pending[1])
        if self._review_at is not None and self._review_at <= moment:
            self._review(moment)
        for ended in [g for g in self._guarantees if g.ends is not None and g.ends <= moment]:
            self._guarantees.remove(ended)
            self._record("membership_ended" if ended.why == "member_of" else "guarantee_ended")
        self._settle("lapsed")

    def _begin_period(self, at: datetime) -> None:
        self._period_start = at
        self._review_at = self._next_review(at)

    def _next_review(self, at: datetime) -> datetime | None:
        ladder = self._ladder
        if ladder is None or not _has_reviews(ladder):
            return None
        if ladder.review != "membership_year":
            return start_of(first_after(at.astimezone(self._zone).date(), ladder.review), self._zone)
        start = (self._joined if ladder.year_from == "joining" else at).astimezone(self._zone).date()
        number = 0
        while True:
            day = start + timedelta(days=number * ladder.year_days) if ladder.year_days else (
                months_later(start, number * ladder.year_months)
            )  # fmt: skip
            if (moment := start_of(day, self._zone)) > at:
                return moment
            number += 1

    # --- deciding ---

    def _settle(self, why: str) -> None:
        """Up at once and down at once, where the ladder has it so."""
        ladder = self._ladder
        if ladder is None:
            return
        reached = ladder.reached(self._count)
        if reached >= self._level:
            self._pending = None
        if reached > self._level and ladder.enter == "at_once":
            self._move(reached, "reached")
        elif reached < self._level and ladder.leave == "at_once":
            self._move(reached, "lapsed" if why == "reached" else why)

    def _review(self, moment: datetime) -> None:
        ladder = self._ladder
        assert ladder is not None
        count, level = self._count, self._level
        self._begin_period(moment)
        if ladder.over in {"calendar_year", "membership_year"}:
            self._empty()
        reached = ladder.reached(count)
        if reached > level and ladder.enter == "at_review":
            self._move(reached, "reviewed", count)
        elif ladder.leave == "at_review" and (stays := self._stays(ladder, level, count)) < level:
            grace = moment.astimezone(self._zone).date() + timedelta(days=ladder.grace_days)
            self._pending = (start_of(grace, self._zone), stays)
            if not ladder.grace_days:
                self._drop(stays, count)

    def _stays(self, ladder: Ladder, level: int, count: Fraction | int) -> int:
        stays = ladder.kept(level, count)
        if stays < level and ladder.drop == "one_step":
            return max(level - 1, ladder.base)
        return stays

    def _drop(self, place: int, count: Fraction | int | None = None) -> None:
        self._pending = None
        if place < self._level:
            self._move(place, "reviewed", count)

    def _move(self, place: int, why: str, count: Fraction | int | None = None) -> None:
        """Into another tier of the ladder."""
        ladder = self._ladder
        assert ladder is not None
        counted = self._count if count is None else count
        self._level, self._pending = place, None
        if ladder.reset:
            self._empty()
        if ladder.review == "membership_year" and ladder.year_from == "entry":
            self._begin_period(self._now)
            if ladder.over == "membership_year":
                self._empty()
        self._record(why, counted)

    def _change_rules(self) -> None:
        """Another version: tiers keep their place by their id; who was in none, or in one that is gone,
        is placed by the count."""
        before = self._ladder
        was = before.levels[self._level].id if before and self._level >= 0 else None
        self._ladder = ladder = self._later.popleft()[1]
        self._pending = None
        if ladder is None:
            self._level, self._review_at = -1, None
            self._record("rules_changed")
            return
        if before is None:
            self._period_start = self._now
        self._review_at = self._next_review(self._now)
        self._recount()
        self._level = max(ladder.place(was), ladder.base)
        if before is None or ladder.place(was) < 0:
            self._level = max(self._level, ladder.reached(self._count))
        self._record("rules_changed")
        self._settle("rules_changed")

    def _act(self, act: Act) -> None:
        ladder = self._ladder
        if act.kind == "release":
            self._guarantees = [g for g in self._guarantees if g.why != "guaranteed"]
            self._record("guarantee_ended")
        if ladder is None:
            return
        if act.kind == "set":
            self._move(max(ladder.place(act.tier), ladder.base), "set")
        elif act.kind == "guarantee" and act.tier is not None:
            self._guarantees.append(_Guarantee(act.tier, act.at, act.until, "guaranteed"))
            self._record("guaranteed")
        elif act.kind == "count":
            self._add(act.amount - self._count)
            self._settle("reached")
        elif act.kind == "review":
            self._review(act.at)

    def _join(self, tier: str, pieces: int, at: datetime) -> None:
        """A paid membership begins, or goes on from the end of the one that runs."""
        ladder = self._ladder
        plan = next((m for m in ladder.memberships if m.tier == tier), None) if ladder else None
        if plan is None or pieces <= 0:
            return
        running = [g for g in self._guarantees if (g.tier, g.why) == (tier, "member_of")]
        starts = max((g.ends for g in running if g.ends is not None), default=at)
        day = starts.astimezone(self._zone).date()
        if plan.months:
            day = months_later(day, plan.months * pieces)
        ends = start_of(day + timedelta(days=(plan.days or 0) * pieces), self._zone)
        self._guarantees = [g for g in self._guarantees if g not in running]
        self._guarantees.append(_Guarantee(tier, at, ends, "member_of"))
        self._record("member_of")

    # --- recording ---

    @property
    def _place(self) -> int:
        ladder = self._ladder
        if ladder is None:
            return -1
        return max([self._level, *(ladder.place(g.tier) for g in self._guarantees)])

    def _record(self, why: str, count: Fraction | int | None = None) -> None:
        """Note the tier if it is another one now."""
        last = self.changes[-1].tier if self.changes else None
        if self.tier != last:
            counted = int(self._count if count is None else count)
            self.changes.append(Change(self._now, self.tier, why, counted))


def replay(
    ladders: Ladders,
    zone: ZoneInfo,
    begins: datetime,
    facts: Sequence[Fact],
    until: datetime,
    joined: datetime | None = None,
) -> Climb:
    """A member's way through these facts, which are in order, as it stands at `until`."""
    climb = Climb(ladders, zone, begins, joined)
    for fact in facts:
        if fact.at > until:
            break
        climb.take(fact)
    climb.advance(until)
    return climb


def _has_reviews(ladder: Ladder) -> bool:
    periodic = ladder.over in {"calendar_year", "membership_year"}
    return periodic or ladder.enter == "at_review" or ladder.leave == "at_review"


def _up(count: Fraction | int) -> int:
    """To the next whole: what is short of it by a fraction is short of it."""
    return -int(-count // 1)
