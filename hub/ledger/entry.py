"""One movement of points: what is written, and the chain that makes tampering visible."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Counter = Literal["issued", "held", "redeemed", "expired", "forgiven", "adjusted", "member"]
"""The other side of an entry. It has no row and no lock: its total is derived."""

MAX_AMOUNT = 2**53
"""Points of one entry; what JSON readers can tell exactly."""

_COMPACT = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=str)


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry that is decided and not yet chained."""

    account_id: int
    amount: int
    """Points, signed, never 0."""
    counter: Counter
    subject: str
    """The grant, spend or lot of the replay that this entry is about (`sale:7`, `red:3`)."""
    reference: str
    """Unique within the program; a fence against writing the same thing twice (rules.md C2)."""
    input_hash: str
    member_id: int
    """The member as attributed, not the root it may be an alias of."""
    occurred_at: datetime
    actor: str
    transaction_id: int | None = None
    available_at: datetime | None = None
    expires_at: datetime | None = None
    corrects: int | None = None
    explanation: Sequence[Mapping[str, Any]] = ()


def input_hash(*parts: object) -> str:
    """Hash of what a command or posting was decided on: same reference with another input is an
    error, never a silent hit."""
    return hashlib.sha256(_COMPACT.encode(parts).encode()).hexdigest()


def canonical(
    draft: Draft,
    *,
    program_id: int,
    seq: int,
    movement_id: int,
    recorded_at: datetime,
    balance_after: int,
) -> str:
    """The text that is hashed and stored: every column that means something, no personal data."""
    return "|".join(
        (
            "1",
            str(program_id),
            str(draft.account_id),
            str(seq),
            str(draft.amount),
            draft.counter,
            draft.subject,
            draft.reference,
            draft.input_hash,
            str(movement_id),
            str(draft.member_id),
            str(draft.transaction_id or ""),
            _time(draft.occurred_at),
            _time(draft.available_at),
            _time(draft.expires_at),
            _time(recorded_at),
            str(balance_after),
            str(draft.corrects or ""),
            draft.actor,
            explanation_text(draft.explanation),
        )
    )


def explanation_text(explanation: Sequence[Mapping[str, Any]]) -> str:
    """Compact JSON with sorted keys."""
    return _COMPACT.encode(list(explanation))


def chain(key: bytes, previous: str, hashed: str) -> str:
    """The next link: an HMAC, so that who can write rows but lacks the key cannot forge a chain."""
    return hmac.new(key, f"{previous}\n{hashed}".encode(), hashlib.sha256).hexdigest()


def _time(moment: datetime | None) -> str:
    return moment.astimezone(UTC).isoformat() if moment else ""
