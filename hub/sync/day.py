"""What a day brought: orders, the points they are worth, codes used in them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from hub.bulk import run

COUNTED = 50_000
"""Orders looked at; a day with more is told as "more than"."""


@dataclass(frozen=True, slots=True)
class Day:
    """The numbers of one day in the program's time zone."""

    orders: int
    points: int
    """What these orders are worth now, after refunds."""
    codes: int
    exact: bool


def bounds(now: datetime, zone: str) -> tuple[datetime, datetime]:
    """The half-open day of a moment in a time zone (A9); 23 or 25 hours when clocks are changed."""
    here = ZoneInfo(zone)
    today = now.astimezone(here).date()
    start, end = (datetime.combine(d, time(), here) for d in (today, today + timedelta(days=1)))
    return start, end


def of_day(session: Session, program_id: int, start: datetime, end: datetime) -> Day:
    """The numbers of the orders placed from `start` on, before `end`. Drafts, tests and what was
    cancelled or deleted are no orders."""
    row = run(
        session,
        f"""WITH today AS MATERIALIZED (
                SELECT id, points, codes, state, test FROM transactions
                WHERE program_id = :program AND coalesce(placed_at, created_at) >= :start
                  AND coalesce(placed_at, created_at) < :end
                ORDER BY coalesce(placed_at, created_at) DESC, id DESC LIMIT {COUNTED + 1:d}
            ), orders AS (
                SELECT * FROM today
                WHERE NOT test AND state NOT IN ('unknown', 'draft', 'cancelled', 'deleted')
            )
            SELECT (SELECT count(*) FROM today) AS seen, (SELECT count(*) FROM orders) AS orders,
                   (SELECT coalesce(sum(points), 0) FROM orders) AS points,
                   (SELECT count(DISTINCT v.id) FROM orders o CROSS JOIN unnest(o.codes) AS c(code)
                    JOIN vouchers v ON v.program_id = :program AND v.code_key = upper(btrim(c.code))
                    JOIN voucher_uses u ON u.voucher_id = v.id AND u.transaction_id = o.id AND u.present) AS codes""",
        {"program": program_id, "start": start, "end": end},
    )[0]
    return Day(row.orders, int(row.points), row.codes, exact=row.seen <= COUNTED)
