"""Two members who are one person: an alias, and movements that each chain can prove (rules.md D8).

Merging moves every grant and spend of one account to the other, each as two entries, one in each
chain; lots, expiry and debt then follow by replay as if all had happened on one account. Un-merging
drops the alias and re-attributes sales; spends and manual adjustments stay with the survivor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.i18n import gettext as _
from hub.ledger import accounts
from hub.ledger.accounts import Account, Locked
from hub.ledger.book import Target, post_targets
from hub.ledger.entry import Draft, input_hash
from hub.ledger.ingredients import Ingredients, load_ingredients, sale_key
from hub.ledger.write import write


class NotMergeable(Exception):
    """These two cannot be merged, or this one is merged with nobody; the message is a sentence."""


class Shortfall(Exception):
    """Un-merging would leave the survivor owing `points`; the operator has to accept that."""

    def __init__(self, points: int) -> None:
        super().__init__(f"the survivor would owe {points} points")
        self.points = points


@dataclass(frozen=True, slots=True)
class Merge:
    """Who becomes whom."""

    program_id: int
    gone: int
    """The member that becomes an alias; a root."""
    kept: int
    """The member that stays; a root."""
    actor: str
    chain_key: bytes
    now: datetime | None = None


def merge(session: Session, order: Merge) -> None:
    """Make `gone` an alias of `kept` and move its points. Raises `NotMergeable`."""
    if order.gone == order.kept:
        raise NotMergeable(_("a member cannot be merged with itself"))
    locked = _lock(session, order, {order.gone, order.kept})
    if locked.roots[order.gone] == locked.roots[order.kept]:
        raise NotMergeable(_("these two are merged already"))
    gone, kept = (locked.accounts[locked.roots[m]] for m in (order.gone, order.kept))
    if (gone.member_id, kept.member_id) != (order.gone, order.kept):
        raise NotMergeable(_("one of them is merged into another member; merge that one"))
    _move_all(session, order, locked)
    for currency in _currencies(session, order.gone):
        _move_all(session, order, _lock(session, order, {order.gone, order.kept}, currency))
    run(
        session,
        """UPDATE members SET alias_of = :kept
           WHERE program_id = :program AND (id = :gone OR alias_of = :gone)""",
        {"kept": order.kept, "gone": order.gone, "program": order.program_id},
    )


def unmerge(session: Session, order: Merge, *, accept_shortfall: bool = False) -> None:
    """Drop the alias and give each member the sales attributed to it. Raises `NotMergeable`, and
    `Shortfall` when the survivor's spends are not covered any more and that was not accepted: the
    caller's transaction must then roll back."""
    rows = run(
        session,
        """UPDATE members SET alias_of = NULL
           WHERE program_id = :program AND id = :gone AND alias_of = :kept RETURNING id""",
        {"program": order.program_id, "gone": order.gone, "kept": order.kept},
    )
    if not rows:
        raise NotMergeable(_("this member is not merged into that one"))
    owed = _debt(session, order.kept)
    for currency in [None, *_currencies(session, order.kept)]:
        targets = [_target(row) for row in _sales_of(session, order.gone, currency)]
        if targets:
            post_targets(
                session,
                order.program_id,
                targets,
                chain_key=order.chain_key,
                actor=order.actor,
                now=order.now,
                currency=currency,
            )
    short = _debt(session, order.kept) - owed
    if short > 0 and not accept_shortfall:
        raise Shortfall(short)


def _move_all(session: Session, order: Merge, locked: Locked) -> None:
    """Every grant and spend of one account to the other: points, or credit in one currency."""
    gone, kept = (locked.accounts[locked.roots[m]] for m in (order.gone, order.kept))
    parts = load_ingredients(session, [gone.id])[gone.id]
    number = _number(session, gone.id)
    for subject, moved in _movements(session, gone.id, parts):
        reference = f"merge:{gone.id}:{kept.id}:{number}:{subject}"
        _draft(order, locked, gone, kept, reference, subject, moved)
    _move_postings(session, gone.id, kept.id)
    gone.rebuild = kept.rebuild = True
    write(session, locked)


def _currencies(session: Session, member_id: int) -> list[str]:
    """In which a member has store credit."""
    rows = run(
        session,
        "SELECT currency FROM accounts WHERE holder_id = :member ORDER BY currency",
        {"member": member_id},
    )
    return [row.currency for row in rows]


