"""What a sale brings as store credit: shares of what was paid for it in money, rounded once.

The same engine as points (`hub.program.earn`), in minor units of the sale's currency. Pure, standard
library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from hub.program.earn import bill, evaluate
from hub.program.expiry import availability, end_of_period
from hub.program.rules import NOBODY, Basket, Buyer, Credit, EarnRule, Judgement, Rules


def cashback(rules: Rules, basket: Basket, buyer: Buyer = NOBODY) -> Judgement:
    """Store credit for a sale in its present state; its `points` are minor units of the sale's currency."""
    credit = rules.credit
    if credit is None:
        return Judgement(0, ())
    share = _paid_in_money(basket)
    like_points = replace(
        rules,
        earn=tuple(_of_currency(rule, basket.currency, share) for rule in credit.cashback),
        multipliers=(),
        combine="sum",
        rounding=credit.rounding,
        most_per_order=credit.most_per_order.get(basket.currency),
        caps={},
        credit=None,
    )
    found = evaluate(like_points, basket, buyer)
    return replace(found, steps=tuple(_told(step, basket.currency) for step in found.steps))


def times(rules: Rules, earned_at: datetime) -> tuple[datetime, datetime | None]:
    """When credit of a sale can be used, and when it ends (None: never)."""
    credit = rules.credit or Credit()
    like_points = replace(rules, available_after_days=credit.available_after_days, expiry=credit.expiry)
    if credit.paid_out == "at_once":
        return availability(like_points, earned_at)
    zone = ZoneInfo(rules.time_zone)
    day = end_of_period(earned_at.astimezone(zone).date(), credit.paid_out) + timedelta(days=1)
    begins = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(earned_at.tzinfo)
    return availability(like_points, begins)


def _paid_in_money(basket: Basket) -> Fraction:
    """The part of the bill that was not paid with store credit: credit earns no credit."""
    whole = bill(basket, as_sold=True)
    if whole <= 0 or basket.paid_with_credit <= 0:
        return Fraction(1)
    return Fraction(max(0, whole - basket.paid_with_credit), whole)


def _of_currency(rule: EarnRule, currency: str, share: Fraction) -> EarnRule:
    """A percentage of the money itself: a "point" is one minor unit. `per` restricts currencies."""
    per = {currency: 1} if not rule.per or currency in rule.per else {}
    return replace(rule, kind="percent", per=per, percent=rule.percent * share)


def _told(step: Mapping[str, Any], currency: str) -> Mapping[str, Any]:
    """Steps of points in the words of money."""
    if step["code"] == "percent":
        return {"code": "cashback", "points": step["points"], "percent": step["percent"],
                "amount": step["amount"], "currency": currency}  # fmt: skip
    if step["code"] == "rounding":
        return {"code": "cashback_rounded", "points": step["points"], "currency": currency}
    if step["code"] == "most_per_order":
        return {"code": "cashback_most", "points": step["points"], "amount": step["most"],
                "currency": currency}  # fmt: skip
    return step
