"""Sales that were told of late, and what the sales after them would earn had they known (rules.md B2).

The tier of a sale is resolved once, at its first points. One that is told of when a later sale has its
points already is marked; nothing else happens by itself. On request, who bought is resolved anew for it
and for all sales of the member after it, in their order, by what is left of them today.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.desk.claims import post_all_again
from hub.desk.place import Desk, rehearsal
from hub.members import view


@dataclass(frozen=True, slots=True)
class Difference:
    """One sale whose buyer is seen otherwise now."""

    member: str
    """Public id."""
    transaction: str
    """Public id."""
    number: str
    placed_at: datetime
    late: bool
    """This is the sale that was told of late."""
    tier_before: str | None
    tier: str | None
    points_before: int
    points: int


def members(session: Session, program_id: int) -> list[int]:
    """Members who have a sale that was told of late, by id; merged ones as who they are now."""
    rows = run(
        session,
        """SELECT DISTINCT coalesce(m.alias_of, m.id) AS root
           FROM sale_contexts c JOIN members m ON m.id = c.member_id
           WHERE c.program_id = :program AND c.late ORDER BY 1""",
        {"program": program_id},
    )
    return [row.root for row in rows]


def reassess(desk: Desk, member_id: int) -> list[Difference]:
    """Resolve anew who bought, from the first late sale on, and post what that changes. Returns the
    late sales and those that came out otherwise, in their order; nothing where no sale was late."""
    member = view.by_id(desk.session, member_id)
    before = _lock(desk, member.id)
    if not before:
        return []
    run(
        desk.session,
        """UPDATE sale_contexts SET stale = true
           WHERE program_id = :program AND transaction_id = ANY(:ids)""",
        {"program": desk.program.id, "ids": [row.id for row in before]},
    )
    _sales, touched = post_all_again(desk, [(row.channel_id, row.external_id) for row in before])
    found = list(_differences(member.public_id, before, _contexts(desk, [row.id for row in before])))
    points = sum(one.points - one.points_before for one in found)
    desk.note("member.reassessed", member.public_id, points=points, sales=len(before))
    desk.tell_balances(touched)
    return found


def preview(desk: Desk, member_id: int) -> list[Difference]:
    """What `reassess` would come to."""
    with rehearsal(desk.session):
        return reassess(desk, member_id)


_SALES = """SELECT t.id, t.public_id, t.number, t.channel_id, t.external_id, t.placed_at, t.points, c.tier, c.late
            FROM transactions t JOIN sale_contexts c ON c.transaction_id = t.id AND c.member_id = t.member_id"""


def _lock(desk: Desk, root: int) -> list[Any]:
    """The member's sales from the first late one on, locked; in the order in which they count."""
    rows = run(
        desk.session,
        f"""{_SALES} JOIN members m ON m.id = t.member_id
            WHERE t.program_id = :program AND :root IN (m.id, m.alias_of)
            ORDER BY t.id FOR NO KEY UPDATE OF t""",
        {"program": desk.program.id, "root": root},
    )
    ordered = sorted(rows, key=lambda row: (row.placed_at, row.channel_id, row.external_id))
    first = next((n for n, row in enumerate(ordered) if row.late), len(ordered))
    return ordered[first:]


def _contexts(desk: Desk, ids: list[int]) -> dict[int, Any]:
    rows = run(
        desk.session,
        f"{_SALES} WHERE t.program_id = :program AND t.id = ANY(:ids)",
        {"program": desk.program.id, "ids": ids},
    )
    return {row.id: row for row in rows}


def _differences(member: str, before: list[Any], after: dict[int, Any]) -> Iterable[Difference]:
    for was in before:
        now = after[was.id]
        if was.late or (was.tier, was.points) != (now.tier, now.points):
            yield Difference(
                member=member,
                transaction=was.public_id,
                number=was.number,
                placed_at=was.placed_at,
                late=was.late,
                tier_before=was.tier,
                tier=now.tier,
                points_before=was.points,
                points=now.points,
            )
