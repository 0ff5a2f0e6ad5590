"""The terms for customers say what the rules do: each setting shows in them, or is on the list of those
that concern the shop's people alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from datetime import UTC, datetime, time
from fractions import Fraction
from typing import Any

import pytest

from hub.i18n import LANGUAGES, speaking
from hub.program import document as documents
from hub.program.actions import Action
from hub.program.brackets import Bracket
from hub.program.ladder import Ladder, Level, Membership
from hub.program.referral import Referral
from hub.program.rewards import Reward
from hub.program.rules import (
    Budget,
    Condition,
    Credit,
    Discount,
    EarnRule,
    Expiry,
    LineFilter,
    Multiplier,
    PointsAsMoney,
    Rules,
)
from hub.program.segments import Segment
from hub.program.terms import INTERNAL, terms
from hub.program.till import Till
from hub.program.windows import Window

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
LEVELS = (Level("a", "Bronze", 0, 0), Level("b", "Gold", 500, 500))
LADDER = Ladder(LEVELS, "VND")
PLAIN = Rules(
    1,
    BEGIN,
    "Asia/Ho_Chi_Minh",
    earn=(EarnRule("e", per={"VND": 10_000}),),
    segments=(Segment("s", "Regulars"),),
)
NAMES = {"id", "number", "effective_from", "time_zone", "has_ordinals", "needed", "budgets"}
"""What only names a thing, or follows from the others."""

SAMPLES: Mapping[type, Mapping[str, Any]] = {
    Rules: {
        "credit": Credit(),
        "earn": (EarnRule("e", per={"VND": 20_000}),),
        "multipliers": (Multiplier("m", Fraction(2)),),
        "rounding": "down",
        "most_per_order": 7,
        "caps": {"day": 70},
        "partial_refund": "share",
        "minimum_after_refund": "as_at_sale",
        "available_after_days": 3,
        "available_from": "fulfilled",
        "spend_first": "earned",
        "idle_days": 77,
        "idle_year": True,
        "discounts": (Discount("d", Fraction(7), LineFilter()),),
        "expiry": Expiry(days=30),
        "negative": "forgive",
        "earn_date": "paid",
        "points_back": "never",
        "unused": "lost",
        "rewards": {"r": Reward("r", "Tea", 7, perk="A tea")},
        "paying": PointsAsMoney(1, {"VND": 1000}),
        "actions": {"a": Action("a", "a review", 7)},
        "referral": Referral(referrer=7),
        "tiers": LADDER,
        "till": Till(code_above=7),
    },
    EarnRule: {
        "kind": "per_order",
        "points": Fraction(7, 2),
        "per": {"VND": 77_000},
        "factors": {"VND": Fraction(7)},
        "reach": "bill",
        "percent": Fraction(7),
        "brackets": (Bracket({"VND": 7_000}, up_to={"VND": 70_000}),),
        "whole_steps": True,
        "rounding": "up",
        "tax": "in",
        "shipping": "in",
        "lines": LineFilter(skus=frozenset({"tea"})),
        "not_paid_with": frozenset({"points"}),
        "when": Condition(minimum={"VND": 70_000}),
        "alone": True,
        "last": True,
        "budget": Budget(total=777),
    },
    Multiplier: {
        "factor": Fraction(7),
        "lines": LineFilter(skus=frozenset({"tea"})),
        "when": Condition(minimum={"VND": 70_000}),
        "budget": Budget(per_member=77),
    },
    LineFilter: {
        "categories": frozenset({"shirts"}),
        "skus": frozenset({"tea"}),
        "products": frozenset({"77"}),
        "tags": frozenset({"summer"}),
        "exclude_kinds": frozenset({"tip"}),
        "exclude_categories": frozenset({"sale"}),
        "exclude_skus": frozenset({"bag"}),
        "exclude_tags": frozenset({"old"}),
        "discounted": "out",
        "free": "out",
    },
    Condition: {
        "minimum": {"VND": 70_000},
        "channels": frozenset({"shopify"}),
        "locations": frozenset({"Hà Nội"}),
        "windows": (Window(BEGIN, BEGIN.replace(day=8)),),
        "weekdays": frozenset({6}),
        "hours": (time(18), time(20)),
        "discounted_bills": False,
        "paid_with_points": False,
        "tiers": frozenset({"b"}),
        "segments": frozenset({"s"}),
        "birthday": "month",
        "orders": frozenset({1}),
        "every_nth": 7,
    },
    Expiry: {
        "days": 77,
        "months": 7,
        "until_end_of": "year",
        "on_day": (10, 31),
        "last_day": "excluded",
    },
    Reward: {
        "name": "Cake",
        "cost": 77,
        "amounts": {"VND": 70_000},
        "percent": 700,
        "perk": "A cake",
        "valid_days": 7,
        "free_shipping": True,
        "skus": ("tea",),
        "pieces": 7,
        "most": {"VND": 70_000},
        "minimum": {"VND": 700_000},
        "starts": BEGIN,
        "ends": BEGIN,
        "valid_until": BEGIN,
        "stock": 7,
        "per_member": 7,
        "per_day": 7,
        "tiers": frozenset({"b"}),
        "segments": frozenset({"s"}),
        "channels": frozenset({"shopify"}),
        "credit": {"VND": 70_000},
        "gift_card": {"VND": 70_000},
        "automatic": True,
        "every_order": True,
        "order_minimum": {"VND": 70_000},
    },
    Credit: {
        "cashback": (EarnRule("c", "percent", percent=Fraction(7)),),
        "rounding": "down",
        "most_per_order": {"VND": 70_000},
        "paid_out": "month",
        "available_after_days": 7,
        "expiry": Expiry(days=7),
        "spent_at": frozenset({"generic_pos"}),
        "valid_days": 7,
    },
    PointsAsMoney: {
        "points": 7,
        "worth": {"VND": 7_000},
        "rates": {"USD": Fraction(7, 700)},
        "step": 7,
        "least": 7,
        "most": 77,
        "least_balance": 70,
        "percent_of_bill": Fraction(70),
        "least_off": {"VND": 7_000},
        "most_off": {"VND": 70_000},
        "valid_days": 7,
        "over_balance": "clamp",
        "most_per_day": 77,
    },
    Action: {
        "name": "a check-in",
        "points": 77,
        "limits": {"week": 7},
        "windows": (Window(BEGIN, None),),
    },
    Referral: {
        "referrer": 77,
        "friend": 7,
        "referrer_credit": {"VND": 70_000},
        "friend_credit": {"VND": 7_000},
        "percent": Fraction(7),
        "minimum": {"VND": 70_000},
        "within_days": 7,
        "order": "any",
    },
    Ladder: {
        "levels": LEVELS[:1],
        "by": "orders",
        "spend_of": "bill",
        "factors": {"USD": Fraction(7)},
        "over": "calendar_year",
        "review": "month",
        "enter": "at_review",
        "leave": "never",
        "drop": "one_step",
        "grace_days": 7,
        "reset": True,
        "this_order": True,
        "memberships": (Membership("b", frozenset({"CARD"}), frozenset(), months=7),),
    },
    Level: {
        "name": "Silver",
        "least": 777,
        "keep": 7,
        "discount": 700,
        "reward_discount": 700,
        "free_shipping": True,
        "perks": ("A cake",),
    },
}
"""Of each kind of thing: every setting with a value that is not its default."""

FOLLOWS: Mapping[tuple[type, str], Mapping[str, Any]] = {
    (Rules, "combine"): {"earn": (PLAIN.earn[0], EarnRule("f", "per_order"))},
    (Rules, "stacking"): {"multipliers": (Multiplier("m", Fraction(2)), Multiplier("n", Fraction(3)))},
    (Rules, "grace_days"): {"expiry": Expiry(days=30)},
    (Reward, "perk"): {"amounts": {}},
    (EarnRule, "percent"): {"kind": "percent"},
    (EarnRule, "brackets"): {"kind": "brackets"},
    (EarnRule, "reach"): {"kind": "brackets", "brackets": (Bracket({"VND": 7_000}),)},
    (Expiry, "last_day"): {"days": 30},
    (Referral, "worth"): {"percent": Fraction(5)},
    (Ladder, "rolling_months"): {"over": "rolling"},
    (Ladder, "year_from"): {"over": "membership_year"},
    (Ladder, "year_months"): {"over": "membership_year"},
    (Ladder, "year_days"): {"over": "membership_year"},
}
"""Settings that matter only beside others."""

BESIDE: Mapping[tuple[type, str], Any] = {
    (Rules, "combine"): "best",
    (Rules, "stacking"): "best",
    (Rules, "grace_days"): 77,
    (Referral, "worth"): {"VND": 7_000},
    (Ladder, "rolling_months"): 7,
    (Ladder, "year_from"): "entry",
    (Ladder, "year_months"): 7,
    (Ladder, "year_days"): 77,
}
SHOWN_ELSEWHERE = {(Ladder, "currency"), (Action, "by"), (Membership, "tier")}
"""Shown as part of another setting's words, or not the customer's business."""


def rules_with(thing: Any) -> Rules:
    """Plain rules with that thing in its place."""
    match thing:
        case Rules():
            return thing
        case EarnRule():
            return replace(PLAIN, earn=(thing,))
        case LineFilter():
            return replace(PLAIN, earn=(replace(PLAIN.earn[0], lines=thing),))
        case Condition():
            return replace(PLAIN, earn=(replace(PLAIN.earn[0], when=thing),), tiers=LADDER)
        case Multiplier():
            return replace(PLAIN, multipliers=(thing,))
        case Expiry():
            return replace(PLAIN, expiry=thing)
        case Reward():
            return replace(PLAIN, rewards={"r": thing})
        case Credit():
            return replace(PLAIN, credit=thing)
        case PointsAsMoney():
            return replace(PLAIN, paying=thing)
        case Action():
            return replace(PLAIN, actions={"a": thing})
        case Referral():
            return replace(PLAIN, referral=thing)
        case Level():
            return replace(PLAIN, tiers=replace(LADDER, levels=(LEVELS[0], thing)))
        case Ladder():
            return replace(PLAIN, tiers=thing)
    raise TypeError(thing)


PLAINEST: Mapping[type, Any] = {
    Rules: PLAIN,
    EarnRule: PLAIN.earn[0],
    LineFilter: LineFilter(),
    Condition: Condition(),
    Multiplier: Multiplier("m", Fraction(2)),
    Expiry: Expiry(),
    Reward: Reward("r", "Tea", 10, {"VND": 5_000}),
    PointsAsMoney: PointsAsMoney(1, {"VND": 1_000}),
    Credit: Credit(),
    Action: Action("a", "a review", 10),
    Referral: Referral(referrer=5, worth={"VND": 1_000}),
    Level: LEVELS[1],
    Ladder: LADDER,
}


def told(thing: Any) -> list[str]:
    return [line for section in terms(rules_with(thing)) for line in (section.title, *section.lines)]


@pytest.mark.parametrize("kind", list(PLAINEST), ids=lambda kind: kind.__name__)
def test_every_setting_shows_in_the_terms(kind: type) -> None:
    unknown = []
    for field in fields(kind):
        place = (kind, field.name)
        if field.name in NAMES or place in SHOWN_ELSEWHERE or (kind is Rules and field.name in INTERNAL):
            continue
        value = SAMPLES.get(kind, {}).get(field.name, BESIDE.get(place, MISSING))
        if value is MISSING:
            unknown.append(field.name)
            continue
        plain = replace(PLAINEST[kind], **FOLLOWS.get(place, {}))
        assert told(replace(plain, **{field.name: value})) != told(plain), place
    assert unknown == [], "neither in the terms nor on the list of internal settings"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_whole_programme_reads_as_terms(language: str) -> None:
    rules = documents.rules(
        {
            "earn": {"points": 1, "per": {"VND": "10000"}, "minimum": {"VND": "50000"}},
            "multipliers": [{"factor": "2", "birthday": "month"}],
            "points": {"expire_after_months": 12, "most_per_day": 100},
            "rewards": [{"id": "tea", "name": "Trà đá", "cost": 10, "amount": {"VND": "15000"}}],
        },
        number=1, effective_from=BEGIN, time_zone="Asia/Ho_Chi_Minh",
    )  # fmt: skip
    with speaking(language):
        text = "\n".join(line for section in terms(rules) for line in section.lines)
    expected = {
        "en": [
            "1 point for every ₫10,000 after discounts, without tax and shipping: bills of ₫50,000 and more.",
            "2 times the points: in the month of the buyer's birthday.",
            "At most 100 points a day for all orders.",
            "10 points: Trà đá (₫15,000 off).",
        ],
        "vi": ["1 điểm cho mỗi 10.000\xa0₫", "Mỗi ngày tối đa 100 điểm cho tất cả đơn hàng.", "Trà đá"],
    }
    for said in expected[language]:
        assert said in text
    assert ("after discounts" in text) == (language == "en")
