"""The program document: what a merchant writes, checked with the path and the fix in every error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from marshmallow import ValidationError

from hub.i18n import gettext as _
from hub.money import NotMoney, minor_units, to_minor_exact
from hub.payload import first_error
from hub.program import tiers_document
from hub.program.actions import Action
from hub.program.brackets import Bracket
from hub.program.ladder import Ladder
from hub.program.notices import Notice
from hub.program.referral import Referral
from hub.program.rewards import ALL, Reward
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
    Window,
)
from hub.program.schema import WEEKDAYS, DocumentSchema
from hub.program.segments import Segment
from hub.program.till import Till
from hub.program.windows import PERIODS, Period
from hub.words import of_field


class DocumentRefused(Exception):
    """The document is not a valid program; `path` and the sentence say where and why."""

    def __init__(self, path: str, sentence: str) -> None:
        super().__init__(f"{path}: {sentence}")
        self.path, self.sentence = path, sentence


_SCHEMA = DocumentSchema()


def check(document: Mapping[str, Any]) -> dict[str, Any]:
    """Validate; returns the document with its defaults. Raises `DocumentRefused`."""
    try:
        loaded: dict[str, Any] = _SCHEMA.load(dict(document))
    except ValidationError as error:
        path, sentence = first_error(error.messages, "program")
        # a mapping's errors end in .key or .value: the name before says it already
        path = path.removeprefix("program.").removesuffix(".value").removesuffix(".key")
        raise DocumentRefused(path, of_field(sentence)) from None
    for number, rule in enumerate(loaded["earn"]):
        path = f"earn[{number}]" if isinstance(document.get("earn"), list) else "earn"
        _check_amounts(path, rule, ("per", "worth", "minimum"))
        for at, bracket in enumerate(rule["brackets"]):
            _check_amounts(f"{path}.brackets[{at}]", bracket, ("over", "up_to", "per"))
    for number, multiplier in enumerate(loaded["multipliers"]):
        _check_amounts(f"multipliers[{number}]", multiplier, ("minimum",))
    if loaded["paying"]:
        _check_amounts("paying", loaded["paying"], ("worth", "min_off", "max_off"))
    for number, discount in enumerate(loaded["discounts"]):
        _check_amounts(f"discounts[{number}]", discount, ("minimum",))
    if loaded["credit"]:
        _check_amounts("credit", loaded["credit"], ("most_per_order",))
        for number, rule in enumerate(loaded["credit"]["cashback"]):
            _check_amounts(f"credit.cashback[{number}]", rule, ("minimum",))
    if loaded["referral"]:
        amounts = ("worth", "minimum", "referrer_credit", "friend_credit")
        _check_amounts("referral", loaded["referral"], amounts)
    for number, reward in enumerate(loaded["rewards"]):
        _check_amounts(
            f"rewards[{number}]",
            reward,
            ("amount", "at_most", "minimum", "credit", "gift_card", "order_minimum"),
        )
        if reward["gift_card"] and not loaded["credit"]:
            sentence = _("needs [credit]: what is collected is paid with as store credit")
            raise DocumentRefused(f"rewards[{number}].gift_card", sentence)
    try:
        tiers_document.check_names(loaded)
        _standings(loaded)
    except tiers_document.Wrong as wrong:
        raise DocumentRefused(wrong.path, wrong.sentence) from None
    return loaded


def _standings(loaded: Mapping[str, Any]) -> tuple[Ladder | None, tuple[Segment, ...]]:
    """Tiers and segments. Raises `Wrong`, and `DocumentRefused` for amounts."""
    tiers = tiers_document.ladder(loaded["tiers"], _minor) if loaded["tiers"] else None
    groups = [
        tiers_document.segment(f"segments[{n}]", one, _minor) for n, one in enumerate(loaded["segments"])
    ]
    return tiers, tuple(groups)


def _check_amounts(path: str, data: Mapping[str, Any], names: Sequence[str]) -> None:
    for name in names:
        _amounts(f"{path}.{name}", data[name])


def rules(
    document: Mapping[str, Any], *, number: int, effective_from: datetime, time_zone: str
) -> Rules:
    """The rules a document stands for. Raises `DocumentRefused`."""
    loaded = check(document)
    points, zone = loaded["points"], ZoneInfo(time_zone)
    tiers, segments = _standings(loaded)
    multipliers = [_multiplier(n, m, zone) for n, m in enumerate(loaded["multipliers"])]
    if loaded["tiers"]:
        multipliers += tiers_document.multipliers(loaded["tiers"])
    return Rules(
        number=number,
        effective_from=effective_from,
        time_zone=time_zone,
        earn=tuple(_earn(n, rule, zone) for n, rule in enumerate(loaded["earn"])),
        multipliers=tuple(multipliers),
        combine=points["combine"],
        stacking=points["stacking"],
        rounding=points["rounding"],
        most_per_order=points["most_per_order"],
        caps=_caps(points),
        partial_refund=points["partial_refund"],
        minimum_after_refund=points["minimum_after_refund"],
        available_from=points["available_from"],
        available_after_days=points["available_after_days"],
        expiry=_expiry(points),
        spend_first=points["spend_first"],
        idle_days=points["expire_after_idle_days"],
        idle_year=points["expire_without_purchase_in_year"],
        negative=points["negative"],
        earn_date=points["earn_date"],
        enrol=loaded["members"]["enrol"],
        hold_minutes=loaded["redeem"]["hold_minutes"],
        code_prefix=loaded["redeem"]["code_prefix"],
        double_use=loaded["redeem"]["double_use"],
        unused=loaded["redeem"]["unused"],
        points_back=loaded["redeem"]["points_back"],
        when_cancelled=loaded["redeem"]["when_cancelled"],
        grace_days=loaded["redeem"]["grace_days"],
        rewards={r["id"]: _reward(f"rewards[{n}]", r, zone) for n, r in enumerate(loaded["rewards"])},
        till=Till(**loaded["till"]),
        paying=_paying(loaded["paying"]) if loaded["paying"] else None,
        discounts=tuple(_discount(n, one, zone) for n, one in enumerate(loaded["discounts"])),
        credit=_credit(loaded["credit"], zone) if loaded["credit"] else None,
        actions={one["id"]: _action(one, zone) for one in loaded["actions"]},
        referral=_referral(loaded["referral"]) if loaded["referral"] else None,
        tiers=tiers,
        segments=segments,
        notices=tuple(Notice(one["id"], one["points"]) for one in loaded["notices"]),
    )


def _expiry(points: Mapping[str, Any]) -> Expiry:
    return Expiry(
        points["expire_after_days"],
        points["expire_after_months"],
        points["expire_until_end_of"],
        points["expire_on"],
        points["expire_last_day"],
    )


def default_document(currency: str) -> dict[str, Any]:
    """What a new program starts with: a point for about half a dollar's worth of goods."""
    step = {0: "10000", 2: "1", 3: "1", 4: "1"}[minor_units(currency)]
    if currency in {"JPY", "KRW", "CLP", "ISK"}:
        step = "100"
    return {"earn": {"points": 1, "per": {currency: step}}, "rewards": []}


