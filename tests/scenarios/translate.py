"""A scenario's rules in its own neutral words -> a program document of this product.

A translation and nothing else: no arithmetic on points or money (a test looks), no branch on which
scenario it is. A word that is not in these tables makes the scenario unsupported, never a quiet pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.scenarios import tiers
from tests.scenarios.reading import Unsupported
from tests.scenarios.reading import all_read as _all_read
from tests.scenarios.reading import word as _word

Rule = Mapping[str, Any]


ROUNDING = {"floor": "down", "half_up": "half_up", "ceil": "up", "none": None}
CONSUME = {
    "earliest_expiry_first": "expiry",
    "fifo": "earned",
    "fifo_by_earn_time": "earned",
    "earned_first": "earned",
}
REFUND_POLICIES = {
    "recompute_remaining": "recompute",
    "reverse_earned": "recompute",
    "by_refunded_amount": "recompute",
    "proportional": "share",
}
REFUSED_POLICIES = {
    "current_rule": "refunds count by the rules of the sale, never by today's",
    "floor_of_refunded_amount": "refunds are recomputed on what is left, not rounded each by itself",
    "manual": "nobody types in what a refund takes back",
}
POINTS_BACK: dict[str, str] = {
    "on_full_refund": "full",
    "proportional": "share",
    "in_proportion": "share",
    "never": "never",
}
REFUND_ROUNDING = {"none": None, "2 decimals": None}
"""Where nothing is said of decimals, points are whole after it as before it; a number that is not is refused."""
SECTIONS = frozenset(
    {"earn", "rewards", "refund", "expiry", "consume", "negative", "time_zone", "program_rounding",
     "stacking", "multiplier_stacking", "points_decimals", "redeem", "referral", "tiers", "tier_progress",
     "lots_by", "payer_balance_never_negative", "stored_value",
     "allocate", "notifications", "no_earn_when_paid_with_points"}
)  # fmt: skip


def document(scenario: Mapping[str, Any]) -> dict[str, Any]:
    """The program document of a scenario. Raises `Unsupported`."""
    rules: Rule = scenario["program"]["rules"]
    for section in rules:
        if section not in SECTIONS:
            raise Unsupported(f"{section}: the product has no such rules yet")
    if rules.get("lots_by", "payer") != "payer" or not rules.get("payer_balance_never_negative", True):
        raise Unsupported("lots_by: points are kept apart by who pays for them, and nobody owes")
    if rules.get("points_decimals"):
        raise Unsupported("points_decimals: points are whole, by design")
    points = _points(rules)
    on = [rule for rule in rules.get("earn", []) if rule.get("enabled", True)]
    acts = [rule for rule in on if rule.get("type") in ACTIONS and rule.get("event") not in ORDINALS]
    back = [rule for rule in on if rule.get("type") in CASHBACK]
    coupons = [rule for rule in on if rule.get("type") == "next_order_coupon"]
    others = [*acts, *back, *coupons]
    earn = [rule for rule in on if rule.get("type") != "multiplier" and rule not in others]
    earn.sort(key=lambda rule: rule.get("priority") or 0, reverse=True)
    multipliers = [
        rule for rule in on if rule.get("type") == "multiplier" and not tiers.is_by_tier(rule)
    ]
    made: dict[str, Any] = {
        "earn": [_earn(rule, scenario["currency"]) for rule in earn],
        "multipliers": [_multiplier(rule, scenario["currency"]) for rule in multipliers],
        "points": points,
        "redeem": _spent(rules.get("refund", {})),
        "rewards": [
            _reward(reward, scenario["currency"], _applied(scenario))
            for reward in rules.get("rewards", [])
            if not _is_automatic(reward, _applied(scenario))
        ]
        + [_coupon(rule, scenario["currency"]) for rule in coupons],
        "discounts": [
            _discount(reward, scenario["currency"])
            for reward in rules.get("rewards", [])
            if _is_automatic(reward, _applied(scenario))
        ],
        "paying": _paying(rules.get("redeem", {}), scenario["currency"], _rates(scenario)),
        "actions": [_action(rule) for rule in acts],
        "notices": [_notice(said) for said in rules.get("notifications", [])],
        "referral": _referral(rules.get("referral", {}), scenario["currency"]),
        "credit": _credit(back, scenario["currency"]) if rules.get("stored_value") or back else None,
    }
    if rules.get("no_earn_when_paid_with_points"):
        for section in ("earn", "multipliers"):
            made[section] = [rule | {"paid_with_points": False} for rule in made[section]]
    tiers.add(made, scenario, lambda rule: _earn(rule, scenario["currency"]))
    made["earn"] = made["earn"] or [_nothing()]
    return made


CASHBACK = ("cashback_percent", "percent_of_total_as_credit_by_tier")


def _credit(back: list[Rule], currency: str) -> dict[str, Any]:
    """Store credit, which every till takes; what a tier's level brings of it is said with the tiers."""
    made: dict[str, Any] = {"spent_at": ["generic_pos"], "cashback": []}
    for rule in back:
        rest = {name: value for name, value in rule.items() if name != "type"}
        if "round" in rest:
            made["rounding"] = _word(ROUNDING, rest.pop("round"), "earn.round") or "half_up"
        one = {**_basis(rest), **_when(rest, currency), **_lines(rest)}
        if rule["type"] == "cashback_percent":
            made["cashback"].append({"percent": rest.pop("percent"), **one})
        _all_read(rest, f"earn {rule['type']}")
    return made


