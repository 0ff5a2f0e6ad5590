"""What a sale is worth: pure functions of the rules in force when it was placed (rules.md B).

Exact fractions until the one rounding at the bill. Every part of the result is a step, and the steps
sum to the points. Standard library only; nothing here raises: what earns nothing says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, time
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from hub.program.brackets import slices
from hub.program.numbers import rounded, text
from hub.program.rules import (
    MAX_POINTS,
    NOBODY,
    NOT_GOODS,
    Basket,
    BasketLine,
    Buyer,
    Condition,
    EarnRule,
    Judgement,
    LineFilter,
    Multiplier,
    Rules,
)
from hub.program.windows import within

Step = Mapping[str, Any]


def evaluate(rules: Rules, basket: Basket, buyer: Buyer = NOBODY) -> Judgement:
    """Judge a sale in its present state, for whom the buyer was when it was placed."""
    if basket.standing != "paid":
        return _nothing(f"sale_{basket.standing}")
    if rules.partial_refund == "share" and _is_partly_refunded(basket):
        return _share(rules, basket, buyer)
    return _recompute(rules, basket, buyer)


def exclusion(lines: LineFilter, line: BasketLine) -> str | None:
    """Why a line does not belong: its kind, `sku`, `category`, `tag`, `discounted`, `free` or `not_named`;
    None: it does."""
    if line.kind in lines.exclude_kinds:
        return line.kind
    if line.sku is not None and line.sku in lines.exclude_skus:
        return "sku"
    if lines.exclude_categories.intersection(line.categories or ()):
        return "category"
    if lines.exclude_tags.intersection(line.tags):
        return "tag"
    if sold := _not_as_sold(lines, line):
        return sold
    return None if not lines.picks or _is_named(lines, line) else "not_named"


def _not_as_sold(lines: LineFilter, line: BasketLine) -> str | None:
    if line.discounted and lines.discounted == "out":
        return "discounted"
    return "free" if lines.free == "out" and line.sold <= 0 else None


def applies(when: Condition, basket: Basket, zone: str, buyer: Buyer = NOBODY) -> bool:
    """Whether a condition holds for a bill, and for who buys; of nobody it knows no tier, group or
    birthday."""
    return _why_not(when, basket, buyer, zone, as_sold=False) is None


def is_here_and_now(when: Condition, basket: Basket, zone: str) -> bool:
    """Whether a larger bill of anybody would meet a condition there and then."""
    in_time = _is_time(when, basket.placed_at, zone)
    return in_time and not when.asks_who and _not_there(when, basket) is None


def line_exclusion(rules: Rules, line: BasketLine) -> str | None:
    """Why a line earns by none of the rules; None: by one it does."""
    reasons = [exclusion(rule.lines, line) for rule in rules.earn]
    return None if None in reasons else next(iter(reasons), "not_named")


def _is_named(lines: LineFilter, line: BasketLine) -> bool:
    return (
        (line.sku is not None and line.sku in lines.skus)
        or (line.product is not None and line.product in lines.products)
        or bool(lines.categories.intersection(line.categories or ()))
        or bool(lines.tags.intersection(line.tags))
        or (lines.discounted == "only" and line.discounted)
    )


# --- the whole bill ------------------------------------------------------------------------------


@dataclass(slots=True)
class _Earned:
    """What one rule gives, and the weights by which its lines (None: the bill as a whole) bring it."""

    rule: EarnRule
    points: Fraction
    weights: Sequence[tuple[BasketLine | None, Fraction | int]]
    steps: list[Step]
    more: Fraction = Fraction(0)
    """What multipliers add."""
    campaigns: dict[str, Fraction] = field(default_factory=dict)
    """Rule with a budget -> the points it gives here."""

    @property
    def total(self) -> Fraction:
        return self.points + self.more


def _recompute(rules: Rules, basket: Basket, buyer: Buyer) -> Judgement:
    earned, idle = _by_rules(rules, basket, buyer)
    if not earned:
        why, steps = next(iter(idle), ("nothing_left_that_earns", []))
        numbers = {"currency": basket.currency} if why == "currency_earns_nothing" else {}
        return _nothing(why, steps, **numbers)
    before: list[_Earned] = []
    for one in earned:
        _multiply(rules, one, basket, buyer, [] if rules.combine == "best" else before)
        before.append(one)
    if rules.combine == "best":
        earned = [max(earned, key=lambda one: one.total)]
    steps = [step for one in earned for step in one.steps]
    judged = _finished(rules, sum((one.total for one in earned), Fraction(0)), steps, buyer)
    return replace(judged, campaigns=_campaigns(earned)) if rules.budgets else judged


def _campaigns(earned: Sequence[_Earned]) -> dict[str, int]:
    """What each rule with a budget gives, over all rules whose points it multiplied."""
    given: dict[str, Fraction] = {}
    for one in earned:
        for rule, points in one.campaigns.items():
            given[rule] = given.get(rule, Fraction(0)) + points
    return {rule: rounded(points, "up") for rule, points in given.items()}


def _by_rules(
    rules: Rules, basket: Basket, buyer: Buyer
) -> tuple[list[_Earned], list[tuple[str, list[Step]]]]:
    """What each rule that applies gives, and why others give nothing."""
    earned: list[_Earned] = []
    idle: list[tuple[str, list[Step]]] = []
    for rule in rules.earn:
        if rule.alone and earned:
            continue
        as_sold = rules.minimum_after_refund == "as_at_sale"
        why = _why_not(rule.when, basket, buyer, rules.time_zone, as_sold=as_sold)
        if why is not None:
            idle.append((why, []))
            continue
        one = _by_rule(rule, basket)
        if isinstance(one, _Earned):
            _within_budget(one, buyer)
            earned.append(one)
            if rule.alone or rule.last:
                break
        else:
            idle.append(one)
    return earned, idle


def _within_budget(one: _Earned, buyer: Buyer) -> None:
    """Cut a rule's own points to what is left of its budget."""
    rule = one.rule
    if rule.budget is None:
        return
    cut = _cut(rule.id, one.points, buyer)
    if cut:
        one.points -= cut
        one.steps.append({"code": "budget", "points": text(-cut), "rule": rule.id})
    one.campaigns[rule.id] = one.points


