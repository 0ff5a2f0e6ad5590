"""What an order shares its code with: other orders that used the same one, and which of them counts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.i18n import gettext as _

_MOST = 20
"""Other orders of a code that are named."""


def shared(session: Session, program_id: int, transaction_id: int) -> Iterator[tuple[datetime, str]]:
    """When it was seen, and a sentence, for each other order that carries a code of this one. All of them
    are named on each (rules.md E2)."""
    for row in run(
        session,
        """SELECT v.code, mine.wins, o.first_seen_at, o.wins AS other_wins, c.name AS channel,
                  coalesce(nullif(t.number, ''), t.public_id) AS number
           FROM voucher_uses mine JOIN vouchers v ON v.id = mine.voucher_id AND v.program_id = :program
           JOIN voucher_uses o ON o.voucher_id = v.id AND o.present AND o.transaction_id <> mine.transaction_id
           JOIN transactions t ON t.id = o.transaction_id JOIN channels c ON c.id = t.channel_id
           WHERE mine.transaction_id = :id AND mine.present
           ORDER BY t.placed_at, t.channel_id, t.external_id COLLATE "C" LIMIT :most""",
        {"program": program_id, "id": transaction_id, "most": _MOST},
    ):
        named = {"code": row.code, "number": row.number, "channel": row.channel}
        if row.wins:
            said = _("{code} was used in order {number} ({channel}) too; this one was first.", **named)
        elif row.other_wins:
            said = _("{code} was used in order {number} ({channel}) before.", **named)
        else:
            said = _("{code} was used in order {number} ({channel}) too.", **named)
        yield row.first_seen_at, said
