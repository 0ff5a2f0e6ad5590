"""Posting by target: what a sale should have earned, less what it has, on the right accounts.

Every function takes a session and never commits. Accounts are locked in the order of their ids
(rules.md C4), then settled (D6), then written by `hub.ledger.write`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy.orm import Session

from hub.ledger.accounts import (
    Account,
    Locked,
    Posting,
    RootChanged,
    load_postings,
    lock,
    members_of,
)
from hub.ledger.entry import Draft, input_hash
from hub.ledger.lots import Grant
from hub.ledger.write import write


@dataclass(frozen=True, slots=True)
class Target:
    """What one sale should have earned, for whom (rules.md C1)."""

    transaction_id: int
    member_id: int | None
    """The member as attributed; None: nobody, every account with postings for this sale gets 0."""
    points: int
    placed_at: datetime
    """Event time of the grant."""
    available_at: datetime
    expires_at: datetime | None
    context: str
    """What it was judged under (program version)."""
    winners: tuple[str, ...]
    """Raw hashes of the deciding contributions."""
    explanation: tuple[Mapping[str, Any], ...] = ()
    negative: Literal["debt", "forgive"] = "debt"


def post_targets(
    session: Session,
    program_id: int,
    targets: Sequence[Target],
    *,
    also_locked: Collection[int] = (),
    judged: Callable[[Locked], Sequence[Target]] | None = None,
    chain_key: bytes,
    actor: str,
    now: datetime | None = None,
    currency: str | None = None,
) -> dict[int, int]:
    """Post the difference between what each sale should have earned and what it has.

    The transactions must be locked by the caller. `also_locked`: members whose accounts the caller
    writes later in this transaction, locked here with the others (rules.md C4). `judged`: where points
    depend on what else the members have, says under the locks what is posted instead of `targets`,
    which then only name the accounts to lock. `currency`: store credit, in minor units of it, instead of
    points. Returns transaction id -> net change in points (0: it
    was right already). Raises `RootChanged` when the caller has to gather again.
    """
    transaction_ids = [t.transaction_id for t in targets]
    postings = load_postings(session, transaction_ids, currency)
    members = {t.member_id for t in targets if t.member_id is not None and t.points > 0}
    members |= {p.member_id for p in postings}
    members |= members_of(session, {p.account_id for p in postings})
    members |= set(also_locked)
    locked = lock(
        session, program_id, members, chain_key=chain_key, actor=actor, now=now, currency=currency
    )
    if judged is not None:
        targets = judged(locked)
        transaction_ids = [t.transaction_id for t in targets]
    # read again: what another batch posted while this one waited for the locks
    locked.postings = {
        (p.transaction_id, p.account_id): p for p in load_postings(session, transaction_ids, currency)
    }
    locked.forgiving = {t.transaction_id for t in targets if t.negative == "forgive"}
    by_transaction: dict[int, list[Posting]] = defaultdict(list)
    for posting in locked.postings.values():
        if posting.account_id not in locked.accounts:
            raise RootChanged
        by_transaction[posting.transaction_id].append(posting)
    changes = {
        target.transaction_id: _post_one(locked, target, by_transaction[target.transaction_id])
        for target in targets
    }
    write(session, locked)
    return changes


def _post_one(locked: Locked, target: Target, postings: Sequence[Posting]) -> int:
    """Compare per root account: the attributed member's gets the target, every other 0 (C1)."""
    wanted: dict[int, int] = {}
    own = locked.roots.get(target.member_id) if target.member_id is not None else None
    for posting in postings:
        wanted.setdefault(locked.roots[locked.accounts[posting.account_id].member_id], 0)
    if own is not None and (target.points > 0 or own in wanted):
        wanted[own] = target.points
    change = 0
    for account_id in sorted(wanted):
        posted = sum(
            p.posted
            for p in postings
            if locked.roots[locked.accounts[p.account_id].member_id] == account_id
        )
        change += _post_delta(locked, target, account_id, posted, wanted[account_id])
    return change