def _nothing() -> dict[str, Any]:
    """Where a scenario has no way to earn: points for goods that nobody sells."""
    return {"type": "per_order", "skus": ["(nothing earns)"]}


# --- how points are put together -----------------------------------------------------------------


def _points(rules: Rule) -> dict[str, Any]:
    points: dict[str, Any] = {}
    if "program_rounding" in rules:
        points["rounding"] = _word(ROUNDING, rules["program_rounding"], "program_rounding")
    if "multiplier_stacking" in rules:
        words = {"multiply": "multiply", "add": "add", "best": "best"}
        points["stacking"] = _word(words, rules["multiplier_stacking"], "multiplier_stacking")
    if "stacking" in rules:
        points["combine"] = _word({"sum": "sum", "best": "best"}, rules["stacking"], "stacking")
    if "negative" in rules:
        words = {"allow": "debt", "clamp": "forgive", "clamp_to_zero": "forgive"}
        points["negative"] = _word(words, rules["negative"], "negative")
    if "consume" in rules:
        points["spend_first"] = _word(CONSUME, rules["consume"], "consume")
    return points | _refund(rules.get("refund", {})) | _expiry(rules.get("expiry", {}))


def _refund(rules: Rule) -> dict[str, Any]:
    points: dict[str, Any] = {}
    for name, value in rules.items():
        if name == "policy" and value in REFUSED_POLICIES:
            raise Unsupported(f"refund.policy: {value}: {REFUSED_POLICIES[value]}")
        if name == "policy":
            points["partial_refund"] = _word(REFUND_POLICIES, value, "refund.policy")
        elif name == "allow_negative":
            points["negative"] = "debt" if value else "forgive"
        elif name == "return_spent":
            _word(POINTS_BACK, value, "refund.return_spent")  # said in [redeem]
        elif name == "round":
            _word(REFUND_ROUNDING, value, "refund.round")
        else:
            raise Unsupported(f"refund.{name}: the product has no such rule yet")
    return points


def _spent(rules: Rule) -> dict[str, Any]:
    """What becomes of spent points when their order is undone. A cancelled order gives them back in the
    scenarios' world, which has no codes to open again; a refund only where a rule says so."""
    back = _word(POINTS_BACK, rules.get("return_spent", "never"), "refund.return_spent")
    return {"points_back": back, "when_cancelled": "points_back"}


def _expiry(rules: Rule) -> dict[str, Any]:
    if not rules:
        return {}
    mode, rest = rules.get("mode"), {k: v for k, v in rules.items() if k != "mode"}
    modes: dict[str, Callable[[], dict[str, Any]]] = {
        "days": lambda: {
            "expire_after_days": rest.pop("days"),
            "expire_last_day": "excluded",
        },
        "months_then_start_of_next_month": lambda: {
            "expire_after_months": rest.pop("months"),
            "expire_until_end_of": "month",
        },
        "end_of_month": lambda: {"expire_until_end_of": "month"},
        "end_of_quarter": lambda: {"expire_until_end_of": "quarter"},
        "end_of_year": lambda: {"expire_until_end_of": "year"},
        "inactivity_days": lambda: {"expire_after_idle_days": rest.pop("days")},
        "no_purchase_in_calendar_year": lambda: {"expire_without_purchase_in_year": True},
        "fixed_day": lambda: {"expire_on": rest.pop("month_day")},
        "months": lambda: {"expire_after_months": rest.pop("months"), **_TO_THE_MINUTE},
        "years": lambda: {"expire_after_months": _YEARS[rest.pop("years")], **_TO_THE_MINUTE},
    }
    if mode not in modes:
        raise Unsupported(f"expiry.mode: {mode}: the product has no such expiry yet")
    try:
        found = modes[mode]()
    except KeyError as error:
        raise Unsupported(f"expiry: {error} is missing or not known") from None
    _all_read(rest, "expiry")
    return found