def _earn(number: int, data: Mapping[str, Any], zone: ZoneInfo) -> EarnRule:
    path = f"earn[{number}]"
    return EarnRule(
        id=data["id"] or f"earn-{number + 1}",
        kind=data["type"],
        points=Fraction(data["points"]),
        per=_amounts(path, data["per"] or data["worth"]),
        percent=Fraction(data["percent"] or 0),
        factors={c: Fraction(f) / 10 ** minor_units(c) for c, f in data["factors"].items()},
        brackets=tuple(_bracket(path, bracket) for bracket in data["brackets"]),
        reach=data["reach"],
        whole_steps=data["steps"] == "whole",
        rounding=data["rounding"],
        tax=data["tax"],
        shipping=data["shipping"],
        lines=_lines(data),
        not_paid_with=frozenset(data["not_paid_with"]),
        when=_when(path, data, zone),
        alone=data["alone"],
        last=data["last"],
        budget=_budget(data),
    )


def _bracket(path: str, data: Mapping[str, Any]) -> Bracket:
    return Bracket(
        per=_amounts(path, data["per"]),
        points=Fraction(data["points"]),
        over=_amounts(path, data["over"]),
        up_to=_amounts(path, data["up_to"]),
    )


def _multiplier(number: int, data: Mapping[str, Any], zone: ZoneInfo) -> Multiplier:
    lines = _lines(data)
    return Multiplier(
        id=data["id"] or f"multiplier-{number + 1}",
        factor=Fraction(data["factor"]),
        lines=lines if lines != LineFilter() else None,
        when=_when(f"multipliers[{number}]", data, zone),
        budget=_budget(data),
    )


