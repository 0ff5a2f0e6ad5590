"""Points given and taken by command: adjust, hold, give back. Idempotent by the caller's reference.

Like the book, nothing here commits. Each command locks the member's account, settles it first
(rules.md D6) and leaves it untouched when it refuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.ledger import accounts, returning, spending
from hub.ledger.accounts import Account, Locked, RootChanged
from hub.ledger.entry import Counter, Draft, input_hash
from hub.ledger.ingredients import load_ingredients
from hub.ledger.lots import Book, payer_key, payer_of
from hub.ledger.write import write

_TRIES = 5
UNKNOWN = datetime(9999, 1, 1, tzinfo=UTC)
"""The availability of points that wait for something without a date."""


class NotEnoughPoints(Exception):
    """The balance does not allow it; nothing was changed."""

    def __init__(self, needed: int, available: int, pending: int, vests_at: datetime | None) -> None:
        super().__init__(f"{needed} points are needed, {available} are available")
        self.needed, self.available = needed, available
        self.pending, self.vests_at = pending, vests_at


class ReferenceConflict(Exception):
    """The reference was used before, for something else (rules.md C2)."""


@dataclass(frozen=True, slots=True)
class Command:
    """What all commands have in common."""

    program_id: int
    member_id: int
    reference: str
    actor: str
    chain_key: bytes
    now: datetime | None = None
    explanation: Sequence[Mapping[str, Any]] = ()
    currency: str | None = None
    """Store credit in it, minor units, instead of points."""


@dataclass(frozen=True, slots=True)
class Done:
    """A command's effect. `repeated`: it had been carried out before, nothing happened now."""

    account_id: int
    balance: int
    available: int
    repeated: bool


def adjust(
    session: Session,
    command: Command,
    points: int,
    *,
    available_at: datetime | None = None,
    expires_at: datetime | None = None,
    may_owe: bool = False,
    clamp: bool = False,
    payer: str | None = None,
) -> Done:
    """Give (points > 0, a lot of its own) or take (points < 0) by hand. Taking more than is
    available raises `NotEnoughPoints` unless `may_owe`; with `clamp` it takes what there is. `payer`: the
    partner who pays for these points, and who can take back no others."""
    extra = {"available_at": available_at, "expires_at": expires_at} if points > 0 else {}
    need = 0 if (may_owe or clamp) and payer is None else max(0, -points)
    subject = command.reference if payer is None else payer_key(payer, command.reference)
    return _carry_out(session, command, points, "adjusted", subject, need=need, times=extra, clamp=clamp)


def hold(session: Session, command: Command, points: int, subject: str) -> Done:
    """Take points out of lots for a redemption; expiry cannot touch them (D4). Raises
    `NotEnoughPoints`: a redemption can never overdraw; and `RootChanged` when the member was merged at this
    moment: the caller begins again."""
    present = spending.look(
        session, command.program_id, command.member_id, command.reference, chain_key=command.chain_key,
        actor=command.actor, now=command.now, currency=command.currency,
    )  # fmt: skip
    if present is None or not present.pays(points):
        return _carry_out(session, command, -points, "held", subject, need=points)
    account, now = present.account, present.locked.now
    digest = input_hash("held", subject, -points, command.member_id, {})
    spending.take(session, present, _draft(command, account.id, -points, "held", subject, digest, now))
    return Done(account.id, account.balance, present.book.available(now), repeated=False)


def give_back(
    session: Session,
    command: Command,
    points: int,
    subject: str,
    *,
    counter: Counter,
    grace_until: datetime | None = None,
) -> Done:
    """Return points of the spend `subject` to the very lots they came from (D5). Raises `RootChanged` as `hold`
    does."""
    if counter == "held":
        present = returning.look(
            session, command.program_id, command.member_id, command.reference, subject=subject, points=points,
            chain_key=command.chain_key, actor=command.actor, now=command.now, currency=command.currency,
        )  # fmt: skip
        if present is not None:
            account, now = present.account, present.locked.now
            digest = input_hash(counter, subject, points, command.member_id, {"expires_at": grace_until})
            draft = _draft(command, account.id, points, counter, subject, digest, now)
            returning.give_back(session, present, draft)
            return Done(account.id, account.balance, present.book.available(now), repeated=False)
    times = {"expires_at": grace_until}
    return _carry_out(session, command, points, counter, subject, need=0, times=times)


