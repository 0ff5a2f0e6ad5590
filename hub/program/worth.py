"""What points are worth in money to whoever has them: for reports, never for a booking."""

from __future__ import annotations

from fractions import Fraction

from hub.program.rules import Rules


def worth_of(rules: Rules, points: int, currency: str) -> int | None:
    """Minor units that so many points come to by the rules, rounded down; None: they buy no money's
    worth. What paying with points takes off counts; without that, the reward that gives most."""
    each = _worth_of_one(rules, currency)
    if each is None:
        return None
    worth = points * each
    return worth.numerator // worth.denominator


def _worth_of_one(rules: Rules, currency: str) -> Fraction | None:
    worth = rules.paying.worth_in(currency) if rules.paying is not None else None
    if rules.paying is not None and worth is not None:
        return worth / rules.paying.points
    rewards = rules.rewards.values()
    each = [Fraction(r.amounts[currency], r.cost) for r in rewards if r.cost and currency in r.amounts]
    return max(each, default=None)
