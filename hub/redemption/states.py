"""The states of a voucher and what moves it from one to another: a table, and the only UPDATE of it.

Every cell is filled, terminal states included, and a use that is seen is accepted in each of them
(rules.md E1). docs/redemption.md shows the same table; a test walks all of it on a database.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from sqlalchemy.orm import Session

from hub.bulk import json_text, run

State = Literal["planned", "live", "used", "used_late", "revoking", "revoked", "expiring", "expired"]
Event = Literal["made", "use_seen", "use_gone", "use_cancelled", "taken_back", "day_passed", "all_gone"]
Leaving = Literal["cancelled", "taken_back", "expired"]
"""Why a code is to go: its order was cancelled, somebody does without it, or its day has passed."""

REFUSED: None = None
"""An order carries the code: refunding or cancelling that order is what gives points back."""

STATES: Mapping[State, str] = {
    "planned": "The code is made, and no channel has said that it has it.",
    "live": "It can be used in at least one channel.",
    "used": "An order carries it.",
    "used_late": "An order carries it that was told of after its points had come back or were lost.",
    "revoking": "It is being taken back: no channel may have it any more before its points return.",
    "revoked": "No channel has it any more.",
    "expiring": "Its day has passed: channels are told, and what they still have to tell is waited for.",
    "expired": "Nobody used it in time.",
}
EVENTS: Mapping[Event, str] = {
    "made": "A channel says that it has the code.",
    "use_seen": "An order carries it, paid or not.",
    "use_gone": "No order carries it any more, and it may be used again.",
    "use_cancelled": "Its order was cancelled, and its points are to come back.",
    "taken_back": "Staff, or the member, do without it.",
    "day_passed": "Its last moment is over.",
    "all_gone": "Every channel has confirmed that it has not got the code.",
}

_ROWS: Mapping[State, tuple[State | None, ...]] = {
    #            made         use_seen     use_gone     use_cancelled taken_back  day_passed   all_gone
    "planned":   ("live",      "used",      "planned",   "revoking",   "revoking", "expiring",  "planned"),
    "live":      ("live",      "used",      "live",      "revoking",   "revoking", "expiring",  "live"),
    "used":      ("used",      "used",      "live",      "revoking",   REFUSED,    "used",      "used"),
    "used_late": ("used_late", "used_late", "revoking",  "revoking",   REFUSED,    "used_late", "used_late"),
    "revoking":  ("revoking",  "used",      "revoking",  "revoking",   "revoking", "revoking",  "revoked"),
    "revoked":   ("revoked",   "used_late", "revoked",   "revoked",    "revoked",  "revoked",   "revoked"),
    "expiring":  ("expiring",  "used",      "expiring",  "revoking",   "revoking", "expiring",  "expired"),
    "expired":   ("expired",   "used_late", "expired",   "expired",    "expired",  "expired",   "expired"),
}  # fmt: skip

TABLE: Mapping[State, Mapping[Event, State | None]] = {
    state: dict(zip(EVENTS, row, strict=True)) for state, row in _ROWS.items()
}
"""State -> event -> the state after it; None: refused."""

WORKING: frozenset[State] = frozenset({"planned", "live"})
"""It can be used, or will be as soon as a channel has it."""
IN_USE: frozenset[State] = frozenset({"used", "used_late"})
LEAVING: frozenset[State] = frozenset({"revoking", "expiring"})
"""Channels are told to do without it, and have not all confirmed."""


def moves(event: Event) -> dict[State, State]:
    """Where that event leads from the states that it changes."""
    return {
        before: after
        for before, row in TABLE.items()
        if (after := row[event]) is not None and after != before
    }


def move(
    session: Session, voucher_id: int, event: Event, actor: str, leaving: Leaving | None = None
) -> State | None:
    """Carry out an event: one UPDATE that holds for the states of the table alone, with a line in the
    redemption's history. `leaving` says why the code is to go, where that is new. The state after it;
    None where nothing changes, or it is refused."""
    found = moves(event)
    rows = run(
        session,
        """WITH moved AS (
               UPDATE vouchers v SET state = m.after, leaving = coalesce(CAST(:leaving AS text), v.leaving)
               FROM unnest(CAST(:before AS text[]), CAST(:after AS text[])) AS m(before, after)
               WHERE v.id = :id AND v.state = m.before
               RETURNING v.program_id, v.redemption_id, m.before, m.after
           ), noted AS (
               INSERT INTO redemption_events (program_id, redemption_id, event, actor, detail)
               SELECT program_id, redemption_id, after, :actor, CAST(:detail AS jsonb) FROM moved
           )
           SELECT after FROM moved""",
        {
            "id": voucher_id,
            "before": list(found),
            "after": list(found.values()),
            "actor": actor,
            "leaving": leaving,
            "detail": json_text({"voucher": event}),
        },
    )
    return rows[0].after if rows else None
