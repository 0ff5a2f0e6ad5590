"""Staff as tills name them, and the members they are themselves: nobody earns on sales of their own."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.ids import new_id


@dataclass(frozen=True, slots=True)
class Person:
    """One of the staff."""

    ref: str
    """As the till names them: `staff` of `hub.sale/1`, `cashier` of the API."""
    member: str
    """Public id of the member they are."""
    name: str


@dataclass(frozen=True, slots=True)
class OwnSale:
    """A sale that a person rang up and that gave them points."""

    program_id: int
    transaction: str
    ref: str
    member: str
    points: int


def put(session: Session, program_id: int, ref: str, member_id: int) -> None:
    """Say who a person of the staff is; again, it replaces what was said."""
    run(
        session,
        """INSERT INTO staff (public_id, program_id, ref, member_id) VALUES (:public_id, :program, :ref, :member)
           ON CONFLICT (program_id, ref) DO UPDATE SET member_id = excluded.member_id""",
        {"public_id": new_id("stf"), "program": program_id, "ref": ref, "member": member_id},
    )


def drop(session: Session, program_id: int, ref: str) -> bool:
    """Forget one; False when nobody was called so."""
    sql = "DELETE FROM staff WHERE program_id = :program AND ref = :ref RETURNING 1"
    return bool(run(session, sql, {"program": program_id, "ref": ref}))


def of_program(session: Session, program_id: int) -> list[Person]:
    """All of them, by name."""
    rows = run(
        session,
        """SELECT s.ref, root.public_id AS member, root.name FROM staff s JOIN members m ON m.id = s.member_id
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
        """SELECT DISTINCT t.program_id, t.public_id AS transaction, s.ref, root.public_id AS member, t.points
           FROM staff s JOIN members own ON own.id = s.member_id
           JOIN members root ON root.id = coalesce(own.alias_of, own.id)
           JOIN members m ON m.id = root.id OR m.alias_of = root.id
           JOIN transactions t ON t.member_id = m.id AND t.points > 0
           JOIN contributions c ON c.transaction_id = t.id AND c.body->'place'->>'staff' = s.ref
           WHERE NOT EXISTS (SELECT 1 FROM alerts a WHERE a.program_id = t.program_id AND a.kind = 'own_sale'
                             AND a.subject = t.public_id)
           LIMIT :limit""",
        {"limit": limit},
    )
    return [OwnSale(**row._mapping) for row in rows]
