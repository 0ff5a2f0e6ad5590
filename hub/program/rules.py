"""What a sale is worth: pure functions of the rules in force when it was placed (rules.md B).

No session, no clock, standard library only. The same functions serve live posting, replay,
simulation and the dashboard's "why these points".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, Literal
from zoneinfo import ZoneInfo

Rounding = Literal["half_up", "down", "up"]
Standing = Literal["paid", "unpaid", "draft", "cancelled", "refunded", "deleted", "test"]

MAX_POINTS = 2**53


@dataclass(frozen=True, slots=True)
class EarnRule:
    """Points by amount: `points` for every `per[currency]` minor units of the basis."""

    points: int
    per: Mapping[str, int]
    """Currency -> minor units. A currency that is not named earns nothing."""
    tax: Literal["in", "out"] = "out"
    shipping: Literal["in", "out"] = "out"
    rounding: Rounding = "half_up"
    exclude_kinds: frozenset[str] = frozenset({"gift_card", "tip", "fee"})
    exclude_categories: frozenset[str] = frozenset()
    exclude_skus: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Reward:
    """What points buy: an amount off (per currency) or a percentage off the bill."""

    id: str
    name: str
    cost: int
    """Points."""
    amounts: Mapping[str, int] = field(default_factory=dict)
    """Currency -> minor units off; a channel whose currency is missing does not get the code."""
    percent: int | None = None
    """Hundredths of a percent off."""
    valid_days: int | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """One immutable version of a program, in force from `effective_from` on."""

    number: int
    effective_from: datetime
    time_zone: str
    earn: EarnRule
    available_after_days: int = 0
    expires_after_days: int | None = None
    negative: Literal["debt", "forgive"] = "debt"
    earn_date: Literal["placed", "paid"] = "placed"
    enrol: Literal["anyone", "customers", "existing"] = "anyone"
    hold_minutes: int = 15
    double_use: Literal["take_again", "absorb"] = "take_again"
    rewards: Mapping[str, Reward] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BasketLine:
    """What is left of one line after refunds, in minor units."""

    kind: str
    left: int
    left_tax: int
    sku: str | None = None
    categories: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Basket:
    """What is left of a sale: all that the rules may look at."""

    standing: Standing
    currency: str
    lines: tuple[BasketLine, ...]
    shipping_left: int = 0
    shipping_tax_left: int = 0


@dataclass(frozen=True, slots=True)
class Judgement:
    """Target points of a sale, and how they came about."""

    points: int
    steps: tuple[Mapping[str, Any], ...]
    """Ordered; each has a `code`, its numbers, and `points` as an exact text; they sum to `points`."""
    why: str | None = None
    """When there are no points: the stable code of the reason."""


def in_force(known: Sequence[Rules], at: datetime) -> Rules:
    """The version a sale placed at that moment is judged by; before the first, the first."""
    return next((r for r in reversed(known) if r.effective_from <= at), known[0])


def needs(rules: Rules) -> frozenset[str]:
    """What the rules look at and a message may lack: then the sale waits for a look-up."""
    return frozenset({"categories"}) if rules.earn.exclude_categories else frozenset()


def evaluate(rules: Rules, basket: Basket) -> Judgement:
    """Judge a sale in its present state. Never raises: what earns nothing says why."""
    if basket.standing != "paid":
        return _nothing(f"sale_{basket.standing}")
    per = rules.earn.per.get(basket.currency)
    if per is None:
        return _nothing("currency_earns_nothing", currency=basket.currency)
    basis, steps = _basis(rules.earn, basket)
    if basis <= 0:
        return _nothing("nothing_left_that_earns", steps)
    exact = Fraction(basis * rules.earn.points, per)
    rate = {
        "code": "rate",
        "points": _text(exact),
        "each": rules.earn.points,
        "per": per,
        "amount": basis,
        "currency": basket.currency,
    }
    points = min(_rounded(exact, rules.earn.rounding), MAX_POINTS)
    steps = [*steps, rate]
    if points != exact:
        steps.append({"code": "rounding", "points": _text(points - exact), "mode": rules.earn.rounding})
    return Judgement(points, tuple(steps), None if points else "less_than_one_point")


def availability(rules: Rules, earned_at: datetime) -> tuple[datetime, datetime | None]:
    """When points of a sale become available, and when they expire: whole days in the program's
    time zone after the day of the sale (rules.md A9); an expiry counts from availability."""
    available = _days_later(earned_at, rules.available_after_days, rules.time_zone)
    if rules.expires_after_days is None:
        return available, None
    return available, _end_of_day(available, rules.expires_after_days, rules.time_zone)


def _basis(rule: EarnRule, basket: Basket) -> tuple[int, list[Mapping[str, Any]]]:
    """The amount that earns, and a step for all that does not."""
    total = 0
    excluded: dict[str, int] = {}
    for line in basket.lines:
        amount = line.left + (line.left_tax if rule.tax == "in" else 0)
        reason = exclusion(rule, line)
        if reason:
            excluded[reason] = excluded.get(reason, 0) + amount
        else:
            total += amount
    if rule.shipping == "in":
        total += basket.shipping_left + (basket.shipping_tax_left if rule.tax == "in" else 0)
    return total, [
        {"code": "excluded", "points": "0", "what": what, "amount": amount, "currency": basket.currency}
        for what, amount in sorted(excluded.items())
        if amount
    ]


def exclusion(rule: EarnRule, line: BasketLine) -> str | None:
    """Why a line earns nothing: its kind, `sku` or `category`; None: it earns."""
    if line.kind in rule.exclude_kinds:
        return line.kind
    if line.sku is not None and line.sku in rule.exclude_skus:
        return "sku"
    if rule.exclude_categories.intersection(line.categories or ()):
        return "category"
    return None


def _nothing(why: str, steps: list[Mapping[str, Any]] | None = None, **numbers: Any) -> Judgement:
    return Judgement(0, (*(steps or ()), {"code": why, "points": "0", **numbers}), why)


def _rounded(exact: Fraction, mode: Rounding) -> int:
    """Points are whole; the one place where they are rounded."""
    whole = exact.numerator // exact.denominator
    rest = exact - whole
    if mode == "down" or rest == 0:
        return whole
    if mode == "up":
        return whole + 1
    return whole + (1 if rest >= Fraction(1, 2) else 0)


def _text(value: Fraction) -> str:
    """Exact: a decimal where there is one, else a fraction."""
    denominator = value.denominator
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    if denominator != 1:
        return f"{value.numerator}/{value.denominator}"
    digits = 0
    while (value * 10**digits).denominator != 1:
        digits += 1
    number = int(value * 10**digits)
    sign, text = ("-" if number < 0 else ""), str(abs(number)).rjust(digits + 1, "0")
    return f"{sign}{text[:-digits]}.{text[-digits:]}" if digits else f"{sign}{text}"


def _days_later(moment: datetime, days: int, zone: str) -> datetime:
    """The same instant for 0 days, else the start of the day `days` after the local day."""
    return moment if days == 0 else _start_of_day(moment, days, zone)


def _end_of_day(moment: datetime, days: int, zone: str) -> datetime:
    """The end of the local day `days` later: members read "valid until the 3rd" as all of the 3rd."""
    return _start_of_day(moment, days + 1, zone)


def _start_of_day(moment: datetime, days: int, zone: str) -> datetime:
    local = moment.astimezone(ZoneInfo(zone))
    day = (local + timedelta(days=days)).date()
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(moment.tzinfo)
