"""What is asked before points are held, in one statement and without a lock: is the key new, whose points, are
there enough."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.ledger.commands import UNKNOWN, NotEnoughPoints
from hub.redemption.orders import Order


@dataclass(frozen=True, slots=True)
class Asked:
    """One moment's answer."""

    used: bool
    """A redemption was made under the order's key."""
    now: datetime
    off: bool
    """The member's account is switched off."""
    available: int
    pending: int
    vests_at: datetime | None

    def refuse_early(self, points: int) -> None:
        """Raise `NotEnoughPoints` where the points are not there already, before anything is written and
        anybody is locked out: of a thousand who want the same points most are answered here. Who passes
        is asked again under the lock."""
        if self.available < points:
            raise NotEnoughPoints(points, self.available, self.pending, self.vests_at)


_ASK = """
SELECT EXISTS (SELECT 1 FROM redemptions WHERE program_id = :program AND idempotency_key = CAST(:key AS text)) AS used,
       s.now, root.disabled_at IS NOT NULL AS off, l.available, l.pending, l.vests_at
FROM members m JOIN members root ON root.id = coalesce(m.alias_of, m.id)
CROSS JOIN (SELECT coalesce(CAST(:now AS timestamptz), clock_timestamp()) AS now) s
LEFT JOIN accounts a ON {whose}
CROSS JOIN LATERAL (SELECT greatest(s.now, a.last_recorded_at) AS at) t
CROSS JOIN LATERAL (
    SELECT CAST(coalesce(sum(l.remaining) FILTER (WHERE l.available_at <= t.at
                    AND (l.expires_at IS NULL OR l.expires_at > t.at)), 0) AS bigint) AS available,
           CAST(coalesce(sum(l.remaining) FILTER (WHERE l.available_at > t.at), 0) AS bigint) AS pending,
           min(l.available_at) FILTER (WHERE l.available_at > t.at AND l.available_at < :unknown) AS vests_at
    FROM lots l WHERE l.account_id = a.id AND l.remaining > 0) l
WHERE m.id = :member"""
_POINTS = _ASK.format(whose="a.member_id = root.id")
_CREDIT = _ASK.format(whose="a.holder_id = root.id AND a.currency = :currency")


def ask(session: Session, order: Order) -> Asked:
    """What is so now of the order's key and member: of points, or of the credit it is to be paid with."""
    keys = {
        "program": order.program_id,
        "key": order.key,
        "now": order.now,
        "member": order.member_id,
        "unknown": UNKNOWN,
    }
    credit = order.credit
    if credit is None:
        return Asked(**run(session, _POINTS, keys)[0]._mapping)
    return Asked(**run(session, _CREDIT, {**keys, "currency": credit.currency})[0]._mapping)
