"""A voucher is made: its code, and a plan for every channel. Takes no lock that anybody waits for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    issued = _insert(session, bought, prefix, "used" if in_credit else "planned", now)
    if not in_credit:
        _plan(session, bought.program_id, issued, channels)
    return issued


def _insert(session: Session, bought: Bought, prefix: str, state: str, now: datetime) -> Issued:
    code = new_code(prefix)
    rows = run(
        session,
        """INSERT INTO vouchers (public_id, program_id, redemption_id, member_id, code, code_key, state,
                                 starts_at, expires_at)
           VALUES (:public_id, :program, :redemption, :member, :code, :key, :state, :now, :ends)
           RETURNING id, public_id, code, state, expires_at""",
        {
            "public_id": new_id("vch"),
            "program": bought.program_id,
            "redemption": bought.redemption_id,
            "member": bought.member_id,
            "code": code,
            "key": code_key(code),
            "state": state,
            "now": now,
            "ends": ends(bought.terms, now),
        },
    )
    return Issued(**rows[0]._mapping)


def _plan(session: Session, program_id: int, issued: Issued, channels: Iterable[Channel]) -> None:
    open_channels = [c for c in channels if c.status != "disconnected"]
    if not open_channels:
        return
    run(
        session,
        """INSERT INTO voucher_channels (voucher_id, channel_id, state)
           SELECT :voucher, c, 'planned' FROM unnest(CAST(:channels AS bigint[])) AS c""",
        {"voucher": issued.id, "channels": [c.id for c in open_channels]},
    )
    deliveries.enqueue(session, code_pushes(program_id, issued.public_id, "create_code", open_channels))