_TO_THE_MINUTE = {"expire_last_day": "same_time"}
_YEARS = {1: 12, 2: 24, 3: 36, 5: 60, 10: 120}
"""Months of as many years."""


# --- what customers do besides buying -----------------------------------------------------------

ACTIONS = frozenset({"event", "event_bonus"})
ORDINALS: Mapping[str, dict[str, Any]] = {
    "first_purchase": {"orders": [1]},
    "first_order": {"orders": [1]},
}
"""Events that are orders: by which one."""


def _action(rule: Rule) -> dict[str, Any]:
    rest = {name: value for name, value in rule.items() if name != "type"}
    name = action_id(rest.pop("event"))
    made: dict[str, Any] = {"id": name, "points": rest.pop("points")}
    if name == "birthday":
        made["by"] = "birthday"
    if "limit_per_customer" in rest:
        made["most_ever"] = rest.pop("limit_per_customer")
    if "window" in rest:
        window = _window(rest.pop("window"))
        if set(window) != {"windows"}:
            raise Unsupported("earn.window: an action has days, no hours or weekdays")
        made |= window
    rest.pop("enabled", None)
    _all_read(rest, "earn event")
    return made


def _notice(said: Rule) -> dict[str, Any]:
    """What is told of is called by its mark."""
    rest = dict(said)
    kind = rest.pop("on")
    if kind == "points_reach":
        made = {"id": str(rest["points"]), "points": rest.pop("points")}
    else:
        made = {"id": kind, "on": _word({"create": "joined"}, kind, "notifications.on")}
    _all_read(rest, "notifications")
    return made


def action_id(name: str) -> str:
    """An event's name as an id of the document."""
    return name.lower().replace(" ", "_")


REFERRAL = {
    "referrer_points": "referrer",
    "referee_points": "friend",
    "within_days": "within_days",
    "pending_days": "within_days",
}


REFERRAL_CREDIT = {
    ("referrer_credit",): "referrer_credit",
    ("friend_credit",): "referee_credit",
    ("referrer_credit", "friend_credit"): "both_voucher",
}
"""Whose store credit a word is about. A voucher for money is store credit, of which codes are made."""


def _referral(rules: Rule, currency: str) -> dict[str, Any] | None:
    """`pending_days`: so long a referral waits for the order."""
    rest = dict(rules)
    if not rest:
        return None
    made: dict[str, Any] = {REFERRAL[name]: rest.pop(name) for name in REFERRAL if name in rest}
    if "referrer_percent" in rest:
        made |= {"percent": rest.pop("referrer_percent"), "worth": {currency: "1"}}
    for names, word in REFERRAL_CREDIT.items():
        if word in rest:
            made |= {name: {currency: value} for value in [rest.pop(word)] for name in names}
    if "min_order_total" in rest:
        made["minimum"] = {currency: rest.pop("min_order_total")}
    if rest.pop("revoke_if_refund_below_min", True) is False:
        raise Unsupported(
            "referral.revoke_if_refund_below_min: a refund under the minimum revokes, always"
        )
    _all_read(rest, "referral")
    return made


# --- rules ---------------------------------------------------------------------------------------


def _earn(rule: Rule, currency: str) -> dict[str, Any]:
    rest = dict(rule)
    kinds: dict[str, Callable[[dict[str, Any], str], dict[str, Any]]] = {
        "per_amount": _per_amount,
        "percent_of_total_as_points": _percent,
        "fixed_per_order": _per_order,
        "per_product": _per_order,
        "per_order_category": _per_order,
        "per_product_unit": _per_unit,
        "per_unit": _per_unit,
        "event": _ordinal,
        "event_bonus": _ordinal,
        "stepped": _brackets,
        "per_amount_by_currency": _factors,
        "cashback_percent_points": _percent_back,
    }
    kind = rest.pop("type")
    if kind not in kinds:
        raise Unsupported(f"earn.type: {kind}: the product has no such rule yet")
    try:
        made = kinds[kind](rest, currency) | _when(rest, currency) | _lines(rest)
    except KeyError as error:
        raise Unsupported(f"earn {kind}: {error} is missing or not known") from None
    rest.pop("priority", None)
    if rest.pop("stop", False):
        made["last"] = True
    if not rest.pop("stackable", True):
        made["alone"] = True
    _all_read(rest, f"earn {kind}")
    return made


