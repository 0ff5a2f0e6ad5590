"""How much one cashier does in an hour: rows, counted under a lock of the cashier's own (rules.md C4: before
all others)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy.orm import Session

from hub.bulk import run

HOUR = timedelta(hours=1)
Kind = Literal["redeem", "claim"]


@dataclass(frozen=True, slots=True)
class Done:
    """What a cashier did in the hour before."""

    times: int
    points: int


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody does at a till."""

    kind: Kind
    cashier: str
    """As the till names them; without a name whoever the API key or the user is."""
    till: str | None = None


def lock(session: Session, program_id: int, act: Act, now: datetime) -> Done:
    """Wait for the cashier's turn, which lasts until the transaction ends; what they did in the hour before."""
    run(
        session,
        """INSERT INTO cashiers (program_id, cashier) VALUES (:program, :cashier)
           ON CONFLICT (program_id, cashier) DO UPDATE SET cashier = excluded.cashier""",
        {"program": program_id, "cashier": act.cashier},
    )
    row = run(
        session,
        """SELECT count(*) AS times, coalesce(sum(points), 0) AS points FROM till_acts
           WHERE program_id = :program AND cashier = :cashier AND kind = :kind AND at > :since""",
        {"program": program_id, "cashier": act.cashier, "kind": act.kind, "since": now - HOUR},
    )[0]
    return Done(int(row.times), int(row.points))


def note(
    session: Session, program_id: int, act: Act, member_id: int, points: int, subject: str, now: datetime
) -> None:
    """Write one act down; the same subject (public id) again changes nothing. After `lock`."""
    run(
        session,
        """INSERT INTO till_acts (program_id, cashier, till, kind, member_id, points, subject, at)
           VALUES (:program, :cashier, :till, :kind, :member, :points, :subject, :now)
           ON CONFLICT (program_id, kind, subject) DO NOTHING""",
        {
            "program": program_id,
            "cashier": act.cashier,
            "till": act.till,
            "kind": act.kind,
            "member": member_id,
            "points": points,
            "subject": subject,
            "now": now,
        },
    )