def _cut(rule: str, points: Fraction, buyer: Buyer) -> Fraction:
    """By how much points exceed what is left of a rule's budget."""
    return max(Fraction(0), points - buyer.allowed[rule]) if rule in buyer.allowed else Fraction(0)


CAPPED = {
    "day": "most_per_day",
    "week": "most_per_week",
    "month": "most_per_month",
    "year": "most_per_year",
    "ever": "most_per_member",
}
"""Period of a cap -> the code of its step."""


def _finished(rules: Rules, exact: Fraction, steps: list[Step], buyer: Buyer) -> Judgement:
    # lines that take money off may weigh more than those that bring it, once they are multiplied
    points = max(0, min(rounded(exact, rules.rounding), MAX_POINTS))
    if points != exact:
        steps.append({"code": "rounding", "points": text(points - exact), "mode": rules.rounding})
    most = rules.most_per_order
    if most is not None and points > most:
        steps.append({"code": "most_per_order", "points": text(Fraction(most - points)), "most": most})
        points = most
    why = None if points else "less_than_one_point"
    for period, most in rules.caps.items():
        left = max(0, most - buyer.earned.get(period, 0))
        if points > left:
            code = {"code": CAPPED[period], "points": text(Fraction(left - points)), "most": most}
            steps.append(code)
            points, why = left, None if left else "earned_enough"
    return Judgement(points, tuple(steps), why)


def _nothing(why: str, steps: Iterable[Step] = (), **numbers: Any) -> Judgement:
    return Judgement(0, (*steps, {"code": why, "points": "0", **numbers}), why)


# --- one rule ------------------------------------------------------------------------------------


