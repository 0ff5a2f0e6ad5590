"""Rows of redemptions: written, found again by their key, and their append-only history."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.ids import new_id
from hub.ledger.commands import NotEnoughPoints
from hub.program.rewards import Reward
from hub.redemption.orders import KeyReused, NoSuchRedemption, Order, Redeemed


@dataclass(frozen=True, slots=True)
class Opened:
    """A redemption's new row; its account was not locked yet."""

    id: int
    public_id: str
    account_id: int


def earlier(session: Session, order: Order, digest: str) -> Redeemed:
    """What was made under the order's key. Raises `KeyReused` when that was something else."""
    row = run(
        session,
        """SELECT id, input_hash FROM redemptions
           WHERE program_id = :program AND idempotency_key = :key""",
        {"program": order.program_id, "key": order.key},
    )[0]
    if row.input_hash != digest:
        raise KeyReused(order.key)
    return find(session, order.program_id, redemption_id=row.id, repeated=True)


_FOUND = """SELECT r.public_id AS id, r.state, r.reward, r.points, coalesce(v.public_id, '') AS voucher,
                   coalesce(v.code, '') AS code, coalesce(v.state, '') AS voucher_state, v.expires_at,
                   r.currency, r.hold_until
            FROM redemptions r LEFT JOIN vouchers v ON v.redemption_id = r.id WHERE r.program_id = :program"""


def find(session: Session, program_id: int, *, redemption_id: int, repeated: bool = False) -> Redeemed:
    """A redemption with its voucher, if it has one yet."""
    row = run(session, f"{_FOUND} AND r.id = :id", {"program": program_id, "id": redemption_id})[0]
    return Redeemed(**row._mapping, repeated=repeated)


def named(session: Session, program_id: int, public_id: str, *, repeated: bool = False) -> Redeemed:
    """A redemption by its public id. Raises `NoSuchRedemption`."""
    rows = run(session, f"{_FOUND} AND r.public_id = :id", {"program": program_id, "id": public_id})
    if not rows:
        raise NoSuchRedemption(public_id)
    return Redeemed(**rows[0]._mapping, repeated=repeated)


def insert(
    session: Session,
    order: Order,
    reward: Reward,
    *,
    state: Literal["held", "committed"],
    digest: str,
    now: datetime,
    until: datetime | None = None,
) -> Opened | None:
    """The redemption's row, where points are only held with the first line of its history; None when the key was
    used before (waiting for whoever holds it). Raises
    `NotEnoughPoints` where the member has no account."""
    rows = run(
        session,
        """WITH made AS (
               INSERT INTO redemptions (public_id, program_id, account_id, member_id, reward, reward_terms, points,
                                        state, idempotency_key, input_hash, actor, created_at, currency, hold_until)
               SELECT :public_id, :program, a.id, :member, :reward, CAST(:terms AS jsonb), :points, :state, :key,
                      :digest, :actor, :now, :currency, :until
               FROM members m JOIN accounts a ON a.member_id = coalesce(m.alias_of, m.id) WHERE m.id = :member
               ON CONFLICT (program_id, idempotency_key) DO NOTHING RETURNING id, public_id, account_id
           ), noted AS (
               INSERT INTO redemption_events (program_id, redemption_id, event, actor)
               SELECT :program, id, 'held', :actor FROM made WHERE :state = 'held'
           )
           SELECT * FROM made""",
        {
            "public_id": new_id("red"),
            "program": order.program_id,
            "member": order.member_id,
            "reward": reward.id,
            "terms": json.dumps(reward.terms()),
            "points": reward.cost,
            "state": state,
            "key": order.key,
            "digest": digest,
            "actor": order.actor,
            "now": now,
            "currency": order.credit.currency if order.credit else None,
            "until": until,
        },
    )
    if rows:
        return Opened(**rows[0]._mapping)
    _refuse_without_account(session, order, reward)
    return None


def _refuse_without_account(session: Session, order: Order, reward: Reward) -> None:
    if not run(
        session,
        """SELECT 1 FROM members m JOIN accounts a ON a.member_id = coalesce(m.alias_of, m.id)
           WHERE m.id = :member""",
        {"member": order.member_id},
    ):
        raise NotEnoughPoints(reward.cost, 0, 0, None)


def last_event(session: Session, program_id: int, public_id: str) -> str:
    """What happened to it last."""
    sql = """SELECT e.event FROM redemption_events e JOIN redemptions r ON r.id = e.redemption_id
             WHERE r.program_id = :program AND r.public_id = :id ORDER BY e.id DESC LIMIT 1"""
    return str(run(session, sql, {"program": program_id, "id": public_id})[0].event)
