"""A voucher is made: its code, and a plan for every channel. Takes no lock that anybody waits for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.ids import new_code, new_id
from hub.outbox import deliveries
from hub.outbox.channels import Channel
from hub.program.rewards import ends
from hub.redemption.telling import code_pushes
from hub.redemption.uses import code_key


@dataclass(frozen=True, slots=True)
class Bought:
    """What a code is made for."""

    program_id: int
    redemption_id: int
    member_id: int
    terms: Mapping[str, Any]
    """Of the reward, as they were when it was bought."""
    actor: str
    events: Sequence[str]
    """What goes into the redemption's history with it, in this order."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A new voucher."""

    id: int
    public_id: str
    code: str
    state: str
    expires_at: datetime | None


def issue(
    session: Session, bought: Bought, prefix: str, channels: Iterable[Channel], now: datetime
) -> Issued:
    """Make the code and plan it for the channels. Of store credit there is nothing to carry: its code
    is used from the beginning."""
    in_credit = bool(bought.terms.get("credit"))
    planned = [] if in_credit else [c for c in channels if c.status != "disconnected"]
    return _insert(session, bought, prefix, "used" if in_credit else "planned", planned, now)


def _insert(
    session: Session, bought: Bought, prefix: str, state: str, channels: Sequence[Channel], now: datetime
) -> Issued:
    """The voucher, its plan for these channels, which are told of it, and its history, in one statement."""
    code, public_id = new_code(prefix), new_id("vch")
    pushes = code_pushes(bought.program_id, public_id, "create_code", channels)
    rows = run(
        session,
        f"""WITH made AS (
               INSERT INTO vouchers (public_id, program_id, redemption_id, member_id, code, code_key, state,
                                     starts_at, expires_at)
               VALUES (:public_id, :program, :redemption, :member, :code, :code_key, :state, :now, :ends)
               RETURNING id, public_id, code, state, expires_at
           ), planned AS (
               INSERT INTO voucher_channels (voucher_id, channel_id, state)
               SELECT made.id, c, 'planned' FROM made, unnest(CAST(:channels AS bigint[])) AS c
           ), noted AS (
               INSERT INTO redemption_events (program_id, redemption_id, event, actor)
               SELECT :program, :redemption, e.event, :actor
               FROM unnest(CAST(:events AS text[])) WITH ORDINALITY AS e(event, n) ORDER BY e.n
           ), told AS ({deliveries.ENQUEUED})
           SELECT * FROM made""",
        {
            **deliveries.pushed(pushes),
            "public_id": public_id,
            "program": bought.program_id,
            "redemption": bought.redemption_id,
            "member": bought.member_id,
            "code": code,
            "code_key": code_key(code),
            "state": state,
            "now": now,
            "ends": ends(bought.terms, now),
            "channels": [c.id for c in channels],
            "events": list(bought.events),
            "actor": bought.actor,
        },
    )
    return Issued(**rows[0]._mapping)
