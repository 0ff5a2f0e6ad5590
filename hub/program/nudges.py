"""What a buyer is short of: the next reward, the bill that earns. Pure; shown beside a cart or a balance.

Only what can be had is promised: rewards that are offered at that moment, and bills that would earn there
and then. A rule that asks who buys is not spoken of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from hub.program.earn import bill, is_here_and_now
from hub.program.rules import Basket, Rules

Nudge = Mapping[str, Any]
"""`code` with its numbers: `reward_short` (points, reward, name), `bill_short` (amount, currency)."""


def nudges(
    rules: Rules, *, available: int, at: datetime, basket: Basket | None = None
) -> tuple[Nudge, ...]:
    """What `available` points and a bill are short of at a moment, the nearest of each."""
    return (*_reward(rules, available, at), *_bill(rules, basket))


def _reward(rules: Rules, available: int, at: datetime) -> Iterator[Nudge]:
    offered = [
        reward
        for reward in rules.rewards.values()
        if reward.why_not_at(at) is None and not (reward.tiers or reward.segments)
    ]
    dearer = [reward for reward in offered if reward.cost > max(0, available)]
    if dearer:
        nearest = min(dearer, key=lambda reward: (reward.cost, reward.id))
        short = nearest.cost - available
        yield {"code": "reward_short", "points": short, "reward": nearest.id, "name": nearest.name}


def _bill(rules: Rules, basket: Basket | None) -> Iterator[Nudge]:
    """Of rules and multipliers with a minimum: the least amount that makes one more of them apply."""
    if basket is None:
        return
    currency, paid = basket.currency, bill(basket, as_sold=False)
    conditions = [rule.when for rule in rules.earn] + [m.when for m in rules.multipliers]
    wanted = [
        when.minimum[currency]
        for when in conditions
        if currency in when.minimum and is_here_and_now(when, basket, rules.time_zone)
    ]
    missing = [least - paid for least in wanted if least > paid]
    if missing:
        yield {"code": "bill_short", "amount": min(missing), "currency": currency}
