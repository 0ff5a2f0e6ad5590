"""Spending a member's points on a reward."""

from __future__ import annotations

from dataclasses import dataclass

from hub.desk.place import Desk
from hub.members import view
from hub.outbox import channels
from hub.program import store
from hub.program.rules import Reward, in_force
from hub.redemption import redeem as redemption
from hub.redemption.redeem import Order, Redeemed


@dataclass(frozen=True, slots=True)
class Offer:
    """A reward as one member sees it."""

    reward: Reward
    missing: int
    """Points that are not there yet; 0: it can be had now."""


def offers(desk: Desk, available: int) -> list[Offer]:
    """The rewards in force, the cheapest first."""
    rules = in_force(store.versions(desk.session, desk.program), desk.runtime.clock())
    found = sorted(rules.rewards.values(), key=lambda reward: (reward.cost, reward.id))
    return [Offer(reward, max(0, reward.cost - available)) for reward in found]


def redeem(desk: Desk, member_id: int, reward: str, *, key: str | None) -> Redeemed:
    """Buy a reward; its code and the new balance go to the channels. Raises `NoSuchReward`,
    `NotEnoughPoints` and `KeyReused`; the same key again answers with the first redemption."""
    rules = in_force(store.versions(desk.session, desk.program), desk.runtime.clock())
    chain_key = desk.runtime.chain_key
    order = Order(desk.program.id, member_id, reward, desk.actor, chain_key, key=key)
    known = channels.of_program(desk.session, desk.program.id)
    done = redemption.redeem(desk.session, order, rules, known)
    if not done.repeated:
        desk.note("redemption.made", done.id, reward=reward, points=done.points)
        desk.tell_balances([view.by_id(desk.session, member_id).id])
    return done
