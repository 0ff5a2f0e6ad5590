"""Buying a reward with points: hold, code, commit, in one transaction, idempotent by key."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.ids import new_code, new_id
from hub.ledger import commands
from hub.ledger.accounts import open_accounts
from hub.ledger.commands import Command, NotEnoughPoints
from hub.ledger.entry import input_hash
from hub.members import view
from hub.members.switch import is_off
from hub.members.view import root_of
from hub.outbox import deliveries
from hub.outbox.channels import Channel
from hub.program.paying import Quote, quote
from hub.program.rewards import Reward
from hub.program.rules import Rules
from hub.redemption import entitled
from hub.redemption.limits import NotOffered, check_member, lock_stock
from hub.redemption.taking_back import code_pushes
from hub.redemption.uses import code_key
from hub.transactions import standing


class NoSuchReward(LookupError):
    """The program in force has no such reward."""


class NotPayable(Exception):
    """So many points cannot be paid with here; `quote` says how many could, and why."""

    def __init__(self, quote: Quote) -> None:
        super().__init__(f"{quote.points} points could be used")
        self.quote = quote


class KeyReused(Exception):
    """The idempotency key was used for another request."""


@dataclass(frozen=True, slots=True)
class Redeemed:
    """A redemption and its voucher, as the API shows them."""

    id: str
    state: str
    reward: str
    points: int
    voucher: str
    code: str
    voucher_state: str
    expires_at: datetime | None
    currency: str | None = None
    """Of store credit that was spent: `points` are its minor units."""
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """Who wants what, and under which key."""

    program_id: int
    member_id: int
    reward: str
    actor: str
    chain_key: bytes
    key: str | None = None
    code_prefix: str = "HUB"
    now: datetime | None = None
    payment: Payment | None = None
    """Points paid as money; `reward` is then `points`."""
    quantity: int = 1
    """How many are bought together: part of what a key stands for."""


CREDIT = "credit"
"""The same of store credit."""
POINTS = "points"
"""What a redemption of points as money is called where rewards have their ids."""


@dataclass(frozen=True, slots=True)
class Payment:
    """So many points off a bill of this currency (minor units, with everything; None: not known)."""

    points: int
    currency: str
    bill: int | None = None
    credit: bool = False
    """Store credit is paid with instead: `points` are minor units of the currency."""


def redeem(session: Session, order: Order, rules: Rules, channels: Iterable[Channel]) -> Redeemed:
    """Spend points on a reward and plan its code for every channel.

    Raises `NoSuchReward`, `NotPayable`, `NotOffered` (limits, stock, validity, tier), `NotEnoughPoints`
    and `KeyReused`; whatever it refuses with, nothing was changed. The same key again answers with the
    first redemption.
    """
    digest = _digest(order)
    if is_used(session, order.program_id, order.key):
        return _earlier(session, order, digest)  # also when the reward is offered no more
    reward = _as_money(session, order, rules) if order.payment else rules.rewards.get(order.reward)
    if reward is None:
        raise NoSuchReward(order.reward)
    now = order.now or commands.moment(session)
    if is_off(session, order.member_id):
        raise NotOffered("account_disabled")
    why = reward.why_not_at(now)
    if why is not None:
        raise NotOffered(why)
    if order.payment is None and entitled.asks_who(rules, [reward]):
        them = entitled.stands(session, order.program_id, order.member_id, now)
        reward = entitled.for_member(rules, reward, them)
    with session.begin_nested():
        row_id = _buy(session, order, reward, digest, rules, now)
        if row_id is not None:
            voucher = _voucher(session, order, row_id, reward, now)
            if reward.credit:
                _credit(session, order, row_id, reward)
            else:
                _plan(session, order.program_id, voucher, channels)
            return find(session, order.program_id, redemption_id=row_id)
    return _earlier(session, order, digest)


def redeem_several(
    session: Session, order: Order, rules: Rules, channels: Iterable[Channel], quantity: int
) -> list[Redeemed]:
    """So many of one reward, each with a code of its own, or none: what `redeem` raises, for all of
    them together."""
    known = list(channels)
    done: list[Redeemed] = []
    with session.begin_nested():
        for number in range(1, quantity + 1):
            key = order.key if order.key is None or number == 1 else f"{order.key}#{number}"
            try:
                one = redeem(session, replace(order, key=key, quantity=quantity), rules, known)
            except NotEnoughPoints as refused:
                spent = sum(other.points for other in done)
                needed, available = refused.needed * quantity, refused.available + spent
                raise NotEnoughPoints(needed, available, refused.pending, refused.vests_at) from None
            done.append(one)
    return done


def _buy(
    session: Session, order: Order, reward: Reward, digest: str, rules: Rules, now: datetime
) -> int | None:
    """The redemption's row with its points taken; None when the key was used meanwhile."""
    lock_stock(session, order.program_id, reward)
    in_credit = order.payment is not None and order.payment.credit
    if in_credit or not reward.cost:
        open_accounts(session, order.program_id, [root_of(session, order.member_id)])
    row_id = _insert(session, order, reward, digest, now)
    if row_id is None:
        return None
    account_id = _take(session, order, reward, row_id, rules)
    check_member(session, order.program_id, order.member_id, reward, now, rules.time_zone)
    run(
        session,
        "UPDATE redemptions SET account_id = :account, state = 'committed' WHERE id = :id",
        {"account": account_id, "id": row_id},
    )
    for event in ("held", "committed"):
        _note(session, order, row_id, event)
    standing.look_again(session, rules, [order.member_id])
    return row_id


