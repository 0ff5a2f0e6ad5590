"""What bringing in a channel's history would come to, found by doing it and rolling it back.

The very path of every message, in batches of whole customers, so that tiers, caps and "every tenth order" see what
they will see; nothing is kept but sums and a place, so that it goes on after a kill and takes no memory. Two
batches know nothing of each other: of campaigns with a budget, and of people whose orders name them by different
addresses, the figures say "about".
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.orm import Session

from hub.bulk import run
from hub.db import AWAY
from hub.ledger.accounts import RootChanged
from hub.members.resolve import Collision
from hub.outbox import deliveries
from hub.outbox.channels import Channel
from hub.outbox.deliveries import Finish
from hub.program import store
from hub.program.rules import in_force
from hub.program.worth import worth_of
from hub.runtime import Runtime
from hub.sync.again import rolled_back
from hub.sync.backfills import Backfill
from hub.sync.process import Batch
from hub.transactions.judge import HISTORY, History
from hub.transactions.post import Transaction

log = structlog.get_logger()

BATCH = 100
MOST = 1000
"""Messages of one customer that are tried together at most."""
_TRIES = 4


@dataclass(frozen=True, slots=True)
class Figures:
    """What a dry run has found so far."""

    tried: int = 0
    sales: int = 0
    members_found: int = 0
    """Members whom the hub knew and who bought, or are customers there."""
    members_new: int = 0
    merges: int = 0
    """Pairs that would be suggested to be merged."""
    given: int = 0
    taken: int = 0
    """Points of orders that the hub had, and that count for less now."""
    expired: int = 0
    """Of those given: so many whose time would be over at once."""
    for_tiers: int = 0
    """Points that sales would have earned which count for tiers alone."""
    tiers_only: int = 0
    """Those sales."""
    before_start: int = 0
    """Sales placed before the programme began, among those that count."""
    ignored: Mapping[str, int] = field(default_factory=dict)
    """Reason -> sales that do not count."""
    waits: Mapping[str, int] = field(default_factory=dict)
    """Reason -> messages that would wait for something."""
    fails: Mapping[str, int] = field(default_factory=dict)
    """Code -> messages that would fail."""
    unsure: int = 0
    """Somebody was at the same members all the time: not tried."""
    welcome: int = 0
    """Points that new members get for being new."""
    liability: int | None = None
    """What given less expired and taken, and welcome, is worth: minor units; None: points buy no money's worth."""

    def __add__(self, other: Figures) -> Figures:
        sums: dict[str, Any] = {}
        for one in fields(self):
            mine, theirs = getattr(self, one.name), getattr(other, one.name)
            if isinstance(mine, Mapping):
                sums[one.name] = dict(Counter(mine) + Counter(theirs))
            elif one.name != "liability":
                sums[one.name] = mine + theirs
        return Figures(**sums)

    @property
    def net(self) -> int:
        """Points that members would have more than now."""
        return self.given - self.taken - self.expired + self.welcome

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Figures:
        """As kept with a backfill; nothing was tried yet where that is empty."""
        return cls(**{one.name: kept[one.name] for one in fields(cls) if one.name in kept})

    def as_json(self) -> dict[str, Any]:
        """To be kept, and shown."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def as_text(self) -> str:
        """JSON."""
        return json.dumps(self.as_json(), sort_keys=True)


@dataclass(frozen=True, slots=True)
class TryBatch:
    """The next messages to be tried together, and the place up to which that is."""

    ids: Sequence[int]
    upto: int


def next_batch(session: Session, found: Backfill) -> TryBatch:
    """The next customers' messages, all of a customer's (at most `MOST`) together."""
    rows = run(
        session,
        """SELECT delivery_id, group_place, who FROM backfill_items
           WHERE backfill_id = :id AND group_place > :place ORDER BY group_place LIMIT :limit""",
        {"id": found.id, "place": found.place, "limit": MOST + 1},
    )
    cut = min(len(rows), BATCH)
    while 0 < cut < len(rows) and rows[cut].who and rows[cut].who == rows[cut - 1].who and cut < MOST:
        cut += 1
    its = rows[:cut]
    return TryBatch([row.delivery_id for row in its], its[-1].group_place if its else found.place)


def rehearse(runtime: Runtime, found: Backfill, channel: Channel, ids: Sequence[int]) -> Figures:
    """One batch; what raises is halved until it stands alone, as when it is processed."""
    try:
        return rolled_back(
            runtime,
            lambda session: _carry_out(runtime, session, found, channel, ids),
            times=_TRIES,
            seconds=30,
        )
    except (Collision, RootChanged, *AWAY):
        return Figures(tried=len(ids), unsure=len(ids))
    except Exception as error:
        # processing parks what raises; the figures say so
        if len(ids) > 1:
            middle = len(ids) // 2
            halves = ids[:middle], ids[middle:]
            first, second = (rehearse(runtime, found, channel, half) for half in halves)
            return first + second
        log.warning("a message of a history raised", delivery=ids[0], exc_info=error)
        return Figures(tried=1, fails={"unexpected": 1})


def _carry_out(
    runtime: Runtime, session: Session, found: Backfill, channel: Channel, ids: Sequence[int]
) -> Figures:
    claimed = deliveries.read(session, ids)
    batch = _as_history(Batch.read(runtime, session, found.program_id, claimed), found, channel)
    directory = batch.meet(session)
    named = {directory.root(member) for member in directory.members.values()}
    finishes, transactions = batch.rehearse(session)
    its = [t for key, t in transactions.items() if key[0] == channel.id]
    merges = run(
        session,
        """SELECT count(*) AS n FROM merge_suggestions
           WHERE program_id = :program AND xmin = CAST(pg_current_xact_id() AS xid)""",
        {"program": found.program_id},
    )[0].n
    starts = store.by_id(session, found.program_id).starts_at
    return Figures(
        tried=len(ids),
        members_found=len(named - set(directory.new_members)),
        members_new=len(directory.new_members),
        merges=merges,
        **_of_sales(its, runtime.clock(), starts),
        **_of_messages(finishes),
    )


def _as_history(batch: Batch, found: Backfill, channel: Channel) -> Batch:
    """The same batch as if somebody had said already what the channel's history counts for."""
    situations = dict(batch.ground.situations)
    before = situations[channel.id]
    begins = min(found.since, before.history.begins) if before.history else found.since
    situations[channel.id] = replace(before, history=History(begins, found.until, found.counts))
    return replace(batch, ground=replace(batch.ground, situations=situations))