def _per_amount(rest: dict[str, Any], currency: str) -> dict[str, Any]:
    rounding, exact = rest.pop("round", "floor"), rest.pop("proportional", False)
    made = {
        "points": rest.pop("points"),
        "per": {rest.pop("currency", currency): rest.pop("per")},
        **_basis(rest),
    }
    if rounding == "floor" and not exact:
        return made | {"steps": "whole"}
    return made | _rounding(rounding)


def _percent(rest: dict[str, Any], currency: str) -> dict[str, Any]:
    return {
        "type": "percent",
        "percent": rest.pop("percent"),
        "worth": {currency: rest.pop("point_value")},
        **_rounding(rest.pop("round", "floor")),
        **_basis(rest),
    }


def _percent_back(rest: dict[str, Any], currency: str) -> dict[str, Any]:
    """A share of the price before tax and after discounts, in points of which so many are one unit."""
    return {
        "type": "percent",
        "percent": rest.pop("percent"),
        "points": rest.pop("points_per_unit"),
        "worth": {currency: "1"},
        **_rounding(rest.pop("round", "none")),
        **_basis({"basis": rest.pop("basis", "items_after_discount")}),
    }


def _factors(rest: dict[str, Any], _currency: str) -> dict[str, Any]:
    return {
        "factors": dict(rest.pop("factors")),
        **_rounding(rest.pop("round", "floor")),
        **_basis(rest),
    }


def _brackets(rest: dict[str, Any], currency: str) -> dict[str, Any]:
    rounding, exact = rest.pop("round", "floor"), rest.pop("proportional", False)
    brackets = [_bracket(step, currency) for step in rest.pop("steps")]
    made = {"type": "brackets", "brackets": brackets, **_basis(rest)}
    if rounding == "floor" and not exact:
        return made | {"steps": "whole"}
    return made | _rounding(rounding)


def _bracket(step: Rule, currency: str) -> dict[str, Any]:
    rest = dict(step)
    made: dict[str, Any] = {"points": rest.pop("points"), "per": {currency: rest.pop("per")}}
    made |= {name: {currency: rest.pop(name)} for name in ("over", "up_to") if name in rest}
    _all_read(rest, "earn.steps")
    return made


def _per_order(rest: dict[str, Any], _currency: str) -> dict[str, Any]:
    return {"type": "per_order", "points": rest.pop("points")}


def _ordinal(rest: dict[str, Any], _currency: str) -> dict[str, Any]:
    return {"type": "per_order", "points": rest.pop("points"), **ORDINALS[rest.pop("event")]}


def _per_unit(rest: dict[str, Any], _currency: str) -> dict[str, Any]:
    return {"type": "per_quantity", "points": rest.pop("points")}


def _multiplier(rule: Rule, currency: str) -> dict[str, Any]:
    rest = {name: value for name, value in rule.items() if name != "type"}
    made = {"factor": rest.pop("factor"), **_when(rest, currency), **_lines(rest)}
    _all_read(rest, "earn multiplier")
    return made


def _rounding(word: str) -> dict[str, Any]:
    return {"rounding": _word(ROUNDING, word, "earn.round")}


def _basis(rest: dict[str, Any]) -> dict[str, Any]:
    """What of the bill earns. Where nothing is said it is all that is paid."""
    basis, tax, shipping = (
        rest.pop("basis", "total"),
        rest.pop("include_tax", True),
        rest.pop("include_shipping", True),
    )
    if basis == "shop_currency_total":  # the hub reads the shop's money where both are told
        basis = "total"
    if basis not in {"total", "items_total", "items_after_discount", "net_paid"}:
        raise Unsupported(f"earn.basis: {basis}: the product has no such basis")
    goods_only = basis in {"items_total", "items_after_discount", "net_paid"}
    return {
        "tax": "in" if tax and basis not in {"items_after_discount", "net_paid"} else "out",
        "shipping": "in" if shipping and not goods_only else "out",
    }


