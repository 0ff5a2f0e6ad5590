"""Two phases of a redemption: points are held; then the code is issued, or the points are let go.

Each transition is a conditional UPDATE on the redemption's state, so that of a commit, a release and
the end of the hold exactly one happens (rules.md D4); repeated, it answers with what is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.ledger import commands
from hub.ledger.commands import NotEnoughPoints
from hub.outbox.channels import Channel
from hub.program.rules import Rules
from hub.redemption import records, taking
from hub.redemption.issuing import Bought, issue
from hub.redemption.limits import lock_stock
from hub.redemption.orders import AlreadyCommitted, Deed, HoldEnded, Order, Redeemed
from hub.redemption.records import is_used
from hub.redemption.wanted import wanted
from hub.transactions import standing

AT_ONCE = 100
ACTOR = "hub:holds"


def hold(session: Session, order: Order, rules: Rules) -> Redeemed:
    """Take the points out of their lots for so long as the programme holds them; no code yet.

    Raises what `redeem` raises; whatever it refuses with, nothing was changed. The same key again answers
    with the first redemption, as it is by then.
    """
    digest = order.digest(held=True)
    if is_used(session, order.program_id, order.key):
        return records.earlier(session, order, digest)
    now = order.now or commands.moment(session)
    reward = wanted(session, order, rules, now)
    try:
        taking.refuse_early(session, order, reward, now)
    except NotEnoughPoints:
        if is_used(session, order.program_id, order.key):  # by another process, a moment ago
            return records.earlier(session, order, digest)
        raise
    until = now + timedelta(minutes=rules.hold_minutes)
    with session.begin_nested():
        lock_stock(session, order.program_id, reward)
        taking.open_account(session, order, reward)
        opened = records.insert(
            session, order, reward, state="held", digest=digest, now=now, until=until
        )
        if opened is not None:
            records.note(session, order, opened.id, ["held"])
            taking.take(session, order, reward, opened, rules, now)
            standing.look_again(session, rules, [order.member_id])
            currency = order.credit.currency if order.credit else None
            return Redeemed(
                opened.public_id, "held", reward.id, reward.cost, currency=currency, hold_until=until
            )
    return records.earlier(session, order, digest)


def commit(session: Session, deed: Deed, rules: Rules, channels: Iterable[Channel]) -> Redeemed:
    """Issue the code of points that are held, and plan it for every channel. No account is locked: the
    points left their lots when they were held.

    Raises `NoSuchRedemption` and `HoldEnded`. Repeated, it answers with the code that was issued.
    """
    now = deed.now or commands.moment(session)
    rows = run(
        session,
        """UPDATE redemptions SET state = 'committed'
           WHERE program_id = :program AND public_id = :id AND state = 'held' AND hold_until > :now
           RETURNING id, member_id, reward_terms""",
        {"program": deed.program_id, "id": deed.redemption, "now": now},
    )
    if not rows:
        return _committed_before(session, deed)
    row = rows[0]
    bought = Bought(deed.program_id, row.id, row.member_id, row.reward_terms)
    issue(session, bought, rules.code_prefix, channels, now)
    records.note(session, deed, row.id, ["committed"])
    taking.give_credit(session, deed, row.member_id, row.id, row.reward_terms.get("credit") or {})
    return records.find(session, deed.program_id, redemption_id=row.id)


def release(session: Session, deed: Deed) -> tuple[Redeemed, set[int]]:
    """Let points go that are held: back to the lots they came from. With the members whose points
    changed; repeated, nobody's did.

    Raises `NoSuchRedemption` and `AlreadyCommitted`.
    """
    rows = run(
        session,
        """UPDATE redemptions SET state = 'released'
           WHERE program_id = :program AND public_id = :id AND state = 'held' RETURNING id, currency""",
        {"program": deed.program_id, "id": deed.redemption},
    )
    if rows:
        step = {"code": "hold_released", "points": "0"}
        members = _let_go(session, deed, rows[0], step)
        return records.find(session, deed.program_id, redemption_id=rows[0].id), members
    found = records.named(session, deed.program_id, deed.redemption, repeated=True)
    if found.state != "released":
        raise AlreadyCommitted(deed.redemption)
    return found, set()


def lapsed(session: Session, now: datetime) -> Sequence[tuple[int, str]]:
    """(program id, redemption) of points whose hold has ended, the longest ago first."""
    rows = run(
        session,
        """SELECT program_id, public_id FROM redemptions WHERE state = 'held' AND hold_until <= :now
           ORDER BY hold_until LIMIT :most""",
        {"now": now, "most": AT_ONCE},
    )
    return [(row.program_id, row.public_id) for row in rows]


def release_lapsed(session: Session, deed: Deed) -> set[int]:
    """What `lapsed` has found, unless it was committed or released meanwhile. Returns the members whose
    points changed."""
    now = deed.now or commands.moment(session)
    rows = run(
        session,
        """UPDATE redemptions SET state = 'released' WHERE program_id = :program AND public_id = :id
           AND state = 'held' AND hold_until <= :now RETURNING id, currency""",
        {"program": deed.program_id, "id": deed.redemption, "now": now},
    )
    step = {"code": "hold_expired", "points": "0"}
    return _let_go(session, deed, rows[0], step) if rows else set()


def _let_go(session: Session, deed: Deed, row: Any, step: Mapping[str, str]) -> set[int]:
    """`step` is both the event in the redemption's history and why the points came back."""
    records.note(session, deed, row.id, [step["code"]])
    return set(taking.let_go(session, deed, row.id, row.currency, step))


def _committed_before(session: Session, deed: Deed) -> Redeemed:
    found = records.named(session, deed.program_id, deed.redemption, repeated=True)
    if found.state == "committed":
        return found
    if found.state == "held":  # its time is over, and nobody has let it go yet
        raise HoldEnded("hold_expired")
    event = records.last_event(session, deed.program_id, deed.redemption)
    raise HoldEnded("hold_expired" if event == "hold_expired" else "hold_released")
