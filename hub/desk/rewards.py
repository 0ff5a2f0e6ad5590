"""Spending a member's points on a reward."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from hub.desk.place import Desk
from hub.program.rewards import Reward
from hub.program.rules import Rules
from hub.redemption import entitled, phases, taking_back
from hub.redemption import redeem as redemption
from hub.redemption.costs import Costs
from hub.redemption.limits import NotOffered
from hub.redemption.orders import CREDIT, POINTS, Deed, Order, Payment, Redeemed


@dataclass(frozen=True, slots=True)
class Offer:
    """A reward as one member sees it."""

    reward: Reward
    missing: int
    """Points that are not there yet; 0: it can be had now."""


def offers(desk: Desk, available: int, member_id: int | None = None) -> list[Offer]:
    """The rewards that can be had now, the cheapest first; with a member those that they can have, at what
    it costs them."""
    now, rules = desk.runtime.clock(), desk.rules()
    open_now = [r for r in rules.rewards.values() if not r.every_order and r.why_not_at(now) is None]
    if member_id is not None and entitled.asks_who(rules, open_now):
        open_now = _theirs(desk, rules, open_now, member_id, now)
    found = sorted(open_now, key=lambda reward: (reward.cost, reward.id))
    return [Offer(reward, max(0, reward.cost - available)) for reward in found]


def _theirs(
    desk: Desk, rules: Rules, rewards: Sequence[Reward], member_id: int, now: datetime
) -> list[Reward]:
    them = entitled.stands(desk.session, desk.program.id, member_id, now)
    found = []
    for reward in rewards:
        with suppress(NotOffered):
            found.append(entitled.for_member(rules, reward, them))
    return found


def pay(desk: Desk, member_id: int, payment: Payment, *, key: str | None) -> Redeemed:
    """Turn points, or store credit, into a code for money off. Raises `NotPayable` besides what `redeem`
    raises."""
    known = desk.channels()
    name = CREDIT if payment.credit else POINTS
    order = _order(desk, member_id, name, payment, key)
    done = redemption.redeem(desk.session, order, desk.rules(), known)
    _tell(desk, member_id, name, [done])
    return done


def redeem(desk: Desk, member_id: int, reward: str, *, key: str | None) -> Redeemed:
    """Buy a reward; its code and the new balance go to the channels. Raises `NoSuchReward`, `NotOffered`,
    `NotEnoughPoints` and `KeyReused`; the same key again answers with the first redemption."""
    return redeem_several(desk, member_id, reward, 1, key=key)[0]


def redeem_several(
    desk: Desk, member_id: int, reward: str, quantity: int, *, key: str | None
) -> list[Redeemed]:
    """Buy several of one reward, each with a code of its own, or none of them."""
    order = _order(desk, member_id, reward, None, key)
    known = desk.channels()
    done = redemption.redeem_several(desk.session, order, desk.rules(), known, quantity)
    _tell(desk, member_id, reward, done)
    return done


def hold(desk: Desk, member_id: int, reward: str, *, key: str | None) -> Redeemed:
    """Hold the points of a reward until it is committed or released; no code yet. Raises what `redeem`
    raises."""
    return _held(desk, _order(desk, member_id, reward, None, key))


def hold_payment(desk: Desk, member_id: int, payment: Payment, *, key: str | None) -> Redeemed:
    """The same of points, or store credit, that pay for a bill. Raises what `pay` raises."""
    name = CREDIT if payment.credit else POINTS
    return _held(desk, _order(desk, member_id, name, payment, key))


def commit(desk: Desk, redemption_id: str) -> Redeemed:
    """Issue the code of what is held; it goes to the channels. Repeated, it answers with the same code.
    Raises `NoSuchRedemption`, and `HoldEnded` where the points are not held any more."""
    known = desk.channels()
    done = phases.commit(desk.session, _deed(desk, redemption_id), desk.rules(), known)
    if not done.repeated:
        desk.note("redemption.made", done.id, reward=done.reward, points=done.points)
    return done


def release(desk: Desk, redemption_id: str) -> Redeemed:
    """Let go of what is held: back to the lots it came from. Repeated, it changes nothing. Raises
    `NoSuchRedemption`, and `AlreadyCommitted` where the code is out."""
    done, members = phases.release(desk.session, _deed(desk, redemption_id))
    if not done.repeated:
        desk.note("redemption.released", done.id, reward=done.reward, points=done.points)
        desk.tell_balances(members)
    return done


def take_back(desk: Desk, redemption_id: str, *, now: datetime | None = None) -> str:
    """Take an unused code back from every channel; its points return once all have confirmed. Answers
    with the voucher's state by now; again, it changes nothing. Raises `LookupError` and `AlreadyUsed`."""
    costs = Costs(desk.session, desk.program.id, desk.runtime.chain_key, now)
    known = desk.channels()
    members = taking_back.begin(costs, redemption_id, known, desk.actor, desk.rules())
    if members is not None:
        desk.note("redemption.taken_back", redemption_id)
        desk.tell_balances(members)
    return taking_back.state_of(desk.session, desk.program.id, redemption_id)


def _held(desk: Desk, order: Order) -> Redeemed:
    done = phases.hold(desk.session, order, desk.rules())
    if not done.repeated:
        desk.note("redemption.held", done.id, reward=done.reward, points=done.points)
        desk.tell_balances([order.member_id])
    return done


def _deed(desk: Desk, redemption_id: str) -> Deed:
    return Deed(desk.program.id, redemption_id, desk.actor, desk.runtime.chain_key)


def _order(desk: Desk, member_id: int, reward: str, payment: Payment | None, key: str | None) -> Order:
    chain_key = desk.runtime.chain_key
    return Order(desk.program.id, member_id, reward, desk.actor, chain_key, key=key, payment=payment)


def _tell(desk: Desk, member_id: int, reward: str, done: Sequence[Redeemed]) -> None:
    """Into the audit, and the new balance to the channels."""
    for one in done:
        if not one.repeated:
            desk.note("redemption.made", one.id, reward=reward, points=one.points)
    if not all(one.repeated for one in done):
        desk.tell_balances([member_id])