def _by_rule(rule: EarnRule, basket: Basket) -> _Earned | tuple[str, list[Step]]:
    if rule.kind in {"per_amount", "percent", "brackets"}:
        return _by_amount(rule, basket)
    counted = [line for line in basket.lines if exclusion(rule.lines, line) is None]
    if not any(line.left > 0 or line.quantity > 0 for line in counted):
        return "nothing_left_that_earns", []
    if rule.kind == "per_order":
        step = {"code": "per_order", "points": text(rule.points), "rule": rule.id}
        return _Earned(rule, rule.points, [(None, 1)], [step])
    weights = [(line, line.quantity) for line in counted if line.quantity > 0]
    pieces = Fraction(sum(quantity for _, quantity in weights))
    step = {
        "code": "per_quantity",
        "points": text(pieces * rule.points),
        "each": text(rule.points),
        "pieces": text(pieces),
    }
    return _Earned(rule, pieces * rule.points, weights, [step])


def _by_amount(rule: EarnRule, basket: Basket) -> _Earned | tuple[str, list[Step]]:
    basis, weights, steps = _shares(rule, basket)
    rated = _rated(rule, basis, basket.currency)
    if rated is None:
        return "currency_earns_nothing", []
    if basis <= 0:
        return "nothing_left_that_earns", steps
    points = sum((rate for rate, _ in rated), Fraction(0))
    steps += [step for _, step in rated]
    if rule.rounding is not None:
        exact, points = points, Fraction(rounded(points, rule.rounding))
        if points != exact:
            steps.append({"code": "rounding", "points": text(points - exact), "mode": rule.rounding})
    return _Earned(rule, points, weights, steps)


