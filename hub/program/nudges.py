"""What a buyer is short of: the next reward, the bill that earns. Pure; shown beside a cart or a balance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hub.program.rules import Rules

Nudge = Mapping[str, Any]
"""`code` with its numbers: `reward_short` (points, reward, name), `bill_short` (amount, currency)."""


def nudges(
    rules: Rules, *, available: int, currency: str | None = None, bill: int | None = None
) -> tuple[Nudge, ...]:
    """What `available` points and a bill of so many minor units are short of, the nearest of each."""
    return (*_reward(rules, available), *_bill(rules, currency, bill))


def _reward(rules: Rules, available: int) -> Iterator[Nudge]:
    dearer = [reward for reward in rules.rewards.values() if reward.cost > available]
    if dearer:
        nearest = min(dearer, key=lambda reward: (reward.cost, reward.id))
        short = nearest.cost - available
        yield {"code": "reward_short", "points": short, "reward": nearest.id, "name": nearest.name}


def _bill(rules: Rules, currency: str | None, bill: int | None) -> Iterator[Nudge]:
    """Of rules and multipliers with a minimum: the least amount that makes one more of them apply."""
    if currency is None or bill is None:
        return
    conditions = [rule.when for rule in rules.earn] + [m.when for m in rules.multipliers]
    wanted = [when.minimum[currency] for when in conditions if currency in when.minimum]
    missing = [least - bill for least in wanted if least > bill]
    if missing:
        yield {"code": "bill_short", "amount": min(missing), "currency": currency}
