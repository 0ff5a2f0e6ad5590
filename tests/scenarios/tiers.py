"""Tiers and segments of a scenario -> those sections of a program document. No arithmetic, as ever."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from itertools import pairwise
from typing import Any

from tests.scenarios.reading import Unsupported, all_read, word

Rule = Mapping[str, Any]
Earn = Callable[[Rule], dict[str, Any]]

BASES: Mapping[str, Rule] = {
    "spend": {"by": "spend"},
    "spend_including_current": {"by": "spend", "this_order": True},
    "spend_before_this_order": {"by": "spend"},
    "spend_in_year": {"by": "spend", "over": "calendar_year"},
    "spend_in_membership_year": {"by": "spend", "over": "membership_year"},
    "spend_since_tier_start": {"by": "spend", "reset": True},
    "spend_12_months": {"by": "spend", "over": "rolling", "rolling_months": 12, "leave": "at_once"},
    "points_earned": {"by": "points_earned"},
    "points_earned_12_months": {
        "by": "points_earned",
        "over": "rolling",
        "rolling_months": 12,
        "leave": "at_once",
    },
    "points_earned_in_year": {"by": "points_earned", "over": "calendar_year"},
    "earned_points_in_period": {"by": "points_earned", "over": "membership_year"},
    "points_balance": {"by": "points_balance", "leave": "at_once"},
    "active_points": {"by": "points_balance", "leave": "at_once"},
    "orders": {"by": "orders"},
    "visits": {"by": "visits"},
}
DOWNGRADES: Mapping[str, Rule] = {
    "none": {"leave": "never"},
    "never": {"leave": "never"},
    "automatic": {"leave": "at_once"},
    "at_once": {"leave": "at_once"},
    "every_x_days": {"leave": "at_review", "review": "membership_year"},
    "at_period_end": {"leave": "at_review"},
    "end_of_year": {"leave": "at_review"},
}
DROPS: Mapping[str, Rule] = {
    "one_step": {"drop": "one_step"},
    "to_reached": {"drop": "to_reached"},
}
FROM = {
    "entry": "entry",
    "last promotion": "entry",
    "tier start": "entry",
    "join": "joining",
    "joining": "joining",
}
YEARS = {1: 12, 2: 24, 3: 36}
"""Months of as many years."""
RESETS = {True: True, False: False, "on_change": True, "reset": True, "never": False, "keep": False}
_SPAN = re.compile(r"(\d+) (days?|months?|years?) from (.+)")
BIRTHDAYS = {
    "birthday": "day",
    "birthday_day": "day",
    "birthday_week": "week",
    "birthday_month": "month",
}


def tier_id(name: str) -> str:
    """A tier's name as an id of the document."""
    return "t-" + "-".join(f"{ord(letter):x}" for letter in name)


def segment_id(name: str) -> str:
    """A segment's name as an id of the document."""
    return "s-" + "-".join(f"{ord(letter):x}" for letter in name)


def add(made: dict[str, Any], scenario: Rule, earn: Earn) -> None:
    """Write tiers and segments into the document that is being made."""
    rules, currency = scenario["program"]["rules"], scenario["currency"]
    tiers = dict(rules.get("tiers", {}))
    if "tier_progress" in rules:
        tiers |= _progress(rules["tier_progress"])
    levels = [dict(level) for level in tiers.pop("levels", [])]
    for level in levels:
        own = [earn(rule) | {"tiers": [tier_id(level["name"])]} for rule in level.pop("earn", [])]
        made["earn"] += own
        share = level.pop("percent", None) if made.get("credit") else None
        if share is not None and Decimal(share):
            by_tier = {
                "percent": share,
                "tiers": [tier_id(level["name"])],
                "tax": "in",
                "shipping": "in",
            }
            made["credit"]["cashback"].append(by_tier)
    named = {level["name"] for level in levels}
    granted = {e["tier"] for e in scenario["events"] if e["type"] == "set_tier"}
    levels = [*_by_tier(rules), *levels, *({"name": name} for name in sorted(granted.difference(named)))]
    if levels:
        made["tiers"] = _ladder(tiers, levels, currency)
    groups = sorted(
        {one for rule in rules.get("earn", []) for one in rule.get("segments", [])}
        | {one for reward in rules.get("rewards", []) for one in reward.get("customer_groups", [])}
    )
    if groups:
        made["segments"] = [{"id": segment_id(one), "name": one, "tags": [one]} for one in groups]