def _credit(session: Session, order: Order, redemption_id: int, reward: Reward) -> None:
    """A reward that is store credit is there at once; its code has nothing to carry."""
    for currency, amount in reward.credit.items():
        command = Command(
            order.program_id,
            order.member_id,
            reference=f"credit:red:{redemption_id}:{currency}",
            actor=order.actor,
            chain_key=order.chain_key,
            now=order.now,
            explanation=({"code": "points_to_credit", "points": str(amount)},),
            currency=currency,
        )
        commands.adjust(session, command, amount)
    run(
        session,
        "UPDATE vouchers SET state = 'used' WHERE redemption_id = :id",
        {"id": redemption_id},
    )


def _explained(order: Order, reward: Reward) -> dict[str, Any]:
    if order.payment is None:
        return {"code": "redeemed", "points": str(-reward.cost), "reward": reward.id}
    currency = order.payment.currency
    if order.payment.credit:
        step = {"code": "credit_to_code", "points": str(-reward.cost)}
        return {**step, "amount": reward.cost, "currency": currency}
    return {
        "code": "paid_with_points",
        "points": str(-reward.cost),
        "amount": reward.amounts[currency],
        "currency": currency,
    }


def _digest(order: Order) -> str:
    if order.payment is None:
        many = (order.quantity,) if order.quantity > 1 else ()
        return input_hash(order.member_id, order.reward, *many)
    paid = order.payment
    name = CREDIT if paid.credit else POINTS
    return input_hash(order.member_id, name, paid.points, paid.currency, paid.bill)


def _take(session: Session, order: Order, reward: Reward, row_id: int, rules: Rules) -> int:
    """Take the points, or the credit; the id of the account, which is locked then in any case."""
    if not reward.cost:
        sql = """SELECT a.id FROM members m JOIN accounts a ON a.member_id = coalesce(m.alias_of, m.id)
                 WHERE m.id = :member FOR NO KEY UPDATE OF a"""
        return int(run(session, sql, {"member": order.member_id})[0].id)
    in_credit = order.payment if order.payment and order.payment.credit else None
    command = Command(
        order.program_id,
        order.member_id,
        reference=f"hold:{row_id}",
        actor=order.actor,
        chain_key=order.chain_key,
        now=order.now,
        explanation=(_explained(order, reward),),
        currency=in_credit.currency if in_credit else None,
    )
    held = commands.hold(session, command, reward.cost, f"red:{row_id}")
    if (
        order.payment
        and not in_credit
        and rules.paying
        and held.available + reward.cost < rules.paying.least_balance
    ):
        raise NotPayable(Quote(0, 0, "balance_too_small"))
    return held.account_id


def _as_money(session: Session, order: Order, rules: Rules) -> Reward | None:
    """The reward that points come to as money; whether they are there, the ledger says."""
    paid = order.payment
    if paid is not None and paid.credit:
        return _as_credit(paid, rules)
    if rules.paying is None or paid is None:
        return None
    clamps = rules.paying.over_balance == "clamp"
    balance = _available(session, order) if clamps else _ANY
    found = quote(
        rules.paying, asked=paid.points, balance=balance, currency=paid.currency, bill=paid.bill
    )
    if found.points != paid.points and not (clamps and found.points):
        raise NotPayable(found)
    off = {paid.currency: found.off}
    return Reward(POINTS, POINTS, found.points, off, valid_days=rules.paying.valid_days)


def _as_credit(paid: Payment, rules: Rules) -> Reward | None:
    """Store credit as money off: worth what it is, and never more than the bill."""
    if rules.credit is None:
        return None
    if paid.bill is not None and paid.points > paid.bill:
        raise NotPayable(Quote(paid.bill, paid.bill, "bill_too_small"))
    off = {paid.currency: paid.points}
    return Reward(CREDIT, CREDIT, paid.points, off, valid_days=rules.credit.valid_days)


