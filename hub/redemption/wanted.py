"""Which reward an order comes to for that member: one of the programme's, or points or credit as money."""

from __future__ import annotations

from sqlalchemy.orm import Session

from hub.program.paying import Quote, quote
from hub.program.rewards import Reward
from hub.program.rules import Rules
from hub.redemption import entitled
from hub.redemption.asking import Asked
from hub.redemption.limits import NotOffered
from hub.redemption.orders import CREDIT, POINTS, NoSuchReward, NotPayable, Order, Payment

_ANY = 2**62
"""A balance that is enough: the hold refuses one that is not, under the account's lock."""


def wanted(session: Session, order: Order, rules: Rules, asked: Asked) -> Reward:
    """The reward at what it costs this member. Raises `NoSuchReward`, `NotPayable` and `NotOffered`.
    Asked before any lock is taken."""
    reward = _as_money(order, rules, asked) if order.payment else rules.rewards.get(order.reward)
    if reward is None:
        raise NoSuchReward(order.reward)
    if asked.off:
        raise NotOffered("account_disabled")
    if reward.every_order and order.brought_at is None:
        raise NotOffered("comes_with_orders")
    why = reward.why_not_at(order.brought_at or asked.now)
    if why is not None:
        raise NotOffered(why)
    if order.payment is None and entitled.asks_who(rules, [reward]):
        them = entitled.stands(session, order.program_id, order.member_id, asked.now)
        return entitled.for_member(rules, reward, them)
    return reward


def _as_money(order: Order, rules: Rules, asked: Asked) -> Reward | None:
    """The reward that points come to as money; whether they are there, the ledger says."""
    paid = order.payment
    if paid is not None and paid.credit:
        return _as_credit(paid, rules)
    if rules.paying is None or paid is None:
        return None
    clamps = rules.paying.over_balance == "clamp"
    # the hold asks again, under the account's lock
    balance = asked.available if clamps else _ANY
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
