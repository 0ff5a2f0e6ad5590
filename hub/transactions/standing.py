"""Where members stand: their tiers replayed from what is known of them, and the stored result.

The replay is the truth, whenever it is asked; what is stored of it serves lists, the history on a
member's page, and the sweeper, which looks again when a tier may have changed by itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from hub.bulk import arrays, run, unnest
from hub.program.birthdays import occasions
from hub.program.climb import Change, Climb, Progress, replay
from hub.program.history import in_order
from hub.program.ladder import Ladder
from hub.program.rules import Buyer, Rules, in_force
from hub.program.segments import Member, belongs_to
from hub.transactions import past
from hub.transactions.past import Known


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one member stands at a moment."""

    ladder: Ladder | None
    """None: the programme in force has no tiers."""
    progress: Progress
    history: tuple[Change, ...]
    """Oldest first."""
    segments: Mapping[str, str]
    """Those they belong to: id -> name."""
    tags: frozenset[str]
    joined: datetime


def keeps_tiers(versions: Sequence[Rules]) -> bool:
    """Whether any version of a program has tiers."""
    return any(rules.tiers is not None for rules in versions)


def of_member(
    session: Session, program_id: int, versions: Sequence[Rules], root: int, now: datetime
) -> Standing:
    """Where a member, who is no alias, stands now."""
    member = past.known(session, program_id, [root], versions)[root]
    rules, climb = in_force(versions, now), climbed(member, versions, now)
    theirs = segments_of(member, rules, climb.tier, now)
    return Standing(
        ladder=rules.tiers,
        progress=climb.progress(),
        history=tuple(climb.changes),
        segments={one.id: one.name for one in rules.segments if one.id in theirs},
        tags=member.tags,
        joined=member.joined,
    )


def buyer_of(
    session: Session, program_id: int, versions: Sequence[Rules], root: int, at: datetime
) -> Buyer:
    """Who a member, who is no alias, is to rules that ask who buys at a moment; which order it would be
    is not looked at."""
    member = past.known(session, program_id, [root], versions)[root]
    rules, tier = in_force(versions, at), climbed(member, versions, at).tier
    birthday = occasions(member.birthday, at, rules.time_zone)
    return Buyer(tier, segments_of(member, rules, tier, at), birthday)


def climbed(member: Known, versions: Sequence[Rules], until: datetime) -> Climb:
    """A member's way up to a moment."""
    zone = ZoneInfo(versions[0].time_zone)
    facts = in_order(member.facts)
    return replay(past.ladders(versions), zone, member.begins, facts, until, member.joined)


def segments_of(member: Known, rules: Rules, tier: str | None, at: datetime) -> frozenset[str]:
    """The segments a member belongs to at a moment, by what they bought before it."""
    if not rules.segments:
        return frozenset()
    before = [p for p in member.purchases if p.at < at]
    them = Member(at, tier, member.tags, member.birthday, before)
    return belongs_to(rules.segments, them, ZoneInfo(rules.time_zone))


def refresh(
    session: Session, program_id: int, versions: Sequence[Rules], roots: Collection[int], now: datetime
) -> set[int]:
    """Replay these members, whose accounts are locked, and store what came out. Returns those who are in
    another tier than was stored. Nothing is written where nothing changed."""
    if not roots or not keeps_tiers(versions):
        return set()
    members = past.known(session, program_id, roots, versions)
    ways = {root: climbed(member, versions, now) for root, member in members.items()}
    due = {root: _due(ways[root], member, now) for root, member in members.items()}
    _store_history(session, program_id, ways, now)
    return _store_standings(session, program_id, ways, due, now)


def _due(climb: Climb, member: Known, now: datetime) -> datetime | None:
    """When to look again: a till whose clock is ahead sells a little in the future."""
    moments = [fact.at for fact in member.facts if fact.at > now]
    if climb.next_moment is not None:
        moments.append(climb.next_moment)
    return min(moments, default=None)


def members_by_tier(session: Session, program_id: int) -> dict[str, int]:
    """How many members are in each tier, as stored: within seconds of the truth."""
    rows = run(
        session,
        """SELECT s.tier, count(*) AS members FROM tier_standings s JOIN members m ON m.id = s.member_id
           WHERE s.program_id = :program AND s.tier IS NOT NULL AND m.alias_of IS NULL GROUP BY 1""",
        {"program": program_id},
    )
    return {row.tier: row.members for row in rows}