@dataclass(frozen=True, slots=True)
class _Moved:
    """One grant (amount > 0) or spend (amount < 0) on its way."""

    amount: int
    occurred_at: datetime
    available_at: datetime | None = None
    expires_at: datetime | None = None
    transaction_id: int | None = None


def _movements(session: Session, account_id: int, parts: Ingredients) -> Iterator[tuple[str, _Moved]]:
    sales = {
        sale_key(row.transaction_id): row.transaction_id
        for row in run(
            session, "SELECT transaction_id FROM postings WHERE account_id = :id", {"id": account_id}
        )
    }
    for key, grant in sorted(parts.grants.items()):
        if grant.amount:
            yield (
                key,
                _Moved(
                    grant.amount, grant.placed_at, grant.available_at, grant.expires_at, sales.get(key)
                ),
            )
    for key, spend in sorted(parts.spends.items()):
        if spend.net:
            yield key, _Moved(-spend.net, spend.at)


def _draft(
    order: Merge,
    locked: Locked,
    gone: Account,
    kept: Account,
    reference: str,
    subject: str,
    moved: _Moved,
) -> None:
    for account, amount, side in ((gone, -moved.amount, "out"), (kept, moved.amount, "in")):
        account.drafts.append(
            Draft(
                account_id=account.id,
                amount=amount,
                counter="member",
                subject=subject,
                reference=f"{reference}:{side}",
                input_hash=input_hash(order.gone, order.kept, subject, moved.amount),
                member_id=order.gone,
                occurred_at=moved.occurred_at if side == "in" else locked.now,
                actor=order.actor,
                transaction_id=moved.transaction_id,
                available_at=moved.available_at,
                expires_at=moved.expires_at,
                explanation=({"code": f"merged_{side}", "points": str(amount)},),
            )
        )


def _lock(session: Session, order: Merge, members: set[int], currency: str | None = None) -> Locked:
    return accounts.lock(
        session,
        order.program_id,
        members,
        chain_key=order.chain_key,
        actor=order.actor,
        now=order.now,
        currency=currency,
    )


def _number(session: Session, account_id: int) -> int:
    """How often this account was merged before: its references go on from there."""
    found: int = run(
        session,
        "SELECT count(*) AS n FROM entries WHERE account_id = :id AND counter = 'member'",
        {"id": account_id},
    )[0].n
    return found


def _move_postings(session: Session, gone: int, kept: int) -> None:
    """Postings go with the sales; where both accounts had one for a sale, they become one. The old
    rows stay, empty: their counters number this account's references (C2)."""
    run(
        session,
        """INSERT INTO postings (transaction_id, account_id, posted, forgiven, n, member_id, placed_at,
                                 available_at, expires_at)
           SELECT transaction_id, :kept, posted, forgiven, n, member_id, placed_at, available_at, expires_at
           FROM postings WHERE account_id = :gone
           ON CONFLICT (transaction_id, account_id) DO UPDATE
           SET posted = postings.posted + excluded.posted, forgiven = postings.forgiven + excluded.forgiven,
               n = postings.n + excluded.n""",
        {"gone": gone, "kept": kept},
    )
    run(session, "UPDATE postings SET posted = 0, forgiven = 0 WHERE account_id = :gone", {"gone": gone})


def _sales_of(session: Session, member_id: int, currency: str | None) -> list[Any]:
    """Sales attributed to this very member, locked in the order of their ids, with what they earned."""
    return list(
        run(
            session,
            """SELECT t.id, t.member_id, t.program_version, p.posted, p.placed_at, p.available_at, p.expires_at
               FROM transactions t JOIN postings p ON p.transaction_id = t.id AND p.posted > 0
               JOIN accounts a ON a.id = p.account_id AND a.currency IS NOT DISTINCT FROM :currency
               WHERE t.member_id = :member ORDER BY t.id FOR NO KEY UPDATE OF t""",
            {"member": member_id, "currency": currency},
        )
    )


def _target(row: Any) -> Target:
    return Target(
        transaction_id=row.id,
        member_id=row.member_id,
        points=row.posted,
        placed_at=row.placed_at,
        available_at=row.available_at,
        expires_at=row.expires_at,
        context=f"un-merged; program version {row.program_version}",
        winners=(),
        explanation=({"code": "unmerged", "points": str(row.posted)},),
    )


def _debt(session: Session, member_id: int) -> int:
    rows = run(session, "SELECT debt FROM accounts WHERE member_id = :id", {"id": member_id})
    return int(rows[0].debt) if rows else 0