def _lines(data: Mapping[str, Any]) -> LineFilter:
    return LineFilter(
        categories=frozenset(data["categories"]),
        skus=frozenset(data["skus"]),
        products=frozenset(data["products"]),
        tags=frozenset(data["tags"]),
        exclude_kinds=frozenset(data["excluding"]),
        exclude_categories=frozenset(data["exclude_categories"]),
        exclude_skus=frozenset(data["exclude_skus"]),
        exclude_tags=frozenset(data["exclude_tags"]),
        discounted=data["discounted_lines"],
        free=data["free_lines"],
    )


def _when(path: str, data: Mapping[str, Any], zone: ZoneInfo) -> Condition:
    return Condition(
        minimum=_amounts(f"{path}.minimum", data["minimum"]),
        channels=frozenset(data["channels"]),
        locations=frozenset(data["locations"]),
        windows=tuple(_window(one, zone) for one in data["windows"]),
        weekdays=frozenset(WEEKDAYS.index(day) + 1 for day in data["weekdays"]),
        hours=data["hours"],
        discounted_bills=data["discounted_bills"],
        paid_with_points=data["paid_with_points"],
        tiers=frozenset(data["tiers"]),
        segments=frozenset(data["segments"]),
        birthday=data["birthday"],
        orders=frozenset(data["orders"]),
        every_nth=data["every_nth"],
    )


def _window(data: Mapping[str, Any], zone: ZoneInfo) -> Window:
    return Window(_moment(data["starts"], zone), _end(data["until"], zone))


def _end(until: date | None, zone: ZoneInfo) -> datetime | None:
    """A day counts to its end; a time as an end does not belong to it."""
    if until is not None and not isinstance(until, datetime):
        until += timedelta(days=1)
    return _moment(until, zone)


def _moment(day: date | None, zone: ZoneInfo) -> datetime | None:
    """A day begins in the program's zone; a time without a zone is meant there."""
    if day is None:
        return None
    if isinstance(day, datetime):
        return day if day.tzinfo else day.replace(tzinfo=zone)
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def _paying(data: Mapping[str, Any]) -> PointsAsMoney:
    return PointsAsMoney(
        points=data["points"],
        worth=_amounts("paying.worth", data["worth"]),
        rates={
            currency: _rate(rate, currency, data["worth"]) for currency, rate in data["rates"].items()
        },
        step=data["step"],
        least=data["min_points"],
        most=data["max_points"],
        most_per_day=data["most_per_day"],
        least_balance=data["min_balance"],
        percent_of_bill=Fraction(data["max_percent"]),
        least_off=_amounts("paying.min_off", data["min_off"]),
        most_off=_amounts("paying.max_off", data["max_off"]),
        valid_days=data["valid_days"],
        over_balance=data["over_balance"],
    )


def _rate(rate: Decimal, currency: str, worth: Mapping[str, Decimal]) -> Fraction:
    """Minor units of a currency for one of the currency of `worth`."""
    (own,) = worth
    return Fraction(rate) * Fraction(10) ** minor_units(currency) / Fraction(10) ** minor_units(own)


def _discount(number: int, data: Mapping[str, Any], zone: ZoneInfo) -> Discount:
    return Discount(
        id=data["id"],
        percent=Fraction(data["percent"]),
        lines=_lines(data),
        when=_when(f"discounts[{number}]", data, zone),
    )


def _budget(data: Mapping[str, Any]) -> Budget | None:
    budget = Budget(data["budget"], data["budget_per_member"])
    return budget if budget != Budget() else None


def _credit(data: Mapping[str, Any], zone: ZoneInfo) -> Credit:
    return Credit(
        cashback=tuple(_cashback(n, rule, zone) for n, rule in enumerate(data["cashback"])),
        rounding=data["rounding"],
        most_per_order=_amounts("credit.most_per_order", data["most_per_order"]),
        paid_out=data["paid_out"],
        available_after_days=data["available_after_days"],
        expiry=Expiry(
            data["expire_after_days"], data["expire_after_months"], data["expire_until_end_of"]
        ),
        spent_at=frozenset(data["spent_at"]),
        valid_days=data["valid_days"],
    )