def look_again(session: Session, rules: Rules, member_ids: Collection[int]) -> None:
    """Points came or went: the sweeper looks at these members at once. Nothing where no tier counts
    points (who asks in the meantime is answered by a replay anyway)."""
    if rules.tiers is None or not rules.tiers.by.startswith("points"):
        return
    run(
        session,
        """UPDATE tier_standings s SET due_at = clock_timestamp() FROM members m
           WHERE m.id = ANY(:ids) AND s.member_id = coalesce(m.alias_of, m.id)""",
        {"ids": sorted(member_ids)},
    )


def forget(session: Session, member_id: int) -> None:
    """Nothing is stored of a member who is an alias now."""
    for table in ("tier_history", "tier_standings"):
        run(session, f"DELETE FROM {table} WHERE member_id = :id", {"id": member_id})


def _store_history(session: Session, program_id: int, ways: Mapping[int, Climb], now: datetime) -> None:
    """Rows from the first that is another one than stored are replaced."""
    stored: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for row in run(
        session,
        """SELECT member_id, at, tier, why, count AS counted FROM tier_history
           WHERE member_id = ANY(:ids) ORDER BY member_id, n""",
        {"ids": list(ways)},
    ):
        stored[row.member_id].append((row.at, row.tier, row.why, row.counted))
    stale, fresh = [], []
    for root, climb in sorted(ways.items()):
        rows = [(c.at, c.tier, c.why, c.count) for c in climb.changes]
        same = _common(stored[root], rows)
        if same < len(stored[root]):
            stale.append({"member_id": root, "n": same})
        fresh += [
            {"member_id": root, "n": n, "at": at, "tier": tier, "why": why, "count": count}
            for n, (at, tier, why, count) in enumerate(rows)
            if n >= same
        ]
    _replace_history(session, program_id, stale, fresh, now)


def _common(first: Sequence[Any], second: Sequence[Any]) -> int:
    """How many they have in common from the beginning on."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(first), len(second)))


def _replace_history(
    session: Session,
    program_id: int,
    stale: list[dict[str, Any]],
    fresh: list[dict[str, Any]],
    now: datetime,
) -> None:
    if stale:
        columns = {"member_id": "bigint", "n": "integer"}
        run(
            session,
            f"DELETE FROM tier_history h USING {unnest(columns)} WHERE h.member_id = r.member_id AND h.n >= r.n",
            arrays(columns, stale),
        )
    if fresh:
        columns = {"member_id": "bigint", "n": "integer", "at": "timestamptz", "tier": "text", "why": "text",
                   "count": "bigint"}  # fmt: skip
        run(
            session,
            f"""INSERT INTO tier_history (program_id, member_id, n, at, tier, why, count, recorded_at)
                SELECT :program, r.member_id, r.n, r.at, r.tier, r.why, r.count, :now FROM {unnest(columns)}""",
            {**arrays(columns, fresh), "program": program_id, "now": now},
        )


_STANDING = {"member_id": "bigint", "tier": "text", "count": "bigint", "due_at": "timestamptz"}


def _store_standings(
    session: Session,
    program_id: int,
    ways: Mapping[int, Climb],
    due: Mapping[int, datetime | None],
    now: datetime,
) -> set[int]:
    before = {
        row.member_id: (row.tier, row.counted, row.due_at)
        for row in run(
            session,
            "SELECT member_id, tier, count AS counted, due_at FROM tier_standings WHERE member_id = ANY(:ids)",
            {"ids": list(ways)},
        )
    }
    after = {root: (c.tier, c.progress().count, due[root]) for root, c in ways.items()}
    rows = [
        dict(zip(_STANDING, (root, *what), strict=True))
        for root, what in sorted(after.items())
        if before.get(root) != what
    ]
    if rows:
        run(
            session,
            f"""INSERT INTO tier_standings (program_id, member_id, tier, count, due_at, updated_at)
                SELECT :program, r.member_id, r.tier, r.count, r.due_at, :now FROM {unnest(_STANDING)}
                ON CONFLICT (member_id) DO UPDATE SET tier = excluded.tier, count = excluded.count,
                    due_at = excluded.due_at, updated_at = excluded.updated_at""",
            {**arrays(_STANDING, rows), "program": program_id, "now": now},
        )
    return {root for root, what in after.items() if root not in before or before[root][0] != what[0]}
