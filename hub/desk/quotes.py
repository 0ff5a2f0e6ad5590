"""What a redemption would come to now, and why it would be refused: asked before anything is held, and nothing is
changed by it."""

from __future__ import annotations

from dataclasses import dataclass

from hub.desk.place import Desk
from hub.ledger.commands import NotEnoughPoints
from hub.members import view
from hub.program.paying import Quote, quote
from hub.program.rewards import Reward
from hub.redemption import limits
from hub.redemption.asking import ask
from hub.redemption.limits import NotOffered
from hub.redemption.orders import POINTS, NoSuchReward, Order, Payment
from hub.redemption.wanted import wanted


@dataclass(frozen=True, slots=True)
class Quoted:
    """So many points may be spent and take `off` (minor units) off; `why` says why it is none, or fewer than were
    asked for."""

    points: int
    off: int
    currency: str
    why: str | None
    code_needed: bool
    """Whether spending them asks for a one-time code."""


def of_payment(desk: Desk, member_id: int, payment: Payment, *, available: int | None = None) -> Quoted:
    """How many of the points a member may pay with now. `available`: what they may spend, where the caller
    knows. Raises `NoSuchReward` where points are not money."""
    paying = desk.rules().paying
    if paying is None:
        raise NoSuchReward(POINTS)
    now = desk.runtime.clock()
    if available is None:
        available = view.balance(desk.session, member_id, now)["available"]
    today = None
    if paying.most_per_day is not None:
        zone = desk.rules().time_zone
        paid = limits.paid_today(desk.session, desk.program.id, member_id, now, zone)
        today = max(0, paying.most_per_day - paid)
    found = quote(
        paying, asked=payment.points, balance=available, currency=payment.currency, bill=payment.bill,
        today=today,
    )  # fmt: skip
    return _answer(desk, found, payment.currency)


def of_reward(desk: Desk, member_id: int, name: str, currency: str) -> Quoted:
    """What a reward costs this member, and what it takes off in that currency; or why they cannot have it. Raises
    `NoSuchReward`."""
    program, rules, key = desk.program.id, desk.rules(), desk.runtime.chain_key
    order = Order(program, member_id, name, desk.actor, key, now=desk.runtime.clock())
    try:
        reward = _to_be_had(desk, order)
        limits.refuse_one_more(
            desk.session, program, member_id, reward, desk.runtime.clock(), rules.time_zone
        )
    except NotOffered as refused:
        return _answer(desk, Quote(0, 0, refused.why), currency)
    except NotEnoughPoints:
        return _answer(desk, Quote(0, 0, "not_enough_points"), currency)
    return _answer(desk, Quote(reward.cost, reward.amounts.get(currency, 0)), currency)


def _to_be_had(desk: Desk, order: Order) -> Reward:
    asked = ask(desk.session, order)
    reward = wanted(desk.session, order, desk.rules(), asked)
    if limits.left(desk.session, order.program_id, reward) == 0:
        raise NotOffered("sold_out")
    asked.refuse_early(reward.cost)
    return reward


def _answer(desk: Desk, found: Quote, currency: str) -> Quoted:
    needed = bool(found.points) and desk.rules().till.needs_code(found.points)
    return Quoted(found.points, found.off, currency, found.why, needed)