def _when(rest: dict[str, Any], currency: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if "min_order_total" in rest:
        made["minimum"] = {currency: rest.pop("min_order_total")}
    if "window" in rest:
        made |= _window(rest.pop("window"))
    if rest.pop("skip_discounted_orders", False):
        made["discounted_bills"] = False
    if rest.pop("skip_orders_paid_by_points", False):
        made["paid_with_points"] = False
    if "pos" in rest:
        made["locations"] = list(rest.pop("pos"))
    rest.pop("enabled", True)
    if rest.get("by") == "campaign":
        del rest["by"]  # a multiplier like any other
    return made | tiers.conditions(rest)


def _window(window: Rule) -> dict[str, Any]:
    rest = dict(window)
    made: dict[str, Any] = {}
    if "iso_weekdays" in rest:
        days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
        made["weekdays"] = [dict(enumerate(days, start=1))[day] for day in rest.pop("iso_weekdays")]
    ends = {name: rest.pop(name) for name in ("from", "to") if name in rest}
    if ends and all(len(end) <= len("24:00") for end in ends.values()):
        made["hours"] = f"{ends['from']}-{ends['to']}"
    elif ends:
        names = {"from": "from", "to": "until"}
        made["windows"] = [{names[name]: _through_the_second(end) for name, end in ends.items()}]
    _all_read(rest, "earn.window")
    return made


def _through(moment: str) -> str:
    """An end that belongs to it: the moment after, since an end is half-open here. A day counts as it is."""
    return moment.replace("Z", ".000001Z") if ":" in moment else moment


def _through_the_second(moment: str) -> str:
    """A last second that belongs to a window is said as its last moment: windows are half-open."""
    return moment.replace(":59:59", ":59:59.999999")


def _lines(rest: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"exclude_tags": [], "tags": []}
    if "sku" in rest:
        made["skus"] = [rest.pop("sku")]
    if "category" in rest:
        made["categories"] = [rest.pop("category")]
    for name in ("skus", "categories", "exclude_skus"):
        if name in rest:
            made[name] = list(rest.pop(name))
    if "delivery_skus" in rest and rest.get("exclude_delivery"):
        made.setdefault("exclude_skus", []).extend(rest.pop("delivery_skus"))
    if rest.pop("exclude_delivery", False):
        made["exclude_tags"].append("delivery")
    if rest.pop("skip_free", False):
        made["free_lines"] = "out"
    if rest.pop("skip_promotional", False):
        made["exclude_tags"].append("promotional")
    made["exclude_tags"] += labels(rest.pop("exclude_labels", {}))
    made["tags"] += labels(rest.pop("include_labels", {})) + labels(rest.pop("labels", {}))
    return made


def labels(words: Mapping[str, str]) -> list[str]:
    """A line's labels as tags."""
    return [f"{name}={value}" for name, value in words.items()]


PAYING = {
    "points": "points",
    "step": "step",
    "min_points": "min_points",
    "max_points": "max_points",
    "min_balance": "min_balance",
    "max_percent_of_order": "max_percent",
    "over_balance": "over_balance",
}
PAYING_MONEY = {"amount": "worth", "min_discount": "min_off", "max_discount": "max_off"}


def _rates(scenario: Rule) -> dict[str, str]:
    """What the programme says a currency is worth: carts that name a rate agree on it."""
    rates: dict[str, str] = {}
    for event in scenario["events"]:
        if "rate" in event and rates.setdefault(event["cart_currency"], event["rate"]) != event["rate"]:
            raise Unsupported("quote_redeem.rate: the programme has one rate for a currency")
    return rates


def _paying(rules: Rule, currency: str, rates: Mapping[str, str]) -> dict[str, Any] | None:
    """Points as money. A bill is never paid beyond itself here, so that limit need not be said."""
    rest = dict(rules)
    if rest.get("max") == "order_total":
        del rest["max"]
    if not rest:
        return None
    if "over_balance" in rest and "amount" not in rest:  # points are taken, whatever they are worth
        rest |= {"points": 1, "amount": "1"}
    made: dict[str, Any] = {PAYING[name]: rest.pop(name) for name in PAYING if name in rest}
    made |= {PAYING_MONEY[name]: {currency: rest.pop(name)} for name in PAYING_MONEY if name in rest}
    if rates:
        made["rates"] = dict(rates)
    if "max_percent" in made:
        made["max_percent"] = str(made["max_percent"])
    _all_read(rest, "redeem")
    return made


REWARD_MONEY = {"min_order_total": "minimum", "max_amount": "at_most"}
REWARD_WORDS = {
    "starts_at": "from",
    "ends_at": "until",
    "valid_until": "valid_until",
    "limit_total": "stock",
    "limit_per_customer": "per_member",
    "max_items": "pieces",
}


def _coupon(rule: Rule, currency: str) -> dict[str, Any]:
    """A coupon that each order brings for the next one; what it takes off, the source does not say."""
    rest = {name: value for name, value in rule.items() if name != "type"}
    made: dict[str, Any] = {
        "id": "next-order",
        "name": "(a coupon)",
        "cost": 0,
        "perk": "(a coupon)",
        "every_order": True,
    }
    if "limit_per_customer" in rest:
        made["per_member"] = rest.pop("limit_per_customer")
    if "min_order_total" in rest:
        made["order_minimum"] = {currency: rest.pop("min_order_total")}
    _all_read(rest, "earn next_order_coupon")
    return made


def _is_automatic(reward: Rule, applied: set[str]) -> bool:
    """A share off some goods that nobody has to ask for: it costs no points and has no code."""
    asked_for = "cost_points" in reward or "code" in reward or not applied.isdisjoint({reward["id"]})
    return not asked_for and reward.get("type") == "percent"


def _discount(reward: Rule, currency: str) -> dict[str, Any]:
    rest = {name: value for name, value in reward.items() if name not in {"automatic", "type"}}
    made = {"id": rest.pop("id").lower(), "percent": rest.pop("value")}
    made |= {name: list(rest.pop(name)) for name in ("categories", "skus", "tags") if name in rest}
    if "customer_groups" in rest:
        made["segments"] = [tiers.segment_id(one) for one in rest.pop("customer_groups")]
    ends = {ours: rest.pop(word) for word, ours in DISCOUNT_ENDS.items() if word in rest}
    if ends:
        made["windows"] = [{name: _through(moment) for name, moment in ends.items()}]
    if "min_order_total" in rest:
        made["minimum"] = {currency: rest.pop("min_order_total")}
    _all_read(rest, "rewards")
    return made


DISCOUNT_ENDS = {"starts_at": "from", "ends_at": "until"}


def _applied(scenario: Rule) -> set[str]:
    """The codes that somebody types in."""
    found = {event["code"] for event in scenario["events"] if event["type"] == "apply_coupon"}
    return found.union(*(event.get("codes", []) for event in scenario["events"]))


def reward_id(name: str) -> str:
    """A reward's or a code's name as an id of the document."""
    return name.lower()


def _reward(reward: Rule, currency: str, applied: set[str]) -> dict[str, Any]:
    rest = dict(reward)
    name = rest.pop("code", reward["id"])
    made = {"id": reward_id(name), "name": rest.pop("id"), "cost": rest.pop("cost_points", 0)}
    if not made["cost"] and name not in applied:
        raise Unsupported("rewards: a discount without points and without a code is the shop's own")
    if not made["cost"]:
        made["per_member"] = rest.pop("limit_per_customer", 1_000_000)
    if rest.pop("reusable_after_cancel", True) is not True:
        raise Unsupported("rewards.reusable_after_cancel: what was taken back counts no more")
    kind, value = rest.pop("type", None), rest.pop("value", None)
    currency = rest.pop("currency", currency)
    kinds: dict[str | None, Callable[[], dict[str, Any]]] = {
        "fixed": lambda: {"amount": rest.pop("value_by_currency", {currency: value})},
        "percent": lambda: {"percent": value},
        "free_product": lambda: {"free": [rest.pop("sku")]},
        "free_shipping": lambda: {"free_shipping": True},
        None: lambda: {"perk": reward["id"]},
    }
    if kind not in kinds or (kind is None and value is not None):
        raise Unsupported(f"rewards.type: {kind}: the product has no such reward yet")
    made |= kinds[kind]()
    if kind in {"fixed", "percent"} and ("sku" in rest or "skus" in rest):
        made["skus"] = [*rest.pop("skus", []), *([rest.pop("sku")] if "sku" in rest else [])]
    made |= {ours: {currency: rest.pop(word)} for word, ours in REWARD_MONEY.items() if word in rest}
    made |= {ours: rest.pop(word) for word, ours in REWARD_WORDS.items() if word in rest}
    made |= {end: _through(made[end]) for end in ("until", "valid_until") if end in made}
    _all_read(rest, "rewards")
    return made


# --- words ---------------------------------------------------------------------------------------