def conditions(rest: dict[str, Any]) -> dict[str, Any]:
    """Who a rule is for."""
    made: dict[str, Any] = {}
    if "segments" in rest:
        made["segments"] = [segment_id(one) for one in rest.pop("segments")]
    if "when" in rest:
        made["birthday"] = word(BIRTHDAYS, rest.pop("when"), "earn.when")
    return made


def _by_tier(rules: Rule) -> Iterator[dict[str, Any]]:
    """A multiplier of "the" tier, whose tiers nobody names: one that everybody is in."""
    for rule in rules.get("earn", []):
        if rule.get("type") == "multiplier" and rule.get("by") == "tier":
            yield {"name": "(the tier)", "from": 0, "multiplier": rule["factor"]}


def is_by_tier(rule: Rule) -> bool:
    """Whether a multiplier is said with the tiers."""
    return bool(rule.get("by") == "tier")


def _progress(said: Rule) -> Rule:
    rest = dict(said)
    if rest.pop("basis", None) != "earned_since":
        raise Unsupported("tier_progress.basis: not known")
    rest.pop("since", None)  # an event of the world
    all_read(rest, "tier_progress")
    return {"basis": "earned_points_in_period", "levels": [{"name": "(next)", "from": 1_000_000}]}


def _ladder(tiers: dict[str, Any], levels: list[dict[str, Any]], currency: str) -> dict[str, Any]:
    rest = dict(tiers)
    made: dict[str, Any] = {"currency": currency, "spend_of": "bill"}
    made |= word(BASES, rest.pop("basis", "points_earned"), "tiers.basis")
    if "downgrade" in rest:
        made |= word(DOWNGRADES, rest.pop("downgrade"), "tiers.downgrade")
        if "days" in rest:
            made["year_days"] = rest.pop("days")
    if "drop" in rest:
        made |= {"leave": "at_review", **word(DROPS, rest.pop("drop"), "tiers.drop")}
    for name in ("period", "review"):
        if name in rest:
            made |= _span(rest.pop(name), f"tiers.{name}")
    if "grace_days" in rest:
        made["grace_days"] = rest.pop("grace_days")
    for name in ("reset", "reset_on_change", "counter"):
        if name in rest:
            made["reset"] = word(RESETS, rest.pop(name), f"tiers.{name}")
    if rest.pop("manual_is_floor", True) is not True or rest.pop("inclusive", True) is not True:
        raise Unsupported("tiers: a line is inclusive, and a guarantee is a floor")
    all_read(rest, "tiers")
    return made | {"levels": [_level(level) for level in _within_bounds(levels)]}


def _within_bounds(levels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """An upper bound says nothing more where the next tier begins above it."""
    for level, following in pairwise(levels):
        if "to" in level and Decimal(str(level["to"])) < Decimal(str(following.get("from", 0))):
            del level["to"]
    return levels


def _span(said: str, where: str) -> dict[str, Any]:
    """ "12 months from entry", "calendar_year"."""
    if said in {"calendar_year", "calendar year", "year"}:
        return {"over": "calendar_year"}
    found = _SPAN.fullmatch(said)
    if found is None:
        raise Unsupported(f"{where}: {said}: not known")
    number, unit = int(found[1]), found[2].rstrip("s")
    made: dict[str, Any] = {
        "over": "membership_year",
        "year_from": word(FROM, found[3], where),
        "leave": "at_review",
    }
    if unit == "day":
        return made | {"year_days": number}
    return made | {"year_months": number if unit == "month" else word(YEARS, number, where)}


LEVEL = {
    "from": "from",
    "keep": "keep",
    "multiplier": "multiplier",
    "factor": "multiplier",
    "bonus_percent": "bonus",
    "discount_percent": "discount",
    "free_shipping": "free_shipping",
    "perks": "perks",
}


def _level(level: Rule) -> dict[str, Any]:
    rest = dict(level)
    name = rest.pop("name")
    made = {LEVEL[key]: rest.pop(key) for key in LEVEL if key in rest}
    all_read(rest, "tiers.levels")
    return {"id": tier_id(name), "name": name, **made}
