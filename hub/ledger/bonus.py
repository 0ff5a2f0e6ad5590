"""Points that are earned without a sale of one's own: what an action or a referral should have given.

Like sales they are targets: what is posted is the difference between what it should come to and what
its entries sum to, per root account (rules.md C1, C2). Nothing here commits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.ledger import accounts
from hub.ledger.accounts import Account, Locked, RootChanged
from hub.ledger.entry import Draft, input_hash
from hub.ledger.write import write


@dataclass(frozen=True, slots=True)
class Bonus:
    """What one action or one side of a referral should have given."""

    subject: str
    """`action:<id>` or `referral:<id>:<side>`: the grant's key."""
    member_id: int
    points: int
    occurred_at: datetime
    available_at: datetime
    expires_at: datetime | None
    context: str
    """What it was judged under."""
    explanation: tuple[Mapping[str, Any], ...]
    """Its steps; they sum to `points`."""


def post_bonuses(
    session: Session,
    program_id: int,
    bonuses: Sequence[Bonus],
    *,
    also_locked: Collection[int] = (),
    chain_key: bytes,
    actor: str,
    now: datetime | None = None,
    currency: str | None = None,
) -> dict[str, int]:
    """Bring each bonus to what it should be. `currency`: store credit in minor units of it, instead of
    points. Returns subject -> net change in points (0: it was right).
    Raises `RootChanged` when the caller has to gather again."""
    posted = _posted(session, program_id, [b.subject for b in bonuses])
    if not posted and not any(bonus.points for bonus in bonuses):
        return {bonus.subject: 0 for bonus in bonuses}
    holders = accounts.members_of(session, {account for _, account in posted})
    members = {b.member_id for b in bonuses} | holders | set(also_locked)
    locked = accounts.lock(
        session, program_id, members, chain_key=chain_key, actor=actor, now=now, currency=currency
    )
    posted = _posted(session, program_id, [b.subject for b in bonuses])
    changes = {bonus.subject: _post(locked, bonus, posted) for bonus in bonuses}
    write(session, locked)
    return changes


def posted_points(session: Session, program_id: int, subjects: Sequence[str]) -> dict[str, int]:
    """What each subject has given so far; takes no locks. Subjects that gave nothing are left out."""
    found: dict[str, int] = defaultdict(int)
    for (subject, _account), posted in _posted(session, program_id, subjects).items():
        found[subject] += posted.points
    return dict(found)


@dataclass(slots=True)
class _Posted:
    """What one bonus has given one account: the sum of its entries, and how many there are."""

    points: int
    entries: int


def _posted(
    session: Session, program_id: int, subjects: Sequence[str]
) -> dict[tuple[str, int], _Posted]:
    """By subject and account. Entries that a merge of members moved count too."""
    rows = run(
        session,
        """SELECT subject, account_id, sum(amount)::bigint AS points, count(*) AS entries
           FROM (SELECT subject, account_id, amount FROM entries
                 WHERE program_id = :program AND subject = ANY(:subjects)
                   AND counter = 'issued' AND transaction_id IS NULL
                 UNION ALL
                 SELECT subject, account_id, amount FROM entries
                 WHERE program_id = :program AND subject = ANY(:subjects) AND counter = 'member') e
           GROUP BY subject, account_id""",
        {"program": program_id, "subjects": list(subjects)},
    )
    return {(r.subject, r.account_id): _Posted(r.points, r.entries) for r in rows}


def _post(locked: Locked, bonus: Bonus, posted: Mapping[tuple[str, int], _Posted]) -> int:
    own = locked.roots[bonus.member_id]
    wanted: dict[int, int] = {own: bonus.points}
    there: dict[int, int] = defaultdict(int)
    for (subject, account_id), found in posted.items():
        if subject == bonus.subject and found.points:
            if account_id not in locked.accounts:
                raise RootChanged
            there[account_id] += found.points
            wanted.setdefault(account_id, 0)
    change = 0
    for account_id in sorted(wanted):
        delta = wanted[account_id] - there[account_id]
        if delta:
            known = posted.get((bonus.subject, account_id), _Posted(0, 0))
            _draft(locked, locked.accounts[account_id], bonus, delta, known)
            change += delta
    return change


def _draft(locked: Locked, account: Account, bonus: Bonus, delta: int, known: _Posted) -> None:
    lowered = ({"code": "bonus_taken_back", "points": str(delta)},)
    explained = sum(int(step["points"]) for step in bonus.explanation) == delta
    account.rebuild = True
    account.drafts.append(
        Draft(
            account_id=account.id,
            amount=delta,
            counter="issued",
            subject=bonus.subject,
            reference=f"{bonus.subject}:{account.id}:{known.entries + 1}",
            input_hash=input_hash(known.points, known.points + delta, bonus.context),
            member_id=bonus.member_id,
            occurred_at=bonus.occurred_at,
            actor=locked.actor,
            available_at=bonus.available_at,
            expires_at=bonus.expires_at,
            explanation=bonus.explanation if explained else lowered,
        )
    )
