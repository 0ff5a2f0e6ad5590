"""What a scenario's world knows of tiers and of its customers: by the product's own decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from hub.canonical import Customer, CustomerRef
from hub.desk import tiers as desk_tiers
from hub.desk.place import Desk
from hub.desk.tiers import Decision
from hub.members import profile
from hub.members.resolve import Mention, resolve
from hub.money import from_minor, to_minor_exact
from hub.program.history import ActKind
from hub.program.rules import Rules
from hub.program.store import Program
from hub.runtime import Runtime
from hub.sync import standings
from tests.scenarios.reading import Unsupported
from tests.scenarios.tiers import segment_id, tier_id

Event = Mapping[str, Any]
JOINING = frozenset({"joined", "created", "account_created", "signup", "customer_registered"})


class Standings:
    """The part of the world that is about who people are."""

    runtime: Runtime
    program: Program
    rules: Rules
    currency: str
    zone: str
    now: datetime
    said: dict[str, Any]

    def _member(self, session: Any, customer: str) -> int:
        raise NotImplementedError

    def _desk(self, session: Any) -> Desk:
        return Desk(self.runtime, session, self.program, "scenario")

    def tier(self, customer: str) -> str | None:
        """The name of the tier that a customer is in now."""
        if self.rules.tiers is None:
            return None
        with self.runtime.sessions.begin() as session:
            stands = desk_tiers.of(self._desk(session), self._member(session, customer), self.now)
        names = {level.id: level.name for level in self.rules.tiers.levels}
        return names.get(stands.progress.tier or "")

    def spent_in_period(self, customer: str) -> Decimal | None:
        """What counts for a customer's tier, where spend does."""
        if self.rules.tiers is None or self.rules.tiers.by != "spend":
            return None
        with self.runtime.sessions.begin() as session:
            stands = desk_tiers.of(self._desk(session), self._member(session, customer), self.now)
        return from_minor(stands.progress.count, self.currency)

    def review(self) -> None:
        """What the sweeper does as time passes."""
        runtime = replace(self.runtime, clock=lambda: self.now)
        while standings.review_due(runtime):
            pass

    def tag(self, customer: str, names: list[str]) -> None:
        """The customer belongs to these segments."""
        known = {one.id for one in self.rules.segments}
        with self.runtime.sessions.begin() as session:
            for name in names:
                if segment_id(name) in known:
                    member = self._member(session, customer)
                    desk_tiers.tag(self._desk(session), member, name, on=True)

    def joins(self, customer: str) -> None:
        """The customer becomes a member now."""
        with self.runtime.sessions.begin() as session:
            runtime = replace(self.runtime, clock=lambda: self.now)
            desk = replace(self._desk(session), runtime=runtime)
            desk_tiers.join(desk, self._member(session, customer), self.now)

    # --- events ---

    def _on_set_tier(self, event: Event) -> None:
        _only(event, {"type", "seq", "at", "customer", "tier", "manual_floor"})
        kind: ActKind = "guarantee" if event.get("manual_floor") else "set"
        tier = event.get("manual_floor") or event["tier"]
        self._decide(event, Decision(kind, tier=tier_id(tier)))

    def _on_points_changed(self, event: Event) -> None:
        _only(event, {"type", "seq", "at", "customer", "points_now"})
        self._decide(event, Decision("count", amount=event["points_now"]))

    def _on_recalculation(self, event: Event) -> None:
        """What the tiers count is told, and they are reviewed."""
        _only(event, {"type", "seq", "at", "customer", "points_now", "earned_in_period"})
        counts = event["points_now"]
        if self.rules.tiers is not None and self.rules.tiers.by == "points_earned":
            counts = event["earned_in_period"]
        self._decide(event, Decision("count", amount=counts))
        self._decide(event, Decision("review"))

    def _on_spend_total(self, event: Event) -> None:
        _only(event, {"type", "seq", "at", "customer", "amount"})
        self._count_spend(event, event["amount"])

    def _on_customer_data(self, event: Event) -> None:
        _only(event, {"type", "seq", "at", "customer", "birthday", "birth_date", "segments", "tags",
                      "spend_so_far", "spend_in_year", "joined"})  # fmt: skip
        customer = event.get("customer", "C1")
        born = event.get("birthday", event.get("birth_date"))
        if born is not None:
            self.born(customer, born)
        self.tag(customer, [*event.get("segments", []), *event.get("tags", [])])
        for name in ("spend_so_far", "spend_in_year"):
            if name in event:
                self._count_spend(event, event[name])

    def _on_tier_progress(self, event: Event) -> None:
        """What counts for the next tier; a past recalculation is told of first."""
        _only(event, {"type", "seq", "at", "customer"})
        for at in self._recalculated:
            self._decide(event, Decision("review"), at)
        with self.runtime.sessions.begin() as session:
            member = self._member(session, event.get("customer", "C1"))
            stands = desk_tiers.of(self._desk(session), member, self.now)
        self.said = {"progress": stands.progress.count, "needed": stands.progress.missing}

    _recalculated: tuple[datetime, ...] = ()

    def born(self, customer: str, day: str) -> None:
        """A channel tells of a birthday."""
        date.fromisoformat(day)
        ref = CustomerRef(cards=(customer,), birthday=day)
        mention = Mention.of(ref, channel_id=0, region="VN")
        with self.runtime.sessions.begin() as session:
            directory = resolve(session, self.program.id, [mention])
            told = [(mention, Customer(ref, version=1, as_of=self.now))]
            profile.update(session, self.program.id, told, directory)

    def _count_spend(self, event: Event, amount: str) -> None:
        if self.rules.tiers is None or self.rules.tiers.by != "spend":
            raise Unsupported(f"{event['type']}: the tiers do not count spend")
        counted = to_minor_exact(Decimal(amount), self.currency)
        self._decide(event, Decision("count", amount=counted))

    def _decide(self, event: Event, decision: Decision, at: datetime | None = None) -> None:
        if self.rules.tiers is None:
            raise Unsupported(f"{event['type']}: the programme has no tiers")
        key = f"{event['seq']}-{decision.kind}"
        with self.runtime.sessions.begin() as session:
            member = self._member(session, event.get("customer", "C1"))
            desk_tiers.decide(
                self._desk(session), member, decision, reason="scenario", key=key, now=at or self.now
            )


def _only(words: Mapping[str, Any], known: set[str]) -> None:
    strange = sorted(set(words).difference(known))
    if strange:
        raise Unsupported(f"{words['type']}.{strange[0]}: the product has nothing like it yet")
