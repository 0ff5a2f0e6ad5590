"""Staff as tills name them, and the members they are themselves: nobody earns on sales of their own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.ids import new_id

EVER = """(SELECT program_id, ref, member_id, since, CAST(NULL AS timestamptz) AS until FROM staff
           UNION ALL SELECT program_id, ref, member_id, since, until FROM staff_before)"""
"""Who anybody of the staff was from when until when (half-open); NULL: from the beginning, until today."""
_RUNG_UP = f"""{EVER} s JOIN members own ON own.id = s.member_id
    JOIN members m ON coalesce(m.alias_of, m.id) = coalesce(own.alias_of, own.id) AND m.program_id = s.program_id
    JOIN transactions t ON t.member_id = m.id AND (s.since IS NULL OR s.since <= t.placed_at)
     AND (s.until IS NULL OR t.placed_at < s.until)
    JOIN contributions c ON c.transaction_id = t.id AND c.body->'place'->>'staff' = s.ref"""
"""Sales `t` of whoever rang them up, by what any message says of who did."""


@dataclass(frozen=True, slots=True)
class Person:
    """One of the staff."""

    ref: str
    """As the till names them: `staff` of `hub.sale/1`, `cashier` of the API."""
    member: str
    """Public id of the member they are."""
    name: str
    since: datetime | None
    """None: from the beginning."""


@dataclass(frozen=True, slots=True)
class OwnSale:
    """A sale that a person rang up for themselves."""

    program_id: int
    transaction: str
    """Public id."""
    channel_id: int
    external_id: str
    placed_at: datetime
    ref: str | None
    """None: it was refused as one of one's own, and by what is known now it is none."""
    points: int
    told: bool = False


def put(session: Session, program_id: int, ref: str, member_id: int, now: datetime) -> None:
    """Say who a person of the staff is. Who is named for the first time was so from the beginning; a name that
    passes to somebody else was the other's until now. Said again, it changes nothing."""
    known = {"program": program_id, "ref": ref, "now": now}
    rows = run(
        session,
        """SELECT coalesce(m.alias_of, m.id) = coalesce(n.alias_of, n.id) AS same
           FROM staff s JOIN members m ON m.id = s.member_id JOIN members n ON n.id = :member
           WHERE s.program_id = :program AND s.ref = :ref FOR UPDATE OF s""",
        {**known, "member": member_id},
    )
    if rows and rows[0].same:
        return
    if rows:
        _end(session, known)
    run(
        session,
        """INSERT INTO staff (public_id, program_id, ref, member_id, since)
           SELECT :public_id, :program, :ref, :member, CASE WHEN EXISTS (SELECT FROM staff_before b
               WHERE b.program_id = :program AND b.ref = :ref) THEN CAST(:now AS timestamptz) END
           ON CONFLICT (program_id, ref) DO UPDATE SET member_id = excluded.member_id, since = excluded.since""",
        {**known, "public_id": new_id("stf"), "member": member_id},
    )


def drop(session: Session, program_id: int, ref: str, now: datetime, *, mistaken: bool = False) -> bool:
    """They are not of the staff any more; what they rang up until now stays what it was. `mistaken`: they never
    were. False when nobody is called so."""
    known = {"program": program_id, "ref": ref, "now": now}
    return _forget(session, known) if mistaken else _end(session, known)


def _end(session: Session, known: dict[str, object]) -> bool:
    rows = run(
        session,
        """WITH gone AS (DELETE FROM staff WHERE program_id = :program AND ref = :ref
                         RETURNING program_id, ref, member_id, since)
           INSERT INTO staff_before (program_id, ref, member_id, since, until)
           SELECT program_id, ref, member_id, since, :now FROM gone RETURNING 1""",
        known,
    )
    return bool(rows)


def _forget(session: Session, known: dict[str, object]) -> bool:
    sql = "DELETE FROM staff WHERE program_id = :program AND ref = :ref RETURNING 1"
    return bool(run(session, sql, known))


def of_program(session: Session, program_id: int) -> list[Person]:
    """All of them, by name."""
    rows = run(
        session,
        """SELECT s.ref, root.public_id AS member, root.name, s.since FROM staff s JOIN members m ON m.id = s.member_id
           JOIN members root ON root.id = coalesce(m.alias_of, m.id)
           WHERE s.program_id = :program ORDER BY s.ref""",
        {"program": program_id},
    )
    return [Person(**row._mapping) for row in rows]


def is_own(session: Session, program_id: int, ref: str, member_id: int) -> bool:
    """Whether a member (a root) is the person whom tills call so."""
    rows = run(
        session,
        """SELECT 1 FROM staff s JOIN members m ON m.id = s.member_id
           WHERE s.program_id = :program AND s.ref = :ref AND coalesce(m.alias_of, m.id) = :member""",
        {"program": program_id, "ref": ref, "member": member_id},
    )
    return bool(rows)


def own_sales(session: Session, limit: int = 100) -> list[OwnSale]:
    """Sales that gave points to whoever rang them up, and that nobody was told of yet: read from the few sales
    of the staff themselves, so that posting needs to know nothing of it."""
    rows = run(
        session,
        f"""SELECT DISTINCT ON (t.id) t.program_id, t.public_id AS transaction, t.channel_id, t.external_id,
                   t.placed_at, s.ref, t.points
            FROM {_RUNG_UP}
            WHERE t.points > 0
              AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.program_id = t.program_id AND a.kind = 'own_sale'
                              AND a.subject = t.public_id)
            ORDER BY t.id, s.ref LIMIT :limit""",
        {"limit": limit},
    )
    return [OwnSale(**row._mapping) for row in rows]


def refused_sales(session: Session, limit: int = 100) -> list[OwnSale]:
    """Sales that gave nothing because whoever rang them up bought them: those that nobody was told of yet, and
    those that are none by what is known of the staff and of members now."""
    rows = run(
        session,
        f"""SELECT * FROM (
                SELECT r.program_id, r.public_id AS transaction, r.channel_id, r.external_id, r.placed_at, r.points,
                       (SELECT min(s.ref) FROM {_RUNG_UP} WHERE t.id = r.id) AS ref,
                       EXISTS (SELECT 1 FROM alerts a WHERE a.program_id = r.program_id
                               AND a.kind = 'own_sale_refused' AND a.subject = r.public_id) AS told
                FROM transactions r WHERE r.why = 'own_sale') found
            WHERE ref IS NULL OR NOT told ORDER BY transaction LIMIT :limit""",
        {"limit": limit},
    )
    return [OwnSale(**row._mapping) for row in rows]
