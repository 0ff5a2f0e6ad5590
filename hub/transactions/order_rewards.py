"""Rewards that orders bring besides points: a coupon for the next one.

Which order is to have brought which is a target, as its points are: it follows from the sale's present
state, whatever the order in which that was told, and the sweeper (`hub.sync.having`) brings the codes in
line with it. Written after the accounts are locked, by both, so that they never wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from hub.bulk import arrays, run, unnest
from hub.program.rules import Rules

if TYPE_CHECKING:
    from hub.transactions.post import Transaction

_WANTED = {"transaction_id": "bigint", "reward": "text"}


def are_brought(versions: Iterable[Rules]) -> bool:
    """Whether any version of the programme has a reward that orders bring."""
    return any(reward.every_order for rules in versions for reward in rules.rewards.values())


def note(session: Session, transactions: Sequence[Transaction]) -> None:
    """Keep what these sales are to have brought by now. Nothing is written where nothing changed."""
    wanted = [
        {"transaction_id": t.id, "reward": reward} for t in transactions for reward in brought_by(t)
    ]
    if wanted:
        run(
            session,
            f"""INSERT INTO order_rewards AS o (transaction_id, reward, wanted)
                SELECT r.transaction_id, r.reward, true FROM {unnest(_WANTED)}
                ON CONFLICT (transaction_id, reward) DO UPDATE SET wanted = true, due = true WHERE NOT o.wanted""",
            arrays(_WANTED, wanted),
        )
    run(
        session,
        f"""UPDATE order_rewards o SET wanted = false, due = true
            WHERE o.transaction_id = ANY(:ids) AND o.wanted AND NOT EXISTS (
                SELECT 1 FROM {unnest(_WANTED)} WHERE r.transaction_id = o.transaction_id AND r.reward = o.reward)""",
        {**arrays(_WANTED, wanted), "ids": [t.id for t in transactions]},
    )


def brought_by(transaction: Transaction) -> list[str]:
    """The rewards that a sale of a member brings as it is now: paid, and something of it left."""
    verdict, sale, sums = transaction.verdict, transaction.sale, transaction.amounts
    if verdict is None or sale is None or sums is None or transaction.member_id is None:
        return []
    if verdict.standing != "paid" or verdict.ignored or verdict.is_refused or verdict.for_tiers:
        return []
    if transaction.review in {"needed", "declined"}:
        return []
    bill = sums.goods_net + sums.goods_tax + sums.shipping - sums.refunded
    placed_at = transaction.placed_at or sale.placed_at
    return [
        reward.id
        for reward in verdict.rules.rewards.values()
        if reward.is_brought_by(sale.currency, bill) and reward.why_not_at(placed_at) is None
    ]


def due(session: Session, limit: int) -> list[Any]:
    """What is to be given or taken back, the oldest orders first; of all programmes."""
    return list(
        run(
            session,
            """SELECT o.transaction_id, t.public_id, o.reward, o.wanted, o.given, t.program_id, t.member_id,
                      t.placed_at, r.public_id AS redemption,
                      coalesce(v.state NOT IN ('revoking', 'revoked'), false) AS is_out
               FROM order_rewards o JOIN transactions t ON t.id = o.transaction_id
               LEFT JOIN redemptions r ON r.id = o.redemption_id
               LEFT JOIN vouchers v ON v.redemption_id = r.id
               WHERE o.due ORDER BY t.placed_at, o.transaction_id, o.reward LIMIT :limit""",
            {"limit": limit},
        )
    )


def done(session: Session, row: Any, *, redemption: str | None = None) -> None:
    """What `due` has found was carried out; what the sale has changed to meanwhile is due again."""
    run(
        session,
        """UPDATE order_rewards SET due = wanted <> :wanted,
                  given = given + CASE WHEN CAST(:redemption AS text) IS NULL THEN 0 ELSE 1 END,
                  redemption_id = coalesce((SELECT id FROM redemptions WHERE program_id = :program
                                            AND public_id = :redemption), redemption_id)
           WHERE transaction_id = :transaction AND reward = :reward""",
        {
            "wanted": row.wanted,
            "redemption": redemption,
            "program": row.program_id,
            "transaction": row.transaction_id,
            "reward": row.reward,
        },
    )
