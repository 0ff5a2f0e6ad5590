"""Orders of members whom somebody brought: what both get follows from them (rules.md B3).

A referral is settled under the locks of both accounts, after the sales themselves were posted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from hub.actions import referrals
from hub.actions.referrals import Pending
from hub.ledger.accounts import RootChanged

if TYPE_CHECKING:
    from hub.transactions.post import Ground, Transaction


def concerned(session: Session, ground: Ground, transactions: Sequence[Transaction]) -> frozenset[int]:
    """Whose accounts have to be locked: of whoever these sales are, or were, attributed to, and of who
    brought them. Nobody, and nothing is asked, where no version of the programme has terms."""
    buyers = _buyers(transactions)
    if not buyers or not referrals.has_terms(ground.versions):
        return frozenset()
    return buyers | _members(referrals.of_friends(session, ground.program_id, buyers))


def settle(
    session: Session, ground: Ground, transactions: Sequence[Transaction], locked: Collection[int]
) -> None:
    """Bring the referrals in line; the sales learn whose points changed. `locked`: whom `concerned`
    named. Raises `RootChanged` when a referral was told of before the accounts were locked."""
    now = referrals.of_friends(session, ground.program_id, _buyers(transactions))
    if not _members(now) <= set(locked):
        raise RootChanged
    touched = referrals.settle(
        session,
        ground.program_id,
        now,
        ground.versions,
        chain_key=ground.chain_key,
        actor=ground.actor,
        now=ground.now,
    )
    for transaction in transactions:
        transaction.touched = frozenset(touched)


def _members(brought: Iterable[Pending]) -> frozenset[int]:
    return frozenset(member for one in brought for member in (one.referrer, one.friend))


def _buyers(transactions: Sequence[Transaction]) -> frozenset[int]:
    named = {t.member_id for t in transactions} | {t.was_member_id for t in transactions}
    return frozenset(member for member in named if member is not None)
