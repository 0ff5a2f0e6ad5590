"""Recording what a member did, and giving the points for it: once for each key.

A command, not a message: it is accepted in the order in which it is told (rules.md C2), and its limits
count what was recorded before. Nothing here commits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.ids import new_id
from hub.ledger import accounts
from hub.ledger.bonus import Bonus, post_bonuses
from hub.ledger.entry import input_hash
from hub.members.switch import is_off
from hub.program.actions import Action, Earned, earned
from hub.program.expiry import expires_at
from hub.program.rules import Rules
from hub.program.windows import Period, period


class ActionKeyReused(Exception):
    """The key was used before, for something else (rules.md C2)."""


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody says a member did."""

    program_id: int
    member_id: int
    action: str
    key: str
    """Unique in the programme: the same key does it once."""
    at: datetime
    actor: str
    chain_key: bytes
    now: datetime | None = None
    told_at: datetime | None = None
    """The time that was told with it: part of what a repetition has to say again."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded action. `repeated`: it had been recorded before, nothing happened now."""

    id: str
    action: str
    points: int
    why: str | None
    """Why it earned nothing."""
    occurred_at: datetime
    repeated: bool


def record_action(session: Session, deed: Deed, rules: Rules) -> Recorded:
    """Record an action under the member's account lock and give its points. `rules`: in force when it
    happened. Raises `ActionKeyReused`, and `RootChanged`: do it again."""
    locked = accounts.lock(
        session,
        deed.program_id,
        [deed.member_id],
        chain_key=deed.chain_key,
        actor=deed.actor,
        now=deed.now,
    )
    account = locked.accounts[locked.roots[deed.member_id]]
    digest = input_hash("action", deed.action, account.member_id, deed.told_at)
    known = _known(session, deed, digest)
    if known is not None:
        return known
    action = rules.actions.get(deed.action)
    found = _judged(session, deed, action, account.member_id, rules)
    number, public_id = _insert(session, deed, found, rules.number, digest)
    if found.points:
        bonus = _bonus(number, deed, found, rules)
        post_bonuses(
            session,
            deed.program_id,
            [bonus],
            chain_key=deed.chain_key,
            actor=deed.actor,
            now=deed.now,
        )
    return Recorded(public_id, deed.action, found.points, found.why, deed.at, repeated=False)


def _known(session: Session, deed: Deed, digest: str) -> Recorded | None:
    """Asked under the account's lock; two members with one key meet at the unique constraint."""
    rows = run(
        session,
        """SELECT public_id, action, points, why, occurred_at, input_hash FROM actions
           WHERE program_id = :program AND key = :key""",
        {"program": deed.program_id, "key": deed.key},
    )
    if not rows:
        return None
    if rows[0].input_hash != digest:
        raise ActionKeyReused(deed.key)
    row = rows[0]
    return Recorded(row.public_id, row.action, row.points, row.why, row.occurred_at, repeated=True)


def _judged(session: Session, deed: Deed, action: Action | None, member_id: int, rules: Rules) -> Earned:
    if is_off(session, member_id):
        return Earned(0, why="account_disabled")
    before = _times(session, deed, action, member_id, rules.time_zone) if action else {}
    return earned(action, deed.at, before)


def _times(
    session: Session, deed: Deed, action: Action, member_id: int, time_zone: str
) -> Mapping[Period, int]:
    """How often the member, as whoever they were merged from too, has earned by it in each period."""
    counts: dict[Period, int] = {}
    for of in action.limits:
        window = period(of, deed.at, time_zone)
        counts[of] = run(
            session,
            """SELECT count(*) AS n FROM actions WHERE action = :action AND points > 0
                 AND member_id IN (SELECT id FROM members WHERE id = :member OR alias_of = :member)
                 AND (CAST(:starts AS timestamptz) IS NULL OR occurred_at >= :starts)
                 AND (CAST(:ends AS timestamptz) IS NULL OR occurred_at < :ends)""",
            {
                "action": action.id,
                "member": member_id,
                "starts": window.starts,
                "ends": window.ends,
            },
        )[0].n
    return counts


def _insert(session: Session, deed: Deed, found: Earned, version: int, digest: str) -> tuple[int, str]:
    row: Any = run(
        session,
        """INSERT INTO actions (public_id, program_id, member_id, action, key, input_hash, occurred_at,
                                points, why, program_version, actor)
           VALUES (:public_id, :program, :member, :action, :key, :digest, :at, :points, :why, :version, :actor)
           ON CONFLICT (program_id, key) DO NOTHING RETURNING id, public_id""",
        {
            "public_id": new_id("act"),
            "program": deed.program_id,
            "member": deed.member_id,
            "action": deed.action,
            "key": deed.key,
            "digest": digest,
            "at": deed.at,
            "points": found.points,
            "why": found.why,
            "version": version,
            "actor": deed.actor,
        },
    )
    if not row:
        raise ActionKeyReused(deed.key)
    return row[0].id, row[0].public_id


def _bonus(number: int, deed: Deed, found: Earned, rules: Rules) -> Bonus:
    return Bonus(
        subject=f"action:{number:016d}",
        member_id=deed.member_id,
        points=found.points,
        occurred_at=deed.at,
        available_at=deed.at,
        expires_at=expires_at(rules.expiry, deed.at, rules.time_zone),
        context=f"program version {rules.number}",
        explanation=found.steps,
    )
