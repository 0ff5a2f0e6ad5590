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
from hub.outbox.channels import Channel
from hub.program.rules import Rules
from hub.redemption import records, taking
from hub.redemption.asking import ask
from hub.redemption.issuing import Bought, issue
from hub.redemption.limits import lock_stock
from hub.redemption.orders import AlreadyCommitted, Deed, HoldEnded, Order, Redeemed
from hub.redemption.wanted import wanted
from hub.transactions import standing

AT_ONCE = 100
ACTOR = "hub:holds"


def hold(session: Session, order: Order, rules: Rules) -> Redeemed:
    """Take the points out of their lots for so long as the programme holds them; no code yet.

    Raises what `redeem` raises; whatever it refuses with, the caller rolls back. The same key again answers
    with the first redemption, as it is by then.
    """
    digest = order.digest(held=True)
    asked = ask(session, order)
    if asked.used:
        return records.earlier(session, order, digest)
    reward = wanted(session, order, rules, asked)
    asked.refuse_early(reward.cost)
    until = asked.now + timedelta(minutes=rules.hold_minutes)
    lock_stock(session, order.program_id, reward)
    taking.open_account(session, order, reward)
    opened = records.insert(
        session, order, reward, state="held", digest=digest, now=asked.now, until=until
    )
    if opened is None:
        return records.earlier(session, order, digest)
    taking.take(session, order, reward, opened, rules, asked.now)
    standing.look_again(session, rules, [order.member_id])
    currency = order.credit.currency if order.credit else None
    return Redeemed(
        opened.public_id, "held", reward.id, reward.cost, currency=currency, hold_until=until
    )


def commit(session: Session, deed: Deed, rules: Rules, channels: Iterable[Channel]) -> Redeemed:
    """Issue the code of points that are held, and plan it for every channel. No account is locked: the
    points left their lots when they were held.

    Raises `NoSuchRedemption` and `HoldEnded`. Repeated, it answers with the code that was issued.
    """
    rows = run(
        session,
        """UPDATE redemptions SET state = 'committed'
           FROM (SELECT coalesce(CAST(:now AS timestamptz), clock_timestamp()) AS now) s
           WHERE program_id = :program AND public_id = :id AND state = 'held' AND hold_until > s.now
           RETURNING id, member_id, reward, points, reward_terms, currency, hold_until, s.now""",
        {"program": deed.program_id, "id": deed.redemption, "now": deed.now},
    )
    if not rows:
        return _committed_before(session, deed)
    row = rows[0]
    bought = Bought(deed.program_id, row.id, row.member_id, row.reward_terms, deed.actor, ("committed",))
    issued = issue(session, bought, rules.code_prefix, channels, row.now)
    taking.give_credit(session, deed, row.member_id, row.id, row.reward_terms.get("credit") or {})
    return Redeemed(
        deed.redemption, "committed", row.reward, row.points, issued.public_id, issued.code, issued.state,
        issued.expires_at, row.currency, row.hold_until,
    )  # fmt: skip


def release(session: Session, deed: Deed) -> tuple[Redeemed, set[int]]:
    """Let points go that are held: back to the lots they came from. With the members whose points
    changed; repeated, nobody's did.

    Raises `NoSuchRedemption` and `AlreadyCommitted`.
    """
    rows = run(
        session,
        _RELEASED.format(when="true"),
        {
            "program": deed.program_id,
            "id": deed.redemption,
            "event": "hold_released",
            "actor": deed.actor,
        },
    )
    if rows:
        row, step = rows[0], {"code": "hold_released", "points": "0"}
        members = _let_go(session, deed, row, step)
        done = Redeemed(
            deed.redemption, "released", row.reward, row.points, currency=row.currency,
            hold_until=row.hold_until,
        )  # fmt: skip
        return done, members
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
        _RELEASED.format(when="hold_until <= :now"),
        {
            "program": deed.program_id,
            "id": deed.redemption,
            "now": now,
            "event": "hold_expired",
            "actor": deed.actor,
        },
    )
    step = {"code": "hold_expired", "points": "0"}
    return _let_go(session, deed, rows[0], step) if rows else set()


_RELEASED = """
WITH released AS (
    UPDATE redemptions SET state = 'released'
    WHERE program_id = :program AND public_id = :id AND state = 'held' AND {when}
    RETURNING program_id, id, currency, reward, points, hold_until
), noted AS (
    INSERT INTO redemption_events (program_id, redemption_id, event, actor)
    SELECT program_id, id, :event, :actor FROM released
)
SELECT id, currency, reward, points, hold_until FROM released"""
"""With a line in its history."""


def _let_go(session: Session, deed: Deed, row: Any, step: Mapping[str, str]) -> set[int]:
    """`step` says why the points came back."""
    return set(taking.let_go(session, deed, row.id, row.currency, step))


def _committed_before(session: Session, deed: Deed) -> Redeemed:
    found = records.named(session, deed.program_id, deed.redemption, repeated=True)
    if found.voucher:  # also where the code has ended since, and its points are back
        return found
    if found.state == "held":  # its time is over, and nobody has let it go yet
        raise HoldEnded("hold_expired")
    event = records.last_event(session, deed.program_id, deed.redemption)
    raise HoldEnded("hold_expired" if event == "hold_expired" else "hold_released")