def _rated(rule: EarnRule, basis: int, currency: str) -> list[tuple[Fraction, Step]] | None:
    """Points of an amount by the rule's rate, each part with its step; None: no rate in this currency."""
    if rule.kind == "brackets":
        return _by_brackets(rule, basis, currency)
    if currency in rule.factors:
        points = basis * rule.factors[currency]
        numbers = {"amount": basis, "currency": currency}
        return [(points, {"code": "amount_factor", "points": text(points), **numbers})]
    per = rule.per.get(currency)
    if per is None:
        return None
    if rule.kind == "percent":
        points = basis * rule.percent * rule.points / (100 * per)
    else:
        points = (basis // per if rule.whole_steps else Fraction(basis, per)) * rule.points
    return [(points, _rate(rule, points, per, basis, currency))]


def _rate(rule: EarnRule, points: Fraction, per: int, basis: int, currency: str) -> Step:
    numbers = {"per": per, "amount": basis, "currency": currency, "each": text(rule.points)}
    if rule.kind == "percent":
        return {
            "code": "percent" if rule.points == 1 else "percent_worth",
            "points": text(points),
            "percent": text(rule.percent),
            **numbers,
        }
    code = "whole_steps" if rule.whole_steps else "rate"
    return {"code": code, "points": text(points), **numbers}


def _by_brackets(rule: EarnRule, basis: int, currency: str) -> list[tuple[Fraction, Step]] | None:
    found = slices(rule.brackets, basis, currency, reach=rule.reach, whole_steps=rule.whole_steps)
    if found is None:
        return None
    return [
        (
            one.points,
            {
                "code": "bracket",
                "points": text(one.points),
                "each": text(one.bracket.points),
                "per": one.bracket.per[currency],
                "over": one.bracket.over.get(currency, 0),
                "amount": one.amount,
                "currency": currency,
            },
        )
        for one in found
    ]


def _shares(
    rule: EarnRule, basket: Basket
) -> tuple[int, list[tuple[BasketLine | None, Fraction | int]], list[Step]]:
    """The amount that earns, its parts by line (None: shipping), and a step for what does not."""
    basis = 0
    shares: list[tuple[BasketLine | None, Fraction | int]] = []
    excluded: dict[str, int] = {}
    for line in basket.lines:
        amount = line.left + (line.left_tax if rule.tax == "in" else 0)
        reason = exclusion(rule.lines, line)
        if reason is None:
            basis += amount
            shares.append((line, amount))
        elif reason != "not_named":
            excluded[reason] = excluded.get(reason, 0) + amount
    if rule.shipping == "in":
        tax = basket.shipping_tax_left if rule.tax == "in" else 0
        basis += basket.shipping_left + tax
        shares.append((None, basket.shipping_left + tax))
    excluded["paid_with"] = cut = _not_paid(rule, basket, basis)
    steps: list[Step] = [
        {"code": "excluded", "points": "0", "what": what, "amount": amount, "currency": basket.currency}
        for what, amount in sorted(excluded.items())
        if amount
    ]
    return basis - cut, shares, steps


def _not_paid(rule: EarnRule, basket: Basket, basis: int) -> int:
    """What of an amount was paid with what earns nothing: the bill's share of such payments, rounded once."""
    whole = bill(basket, as_sold=True)
    paid = sum(basket.paid_with.get(kind, 0) for kind in rule.not_paid_with)
    if whole <= 0 or not paid:
        return 0
    return rounded(Fraction(basis * min(paid, whole), whole), "half_up")


# --- when ----------------------------------------------------------------------------------------


def _why_not(when: Condition, basket: Basket, buyer: Buyer, zone: str, *, as_sold: bool) -> str | None:
    """The reason why a rule does not apply to this bill; None: it does."""
    if not _is_large_enough(when, basket, as_sold=as_sold):
        return "bill_too_small"
    why = _not_there(when, basket) or (_not_them(when, buyer) if when.asks_who else None)
    if why is None and not _is_time(when, basket.placed_at, zone):
        return "other_time"
    return why


def _not_there(when: Condition, basket: Basket) -> str | None:
    if when.channels and not when.channels & basket.channels:
        return "other_channel"
    if when.locations and basket.location not in when.locations:
        return "other_location"
    if basket.discounted and not when.discounted_bills:
        return "bill_discounted"
    if basket.paid_with_points and not when.paid_with_points:
        return "bill_paid_with_points"
    return None


def _not_them(when: Condition, buyer: Buyer) -> str | None:
    if when.tiers and buyer.tier not in when.tiers:
        return "other_tier"
    if when.segments and not when.segments & buyer.segments:
        return "other_segment"
    if when.birthday is not None and when.birthday not in buyer.birthday:
        return "no_birthday"
    return None if _is_order(when, buyer.ordinal) else "other_order"


def _is_order(when: Condition, ordinal: int | None) -> bool:
    if not when.is_ordinal:
        return True
    if ordinal is None:
        return False
    return ordinal in when.orders or (when.every_nth is not None and ordinal % when.every_nth == 0)


def _is_large_enough(when: Condition, basket: Basket, *, as_sold: bool) -> bool:
    if not when.minimum:
        return True
    least = when.minimum.get(basket.currency)
    return least is not None and bill(basket, as_sold=as_sold) >= least


def bill(basket: Basket, *, as_sold: bool) -> int:
    """The bill with tax and shipping, after discounts: what is left of it, or as it was sold."""
    if as_sold:
        lines = sum(line.sold + line.sold_tax for line in basket.lines)
        return lines + basket.shipping + basket.shipping_tax
    lines = sum(line.left + line.left_tax for line in basket.lines)
    return lines + basket.shipping_left + basket.shipping_tax_left


def _is_time(when: Condition, placed_at: datetime | None, zone: str) -> bool:
    if not (when.windows or when.weekdays or when.hours):
        return True
    if placed_at is None:
        return False
    local = placed_at.astimezone(ZoneInfo(zone))
    on_day = not when.weekdays or local.isoweekday() in when.weekdays
    return within(when.windows, placed_at) and on_day and _is_hour(when.hours, local.time())


def _is_hour(hours: tuple[time, time] | None, moment: time) -> bool:
    if hours is None:
        return True
    starts, ends = hours
    if starts < ends:
        return starts <= moment < ends
    return moment >= starts or moment < ends


# --- multipliers ---------------------------------------------------------------------------------


def _multiply(
    rules: Rules, earned: _Earned, basket: Basket, buyer: Buyer, before: Sequence[_Earned]
) -> None:
    """Add what each multiplier adds to one rule's points, one after the other, a step each. `before`: other
    rules' points that were multiplied, of which a multiplier's budget has given."""
    so_far: list[Multiplier] = []
    as_sold = rules.minimum_after_refund == "as_at_sale"
    for multiplier in rules.multipliers:
        if _why_not(multiplier.when, basket, buyer, rules.time_zone, as_sold=as_sold) is not None:
            continue
        more = earned.points * _surplus(rules, earned, so_far, multiplier)
        so_far.append(multiplier)
        if more:
            step = {"code": "multiplier", "points": text(more), "rule": multiplier.id}
            earned.steps.append({**step, "factor": text(multiplier.factor)})
            earned.more += more
        if multiplier.budget is not None:
            given = sum((one.campaigns.get(multiplier.id, Fraction(0)) for one in before), Fraction(0))
            _multiplied_within_budget(multiplier, earned, more, buyer, given)


def _multiplied_within_budget(
    multiplier: Multiplier, earned: _Earned, more: Fraction, buyer: Buyer, given: Fraction
) -> None:
    """Cut what a multiplier adds to what is left of its budget. `given`: what it has added to other rules'
    points of this bill."""
    cut = min(more, _cut(multiplier.id, more + given, buyer))
    if cut:
        earned.more -= cut
        earned.steps.append({"code": "budget", "points": text(-cut), "rule": multiplier.id})
    earned.campaigns[multiplier.id] = more - cut


def _surplus(
    rules: Rules, earned: _Earned, so_far: Sequence[Multiplier], multiplier: Multiplier
) -> Fraction:
    """By how much one more multiplier raises the factor of these points, their lines weighed."""
    raised, whole = Fraction(0), Fraction(0)
    for line, weight in earned.weights:
        factor = _factor(rules, [*so_far, multiplier], line) - _factor(rules, so_far, line)
        raised += weight * factor
        whole += weight
    return raised / whole if whole else Fraction(0)


def _factor(rules: Rules, multipliers: Sequence[Multiplier], line: BasketLine | None) -> Fraction:
    factors = [m.factor for m in multipliers if _multiplies(m, line)]
    if not factors:
        return Fraction(1)
    if rules.stacking == "best":
        return max(factors)
    if rules.stacking == "add":
        return 1 + sum((factor - 1 for factor in factors), Fraction(0))
    product = Fraction(1)
    for factor in factors:
        product *= factor
    return product


def _multiplies(multiplier: Multiplier, line: BasketLine | None) -> bool:
    if multiplier.lines is None:
        return True
    return line is not None and exclusion(multiplier.lines, line) is None


# --- partial refunds by share --------------------------------------------------------------------


def _is_partly_refunded(basket: Basket) -> bool:
    return _goods(basket, as_sold=False) != _goods(basket, as_sold=True)


def _share(rules: Rules, basket: Basket, buyer: Buyer) -> Judgement:
    """Booked points less their share of what came back: booked x remaining / original, rounded once,
    whatever the number of refunds (rules.md B5)."""
    booked = _recompute(replace(rules, partial_refund="recompute"), _as_sold(basket), buyer)
    original, left = _goods(basket, as_sold=True), _goods(basket, as_sold=False)
    if not booked.points or original <= 0:
        return booked
    left = min(max(left, 0), original)
    kept = rounded(Fraction(booked.points * left, original), rules.rounding)
    step = {
        "code": "refunded_share",
        "points": text(Fraction(kept - booked.points)),
        "left": left,
        "amount": original,
        "currency": basket.currency,
    }
    why = None if kept else "nothing_left_that_earns"
    shares = {
        rule: rounded(Fraction(points * left, original), "up")
        for rule, points in booked.campaigns.items()
    }
    return Judgement(kept, (*booked.steps, step), why, shares)


def _goods(basket: Basket, *, as_sold: bool) -> int:
    """What can be given back: a tip or a fee stays, and nobody keeps points by it."""
    goods = (line for line in basket.lines if line.kind not in NOT_GOODS)
    return sum(line.sold + line.sold_tax if as_sold else line.left + line.left_tax for line in goods)


def _as_sold(basket: Basket) -> Basket:
    lines = tuple(
        replace(line, left=line.sold, left_tax=line.sold_tax, quantity=line.sold_quantity)
        for line in basket.lines
    )
    return replace(
        basket, lines=lines, shipping_left=basket.shipping, shipping_tax_left=basket.shipping_tax
    )
