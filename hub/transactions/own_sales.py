"""Sales that a person of the staff rang up for themselves: whose they are, and what refusing them comes to.

Who of the staff is which member is looked up only where a version of the programme refuses such sales.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from hub.bulk import arrays, run, unnest
from hub.members.staff import EVER
from hub.program.rules import Judgement, Rules
from hub.transactions.judge import Verdict

if TYPE_CHECKING:
    from hub.transactions.post import Transaction

_RUNG = {"n": "integer", "ref": "text", "member": "bigint", "at": "timestamptz"}


def are_refused(versions: Iterable[Rules]) -> bool:
    """Whether any version of the programme refuses them."""
    return any(rules.till.own_sales == "refuse" for rules in versions)


def mark(session: Session, program_id: int, transactions: Iterable[Transaction]) -> None:
    """Set `is_own` of those that the member they are attributed to rang up, as it was when they were placed."""
    rung = [t for t in transactions if t.member_id is not None and t.sale and t.sale.place.staff]
    if not rung:
        return
    rows = [
        {"n": n, "ref": t.sale.place.staff, "member": t.member_id, "at": t.placed_at}
        for n, t in enumerate(rung)
        if t.sale is not None
    ]
    found = run(
        session,
        f"""SELECT DISTINCT r.n FROM {unnest(_RUNG)} JOIN {EVER} s
              ON s.program_id = :program AND s.ref = r.ref
             AND (s.since IS NULL OR s.since <= r.at) AND (s.until IS NULL OR r.at < s.until)
            JOIN members own ON own.id = s.member_id JOIN members buyer ON buyer.id = r.member
            WHERE coalesce(own.alias_of, own.id) = coalesce(buyer.alias_of, buyer.id)""",
        {**arrays(_RUNG, rows), "program": program_id},
    )
    for row in found:
        rung[row.n].is_own = True


def refused(verdict: Verdict) -> Verdict:
    """The verdict of a sale of one's own: by the rules of its day it gives nothing, or what any sale gives."""
    if verdict.rules.till.own_sales != "refuse" or verdict.standing != "paid" or verdict.ignored:
        return verdict
    nothing = Judgement(0, ({"code": "own_sale", "points": "0"},), "own_sale")
    credit = None if verdict.credit is None else Judgement(0, nothing.steps, nothing.why)
    return replace(
        verdict, judgement=nothing, credit=credit, lacks=(), is_refused=True, tier_points=None
    )
