"""Invariants that concern the book as a whole: each a statement that returns what is off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.i18n import gettext as _

MOST = 20
"""Findings a statement shows."""


@dataclass(frozen=True, slots=True)
class Found:
    """One row that is off."""

    invariant: int
    account_id: int | None
    entry_id: int | None
    what: str


CHECK_WORDS = {
    "movement": "the sides of movement {id} sum to {total}",
    "redemption": "redemption {id} is {state}, and its entries sum to {total}",
    "crossing": "its account, member and sale are of different programs",
    "no_message": "points of a sale of which there is no message",
    "no_outcome": "message {id} is done, and nobody knows how it ended",
    "voucher": "voucher {id} works, and its redemption is {state}",
}

_MINE = "(CAST(:program AS bigint) IS NULL OR {}.program_id = :program)"

_STATEMENTS: tuple[tuple[int, str, str], ...] = (
    (
        1,
        "movement",
        f"""SELECT min(e.movement_id) AS id, sum(e.amount) AS total, min(e.account_id) AS account_id,
                   min(e.id) AS entry_id
            FROM entries e WHERE e.counter = 'member' AND {_MINE.format("e")}
            GROUP BY e.program_id, regexp_replace(e.reference, ':(in|out)$', '') HAVING sum(e.amount) <> 0""",
    ),
    (
        14,
        "redemption",
        f"""SELECT r.public_id AS id, r.state, coalesce(sum(e.amount), 0) AS total, min(r.account_id) AS account_id,
                   min(e.id) AS entry_id
            FROM redemptions r
            LEFT JOIN entries e ON e.program_id = r.program_id AND e.subject = 'red:' || r.id
                               AND e.counter <> 'issued'
            WHERE {_MINE.format("r")} GROUP BY r.id
            HAVING CASE r.state WHEN 'released' THEN coalesce(sum(e.amount), 0) <> 0
                                WHEN 'held' THEN coalesce(sum(e.amount), 0) <> -r.points
                                ELSE coalesce(sum(e.amount), 0) > 0 END""",
    ),
    (
        16,
        "crossing",
        f"""SELECT e.account_id, e.id AS entry_id FROM entries e
            JOIN accounts a ON a.id = e.account_id LEFT JOIN members m ON m.id = e.member_id
            LEFT JOIN transactions t ON t.id = e.transaction_id
            WHERE {_MINE.format("e")} AND (a.program_id <> e.program_id OR m.program_id IS DISTINCT FROM e.program_id
                  OR t.program_id <> e.program_id)""",
    ),
    (
        20,
        "no_message",
        f"""SELECT p.account_id, NULL AS entry_id FROM postings p JOIN accounts a ON a.id = p.account_id
            WHERE p.posted > 0 AND {_MINE.format("a")}
              AND NOT EXISTS (SELECT FROM contributions c WHERE c.transaction_id = p.transaction_id)""",
    ),
    (
        20,
        "no_outcome",
        f"""SELECT d.id, NULL AS account_id, NULL AS entry_id FROM deliveries d
            WHERE d.state = 'done' AND d.outcome IS NULL AND {_MINE.format("d")}""",
    ),
    (
        22,
        "voucher",
        f"""SELECT v.public_id AS id, r.state, r.account_id, NULL AS entry_id
            FROM vouchers v JOIN redemptions r ON r.id = v.redemption_id
            WHERE v.state IN ('planned', 'live') AND r.state <> 'committed' AND {_MINE.format("v")}""",
    ),
)

_GUARDS = """
    SELECT 11 AS invariant, 'entries: UNIQUE (program_id, reference)' AS what
    WHERE NOT EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
                      WHERE c.relname = 'entries' AND i.indisunique AND i.indisvalid
                        AND pg_get_indexdef(i.indexrelid) LIKE '%(program_id, reference)')
    UNION ALL
    SELECT 15, 'entries: trigger ' || name FROM unnest(ARRAY['entries_append_only', 'entries_no_truncate']) AS name
    WHERE NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = name AND tgrelid = 'entries'::regclass
                        AND tgenabled IN ('O', 'A'))
    UNION ALL
    SELECT 15, 'hub_app: ' || may FROM unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE']) AS may
    WHERE has_table_privilege('hub_app', 'entries', may)
"""


def of_the_whole_book(session: Session, program_id: int | None) -> Iterator[Found]:
    """What is off across accounts, and guards of the database that are missing."""
    for guard in run(session, _GUARDS):
        yield Found(
            guard.invariant, None, None, _("the database's guard is gone: {what}", what=guard.what)
        )
    for invariant, word, statement in _STATEMENTS:
        for row in run(session, f"{statement} LIMIT {MOST:d}", {"program": program_id}):
            numbers = dict(row._mapping)
            yield Found(invariant, row.account_id, row.entry_id, _(CHECK_WORDS[word], **numbers))