def _of_sales(sold: Sequence[Transaction], now: datetime, starts: datetime) -> dict[str, Any]:
    judged = [(t, t.verdict) for t in sold if t.sale is not None and t.verdict is not None]
    counting = [(t, v) for t, v in judged if not v.ignored]
    only = [v for _, v in counting if v.judgement.why == HISTORY]
    return {
        "sales": len(judged),
        "given": sum(t.change for t, _ in judged if t.change > 0),
        "taken": -sum(t.change for t, _ in judged if t.change < 0),
        "expired": sum(
            t.change
            for t, v in judged
            if t.change > 0 and v.expires_at is not None and v.expires_at <= now
        ),
        "for_tiers": sum(v.tier_points or 0 for v in only),
        "tiers_only": len(only),
        "before_start": sum(1 for t, _ in counting if t.placed_at is not None and t.placed_at < starts),
        "ignored": dict(Counter(v.ignored for _, v in judged if v.ignored)),
    }


def _of_messages(finishes: Sequence[Finish]) -> dict[str, Any]:
    waits = Counter(f.reason or "waiting" for f in finishes if f.state == "waiting")
    return {"waits": dict(waits), "fails": dict(Counter(f.code for f in finishes if f.code))}


def concluded(session: Session, found: Backfill, figures: Figures, now: datetime) -> Figures:
    """The figures with what follows from them: points for being new, and what all of it is worth."""
    program = store.by_id(session, found.program_id)
    rules = in_force(store.versions(session, program), now)
    each = sum(action.points for action in rules.actions.values() if action.by == "sign_up")
    figures = replace(figures, welcome=each * figures.members_new)
    return replace(figures, liability=worth_of(rules, max(0, figures.net), program.currency))