def _cashback(number: int, data: Mapping[str, Any], zone: ZoneInfo) -> EarnRule:
    return EarnRule(
        id=data["id"] or f"cashback-{number + 1}",
        kind="percent",
        per=dict.fromkeys(data["currencies"], 1),
        percent=Fraction(data["percent"]),
        tax=data["tax"],
        shipping=data["shipping"],
        lines=_lines(data),
        when=_when(f"credit.cashback[{number}]", data, zone),
        alone=data["alone"],
        last=data["last"],
    )


def _caps(points: Mapping[str, Any]) -> dict[Period, int]:
    named = {of: points[f"most_per_{'member' if of == 'ever' else of}"] for of in PERIODS}
    return {of: most for of, most in named.items() if most is not None}


def _action(data: Mapping[str, Any], zone: ZoneInfo) -> Action:
    limits = {
        period: data[f"most_{'ever' if period == 'ever' else f'per_{period}'}"] for period in PERIODS
    }
    if data["by"] == "birthday" and limits["year"] is None:
        limits["year"] = 1
    if data["by"] == "sign_up" and limits["ever"] is None:
        limits["ever"] = 1
    return Action(
        id=data["id"],
        name=data["name"] or data["id"],
        points=data["points"],
        by=data["by"],
        limits={period: most for period, most in limits.items() if most is not None},
        windows=tuple(_window(one, zone) for one in data["windows"]),
    )


def _referral(data: Mapping[str, Any]) -> Referral:
    return Referral(
        referrer=data["referrer"],
        friend=data["friend"],
        percent=Fraction(data["percent"] or 0),
        worth=_amounts("referral.worth", data["worth"]),
        referrer_credit=_amounts("referral.referrer_credit", data["referrer_credit"]),
        friend_credit=_amounts("referral.friend_credit", data["friend_credit"]),
        minimum=_amounts("referral.minimum", data["minimum"]),
        within_days=data["within_days"],
        order=data["order"],
    )


def _reward(path: str, data: Mapping[str, Any], zone: ZoneInfo) -> Reward:
    percent = None if data["percent"] is None else int(data["percent"] * 100)
    free = data["free"]
    return Reward(
        id=data["id"],
        name=data["name"],
        cost=data["cost"],
        amounts=_amounts(f"{path}.amount", data["amount"]),
        percent=ALL if free else percent,
        perk=data["perk"],
        valid_days=data["valid_days"],
        free_shipping=data["free_shipping"],
        skus=tuple(free or data["skus"]),
        pieces=data["pieces"] or (1 if free else None),
        most=_amounts(f"{path}.at_most", data["at_most"]),
        minimum=_amounts(f"{path}.minimum", data["minimum"]),
        starts=_moment(data["starts"], zone),
        ends=_end(data["until"], zone),
        valid_until=_end(data["valid_until"], zone),
        stock=data["stock"],
        per_member=data["per_member"],
        per_day=data["per_day"],
        channels=frozenset(data["channels"]),
        tiers=frozenset(data["tiers"]),
        segments=frozenset(data["segments"]),
        automatic=data["automatic"],
        every_order=data["every_order"],
        order_minimum=_amounts(f"{path}.order_minimum", data["order_minimum"]),
        credit=_amounts(f"{path}.credit", data["credit"]),
        gift_card=_amounts(f"{path}.gift_card", data["gift_card"]),
    )


def _amounts(path: str, amounts: Mapping[str, Decimal]) -> dict[str, int]:
    return {currency: _minor(path, amount, currency) for currency, amount in amounts.items()}


def _minor(path: str, amount: Decimal, currency: str) -> int:
    try:
        return to_minor_exact(amount, currency)
    except NotMoney:
        digits = minor_units(currency)
        exponent = amount.normalize().as_tuple().exponent
        sentence = _("the amount {amount} is out of range", amount=amount)
        if isinstance(exponent, int) and exponent < -digits:
            sentence = _(
                "the amount is {amount}, but {currency} has {digits} decimals",
                amount=amount,
                currency=currency,
                digits=digits,
            )
        raise DocumentRefused(path, sentence) from None