def _available(session: Session, order: Order) -> int:
    """What the member may use now; the hold asks again, under the account's lock."""
    now = order.now or commands.moment(session)
    return int(view.balance(session, order.member_id, now)["available"])


_ANY = 2**62
"""A balance that is enough: the hold refuses one that is not, under the account's lock."""


def is_used(session: Session, program_id: int, key: str | None) -> bool:
    """Whether a redemption was made under this key."""
    if key is None:
        return False
    sql = "SELECT 1 FROM redemptions WHERE program_id = :program AND idempotency_key = :key"
    return bool(run(session, sql, {"program": program_id, "key": key}))


def find(session: Session, program_id: int, *, redemption_id: int, repeated: bool = False) -> Redeemed:
    """A redemption with its voucher."""
    row = run(
        session,
        """SELECT r.public_id AS id, r.state, r.reward, r.points, v.public_id AS voucher, v.code,
                  v.state AS voucher_state, v.expires_at, r.currency
           FROM redemptions r JOIN vouchers v ON v.redemption_id = r.id
           WHERE r.program_id = :program AND r.id = :id""",
        {"program": program_id, "id": redemption_id},
    )[0]
    return Redeemed(**row._mapping, repeated=repeated)


def _insert(session: Session, order: Order, reward: Reward, digest: str, now: datetime) -> int | None:
    """The redemption's row, or None when the key was used before (waiting for whoever holds it)."""
    rows = run(
        session,
        """INSERT INTO redemptions (public_id, program_id, account_id, member_id, reward, reward_terms, points,
                                    state, idempotency_key, input_hash, actor, created_at, currency)
           SELECT :public_id, :program, a.id, :member, :reward, CAST(:terms AS jsonb), :points, 'held', :key,
                  :digest, :actor, :now, :currency
           FROM members m JOIN accounts a ON a.member_id = coalesce(m.alias_of, m.id) WHERE m.id = :member
           ON CONFLICT (program_id, idempotency_key) DO NOTHING RETURNING id""",
        {
            "public_id": new_id("red"),
            "program": order.program_id,
            "member": order.member_id,
            "reward": reward.id,
            "terms": json.dumps(reward.terms()),
            "points": reward.cost,
            "key": order.key,
            "digest": digest,
            "actor": order.actor,
            "now": now,
            "currency": order.payment.currency if order.payment and order.payment.credit else None,
        },
    )
    if rows:
        return int(rows[0].id)
    if not run(
        session,
        """SELECT 1 FROM members m JOIN accounts a ON a.member_id = coalesce(m.alias_of, m.id)
           WHERE m.id = :member""",
        {"member": order.member_id},
    ):
        raise NotEnoughPoints(reward.cost, 0, 0, None)
    return None


def _earlier(session: Session, order: Order, digest: str) -> Redeemed:
    row = run(
        session,
        """SELECT id, input_hash FROM redemptions
           WHERE program_id = :program AND idempotency_key = :key""",
        {"program": order.program_id, "key": order.key},
    )[0]
    if row.input_hash != digest:
        raise KeyReused(order.key)
    return find(session, order.program_id, redemption_id=row.id, repeated=True)


def _note(session: Session, order: Order, redemption_id: int, event: str) -> None:
    run(
        session,
        """INSERT INTO redemption_events (program_id, redemption_id, event, actor)
           VALUES (:program, :id, :event, :actor)""",
        {"program": order.program_id, "id": redemption_id, "event": event, "actor": order.actor},
    )


def _voucher(session: Session, order: Order, redemption_id: int, reward: Reward, now: datetime) -> Any:
    code = new_code(order.code_prefix)
    return run(
        session,
        """INSERT INTO vouchers (public_id, program_id, redemption_id, member_id, code, code_key, state,
                                 starts_at, expires_at)
           VALUES (:public_id, :program, :redemption, :member, :code, :key, 'planned', :now, :ends)
           RETURNING id, public_id""",
        {
            "public_id": new_id("vch"),
            "program": order.program_id,
            "redemption": redemption_id,
            "member": order.member_id,
            "code": code,
            "key": code_key(code),
            "now": now,
            "ends": reward.expires_at(now),
        },
    )[0]


def _plan(session: Session, program_id: int, voucher: Any, channels: Iterable[Channel]) -> None:
    open_channels = [c for c in channels if c.status != "disconnected"]
    run(
        session,
        """INSERT INTO voucher_channels (voucher_id, channel_id, state)
           SELECT :voucher, c, 'planned' FROM unnest(CAST(:channels AS bigint[])) AS c""",
        {"voucher": voucher.id, "channels": [c.id for c in open_channels]},
    )
    pushes = code_pushes(program_id, voucher.public_id, "create_code", open_channels)
    deliveries.enqueue(session, pushes)