def take_again(session: Session, command: Command, points: int, subject: str) -> Done:
    """Take points for a further use of a voucher: it happened, so it may leave a debt (E2)."""
    return _carry_out(session, command, -points, "redeemed", subject, need=0)


def moment(session: Session) -> datetime:
    """The database's clock."""
    at: datetime = run(session, "SELECT clock_timestamp() AS at")[0].at
    return at


def settle(
    session: Session,
    program_id: int,
    member_ids: Sequence[int],
    *,
    chain_key: bytes,
    now: datetime | None = None,
    currency: str | None = None,
) -> None:
    """Post what has expired and refresh what is due next, for accounts whose time has come."""
    locked = accounts.lock(
        session,
        program_id,
        member_ids,
        chain_key=chain_key,
        actor="hub:expiry",
        now=now,
        currency=currency,
    )
    write(session, locked)


def _lock(session: Session, command: Command) -> Locked:
    """The member's account. A merge may come between: the savepoint gives back what was locked, so
    that the order of locks holds (rules.md C4). Raises `RootChanged` when merges do not end."""
    for attempt in range(_TRIES):
        try:
            with session.begin_nested():
                return accounts.lock(
                    session,
                    command.program_id,
                    [command.member_id],
                    chain_key=command.chain_key,
                    actor=command.actor,
                    now=command.now,
                    currency=command.currency,
                )
        except RootChanged:
            if attempt == _TRIES - 1:
                raise
    raise AssertionError


def _carry_out(
    session: Session,
    command: Command,
    amount: int,
    counter: Counter,
    subject: str,
    *,
    need: int,
    times: Mapping[str, datetime | None] | None = None,
    clamp: bool = False,
) -> Done:
    locked = _lock(session, command)
    account = locked.accounts[locked.roots[command.member_id]]
    digest = input_hash(counter, subject, amount, command.member_id, dict(times or {}))
    if _done_before(session, command, digest):
        return _answer(session, locked, account, repeated=True)
    known = load_ingredients(session, [account.id])
    if need:
        _refuse_overdraft(known[account.id].replay(locked.now), need, locked, payer_of(subject))
    if clamp:
        amount = max(amount, -known[account.id].replay(locked.now).available(locked.now))
        if not amount:
            return _answer(session, locked, account, repeated=False)
    account.rebuild = True
    draft = _draft(command, account.id, amount, counter, subject, digest, locked.now, times or {})
    account.drafts.append(draft)
    books = write(session, locked, known)
    done = books[account.id]
    return Done(account.id, account.balance, done.available(locked.now), repeated=False)


def _draft(
    command: Command, account_id: int, amount: int, counter: Counter, subject: str, digest: str, now: datetime,
    times: Mapping[str, datetime | None] = MappingProxyType({}),
) -> Draft:  # fmt: skip
    return Draft(
        account_id=account_id,
        amount=amount,
        counter=counter,
        subject=subject,
        reference=command.reference,
        input_hash=digest,
        member_id=command.member_id,
        occurred_at=now,
        actor=command.actor,
        explanation=command.explanation,
        available_at=times.get("available_at"),
        expires_at=times.get("expires_at"),
    )


def _done_before(session: Session, command: Command, digest: str) -> bool:
    """Asked under the account's lock, so that two callers with one reference cannot both say no."""
    rows = run(
        session,
        "SELECT input_hash FROM entries WHERE program_id = :program AND reference = :reference",
        {"program": command.program_id, "reference": command.reference},
    )
    if rows and rows[0].input_hash != digest:
        raise ReferenceConflict(command.reference)
    return bool(rows)


def _refuse_overdraft(present: Book, need: int, locked: Locked, payer: str | None) -> None:
    available = present.available(locked.now, payer)
    if available >= need:
        return
    waiting = [
        lot.available_at
        for lot in present.lots.values()
        if lot.remaining and locked.now < lot.available_at < UNKNOWN
    ]
    raise NotEnoughPoints(need, available, present.pending(locked.now), min(waiting, default=None))


def _answer(session: Session, locked: Locked, account: Account, *, repeated: bool) -> Done:
    present = load_ingredients(session, [account.id])[account.id].replay(locked.now)
    return Done(account.id, account.balance, present.available(locked.now), repeated)
