"""Paid memberships among the lines of sales: which tier, how many of them were not given back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from hub.bulk import arrays, run, unnest
from hub.program.ladder import Membership
from hub.program.rules import BasketLine
from hub.transactions.judge import basket

if TYPE_CHECKING:
    from hub.transactions.post import Ground, Transaction

_COLUMNS = {"transaction_id": "bigint", "tier": "text", "pieces": "integer"}
MOST_PIECES = 1000


def store(session: Session, ground: Ground, transactions: Sequence[Transaction]) -> None:
    """Note what these sales grant now: a refund takes it back. Nothing where no programme sells tiers."""
    rows = [row for transaction in transactions for row in _rows(transaction)]
    if rows:
        run(
            session,
            f"""INSERT INTO sale_memberships (program_id, transaction_id, tier, pieces)
                SELECT :program, r.transaction_id, r.tier, r.pieces FROM {unnest(_COLUMNS)}
                WHERE r.pieces > 0 OR EXISTS (SELECT 1 FROM sale_memberships m
                                              WHERE m.transaction_id = r.transaction_id AND m.tier = r.tier)
                ON CONFLICT (transaction_id, tier) DO UPDATE SET pieces = excluded.pieces""",
            {**arrays(_COLUMNS, rows), "program": ground.program_id},
        )


def _rows(transaction: Transaction) -> Iterator[dict[str, Any]]:
    verdict, sale = transaction.verdict, transaction.sale
    if verdict is None or sale is None or verdict.rules.tiers is None:
        return
    plans = verdict.rules.tiers.memberships
    if not plans:
        return
    counts = verdict.standing == "paid" and not verdict.ignored and not verdict.is_refused
    lines = basket(sale, verdict.standing, transaction.line_facts).lines if counts else ()
    for plan in plans:
        pieces = sum(int(line.quantity) for line in lines if _grants(plan, line))
        yield {
            "transaction_id": transaction.id,
            "tier": plan.tier,
            "pieces": min(MOST_PIECES, max(0, pieces)),
        }


def _grants(plan: Membership, line: BasketLine) -> bool:
    return line.sku in plan.skus or line.product in plan.products
