"""What members have bought so far, read for the rules that look at it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.program.history import Purchase

_NOT_HERE = ("backdated", "before_program_start", "copy_of_another_channel", "draft", "test_order")
"""Why a paid sale does not count as bought in this program."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a member besides their sales."""

    birthday: date | None = None


def purchases(session: Session, program_id: int, roots: Collection[int]) -> dict[int, list[Purchase]]:
    """Root member -> their paid sales and those of their aliases, in the order in which they count."""
    rows = run(
        session,
        """SELECT coalesce(m.alias_of, m.id) AS root, t.id, t.placed_at, t.channel_id, t.external_id,
                  c.kind, c.public_id AS channel, t.currency, t.eligible, t.points,
                  t.goods_net + t.goods_tax + t.shipping - t.refunded AS bill,
                  EXISTS (SELECT 1 FROM postings p WHERE p.transaction_id = t.id) AS credited
           FROM members m JOIN transactions t ON t.member_id = m.id JOIN channels c ON c.id = t.channel_id
           WHERE m.program_id = :program AND (m.id = ANY(:roots) OR m.alias_of = ANY(:roots))
             AND t.state IN ('paid', 'fulfilled') AND NOT t.test AND t.placed_at IS NOT NULL
             AND (t.why IS NULL OR t.why <> ALL(:not_here)) AND t.waiting_for IS DISTINCT FROM 'review'
           ORDER BY t.placed_at, t.channel_id, t.external_id""",
        {"program": program_id, "roots": sorted(roots), "not_here": list(_NOT_HERE)},
    )
    found: dict[int, list[Purchase]] = defaultdict(list)
    for row in rows:
        found[row.root].append(
            Purchase(
                transaction_id=row.id,
                placed_at=row.placed_at,
                channel_id=row.channel_id,
                external_id=row.external_id,
                channels=frozenset((row.kind, row.channel)),
                currency=row.currency,
                goods=row.eligible,
                bill=max(0, row.bill),
                points=row.points,
                credited=row.credited,
            )
        )
    return found


def profiles(session: Session, program_id: int, roots: Collection[int]) -> dict[int, Profile]:
    """Root member -> what is known of them; what an alias was told and its root was not counts too."""
    rows = run(
        session,
        """SELECT coalesce(alias_of, id) AS root, min(birthday) FILTER (WHERE alias_of IS NULL) AS own,
                  min(birthday) AS any FROM members
           WHERE program_id = :program AND (id = ANY(:roots) OR alias_of = ANY(:roots)) GROUP BY 1""",
        {"program": program_id, "roots": sorted(roots)},
    )
    return {row.root: Profile(row.own or row.any) for row in rows}