def _post_delta(locked: Locked, target: Target, account_id: int, posted: int, wanted: int) -> int:
    """Draft the entry that brings one account from `posted` to `wanted` for this sale."""
    account = locked.accounts[account_id]
    posting = _posting(locked, target, account)
    times = (target.placed_at, target.available_at, target.expires_at)
    moved = times != (posting.placed_at, posting.available_at, posting.expires_at)
    delta = wanted - posted
    if not delta:
        if moved and wanted:
            _retime(locked, account, posting, target)
        return 0
    posting.placed_at, posting.available_at, posting.expires_at = times
    if delta > 0 and posting.forgiven:
        _reverse_forgiven(locked, account, posting, min(posting.forgiven, delta), target)
    before = posting.posted
    posting.posted += delta
    posting.n += 1
    posting.member_id = target.member_id if target.member_id is not None else posting.member_id
    locked.touched[posting.transaction_id, posting.account_id] = posting
    account.drafts.append(_sale_draft(locked, target, account, posting, delta, (posted, wanted)))
    if moved and before:
        account.rebuild = True
    _place(locked, account, posting, delta)
    if delta < 0 and target.negative == "forgive":
        account.rebuild = True
    return delta


def _sale_draft(
    locked: Locked,
    target: Target,
    account: Account,
    posting: Posting,
    delta: int,
    change: tuple[int, int],
) -> Draft:
    return Draft(
        account_id=account.id,
        amount=delta,
        counter="issued",
        subject=posting.key,
        reference=f"sale:{target.transaction_id}:{account.id}:{posting.n}",
        input_hash=input_hash(*change, target.context, target.winners),
        member_id=posting.member_id,
        occurred_at=target.placed_at,
        actor=locked.actor,
        transaction_id=target.transaction_id,
        available_at=target.available_at,
        expires_at=target.expires_at,
        explanation=target.explanation if change[1] == target.points else _moved_away(delta),
    )


def _moved_away(delta: int) -> tuple[Mapping[str, Any], ...]:
    """What the sale is worth explains nothing on an account that it does not count for any more."""
    return ({"code": "moved_away", "points": str(delta)},)


def _posting(locked: Locked, target: Target, account: Account) -> Posting:
    key = (target.transaction_id, account.id)
    known = locked.postings.get(key)
    if known is None:
        known = locked.postings[key] = Posting(
            target.transaction_id,
            account.id,
            posted=0,
            forgiven=0,
            n=0,
            member_id=target.member_id if target.member_id is not None else account.member_id,
            placed_at=target.placed_at,
            available_at=target.available_at,
            expires_at=target.expires_at,
        )
    return known


def _retime(locked: Locked, account: Account, posting: Posting, target: Target) -> None:
    """Same points, but a message showed that the sale was placed earlier: lots follow event time."""
    posting.placed_at, posting.available_at = target.placed_at, target.available_at
    posting.expires_at = target.expires_at
    locked.touched[posting.transaction_id, posting.account_id] = posting
    account.rebuild = True


def _place(locked: Locked, account: Account, posting: Posting, delta: int) -> None:
    """Change the lot in place where no spend, debt or expiry can be affected; else replay (D1)."""
    untouched = account.high_water_at is None or posting.placed_at > account.high_water_at
    expired = posting.expires_at is not None and posting.expires_at <= locked.now
    if account.rebuild or account.debt or expired or not untouched:
        account.rebuild = True
        return
    grant = Grant(
        posting.key, posting.posted, posting.placed_at, posting.available_at, posting.expires_at
    )
    account.fast_lots.append((grant, delta))


def _reverse_forgiven(
    locked: Locked, account: Account, posting: Posting, amount: int, target: Target
) -> None:
    """A forgiven claw-back counts in full as taken back: before the sale earns again, what was
    forgiven goes back, or cancel and complete in turn would be a pump (C3)."""
    posting.forgiven -= amount
    posting.n += 1
    account.drafts.append(
        Draft(
            account_id=account.id,
            amount=-amount,
            counter="forgiven",
            subject=f"forgiven:{posting.transaction_id}",
            reference=f"sale:{posting.transaction_id}:{account.id}:{posting.n}",
            input_hash=input_hash("unforgive", amount, target.context, target.winners),
            member_id=posting.member_id,
            occurred_at=target.placed_at,
            actor=locked.actor,
            transaction_id=posting.transaction_id,
            explanation=({"code": "forgiven_reversed", "points": str(-amount)},),
        )
    )
    account.rebuild = True
