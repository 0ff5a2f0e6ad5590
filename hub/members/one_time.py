"""One-time codes of members: rows with a keyed hash, five minutes, five tries, one open code a member.

A try is counted, and committed, before the code is looked at: two at once are two.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.ids import new_id

LASTS = timedelta(minutes=5)
TRIES = 5
DIGITS = 6
KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Opened:
    """A code that was made; `digits` are nowhere else."""

    id: int
    public_id: str
    digits: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Try:
    """One try at a member's open code, counted but not judged yet."""

    id: int
    public_id: str
    code_hash: bytes
    left: int
    """How many more tries there are."""

    def fits(self, digits: str, key: bytes) -> bool:
        """Whether these are the digits; takes the same time whatever they are."""
        return hmac.compare_digest(self.code_hash, _hash(self.public_id, digits, key))


def open_code(
    session: Session, program_id: int, member_id: int, *, way: str, actor: str, key: bytes, now: datetime
) -> Opened:
    """Make a code for a member (a root); an earlier one is worth nothing from now on."""
    run(
        session,
        """UPDATE one_time_codes SET state = 'replaced'
           WHERE program_id = :program AND member_id = :member AND state IN ('sending', 'sent')""",
        {"program": program_id, "member": member_id},
    )
    public_id, digits = new_id("otp"), f"{secrets.randbelow(10**DIGITS):0{DIGITS}d}"
    rows = run(
        session,
        """INSERT INTO one_time_codes (public_id, program_id, member_id, way, code_hash, state, actor, created_at,
                                       expires_at)
           VALUES (:public_id, :program, :member, :way, :hash, 'sending', :actor, :now, :ends) RETURNING id""",
        {
            "public_id": public_id,
            "program": program_id,
            "member": member_id,
            "way": way,
            "hash": _hash(public_id, digits, key),
            "actor": actor,
            "now": now,
            "ends": now + LASTS,
        },
    )
    return Opened(int(rows[0].id), public_id, digits, now + LASTS)


def close(session: Session, code_id: int, *, sent: bool) -> None:
    """Whether it went out; one that was used or replaced meanwhile stays so."""
    run(
        session,
        "UPDATE one_time_codes SET state = :state WHERE id = :id AND state = 'sending'",
        {"id": code_id, "state": "sent" if sent else "not_sent"},
    )


def count_try(session: Session, program_id: int, member_id: int, now: datetime) -> Try | None:
    """Count a try at the member's open code: commit before it is judged. None: there is no code that can be
    tried (any more)."""
    rows: Any = run(
        session,
        """UPDATE one_time_codes SET tries = tries + 1
           WHERE program_id = :program AND member_id = :member AND state IN ('sending', 'sent')
             AND expires_at > :now AND tries < :most
           RETURNING id, public_id, code_hash, tries""",
        {"program": program_id, "member": member_id, "now": now, "most": TRIES},
    )
    if not rows:
        return None
    row = rows[0]
    return Try(row.id, row.public_id, bytes(row.code_hash), TRIES - row.tries)


def use(session: Session, code_id: int, redemption: str) -> bool:
    """Use a code up for a redemption (public id), in its transaction; False when it was used for another or
    replaced."""
    rows = run(
        session,
        """UPDATE one_time_codes c SET state = 'used', redemption_id = r.id FROM redemptions r
           WHERE c.id = :id AND c.state IN ('sending', 'sent')
             AND r.program_id = c.program_id AND r.public_id = :redemption RETURNING 1""",
        {"id": code_id, "redemption": redemption},
    )
    return bool(rows)


def forget(session: Session, now: datetime) -> None:
    """Drop some of the codes that ended long ago."""
    run(
        session,
        """DELETE FROM one_time_codes WHERE id IN (SELECT id FROM one_time_codes WHERE expires_at < :before
           ORDER BY expires_at LIMIT 1000 FOR UPDATE SKIP LOCKED)""",
        {"before": now - KEPT},
    )


def _hash(public_id: str, digits: str, key: bytes) -> bytes:
    """Keyed, since a million codes are tried in a moment; the key is sealed outside the database (C6)."""
    return hmac.digest(key, f"one-time code {public_id} {digits}".encode(), hashlib.sha256)
