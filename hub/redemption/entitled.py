"""Rewards as one member has them: for their tier or group alone, or for fewer points."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from hub.members import view
from hub.program import store
from hub.program.rewards import ALL, Reward
from hub.program.rules import Rules
from hub.redemption.limits import NotOffered
from hub.transactions import standing
from hub.transactions.standing import Standing


def asks_who(rules: Rules, rewards: Iterable[Reward]) -> bool:
    """Whether it matters for any of these who buys."""
    cheaper = rules.tiers is not None and any(one.reward_discount for one in rules.tiers.levels)
    return cheaper or any(reward.tiers or reward.segments for reward in rewards)


def stands(session: Session, program_id: int, member_id: int, now: datetime) -> Standing:
    """Where a member stands now."""
    program = store.by_id(session, program_id)
    root = view.by_id(session, member_id).id
    return standing.of_member(session, program_id, store.versions(session, program), root, now)


def for_member(rules: Rules, reward: Reward, them: Standing) -> Reward:
    """The reward at what it costs them: by the discount of their tier, rounded up, never nothing. Raises
    `NotOffered` where it is for others."""
    tier = them.progress.tier
    if reward.tiers and tier not in reward.tiers:
        raise NotOffered("other_tier")
    if reward.segments and not reward.segments & them.segments.keys():
        raise NotOffered("other_segment")
    place = rules.tiers.place(tier) if rules.tiers else -1
    if rules.tiers is None or place < 0:
        return reward
    cost = -(-reward.cost * (ALL - rules.tiers.levels[place].reward_discount) // ALL)
    return replace(reward, cost=max(min(1, reward.cost), cost))
