"""Tiers and segments of a checked program document -> the ladder and the groups the rules look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hub.i18n import gettext as _
from hub.money import minor_units
from hub.program.ladder import Ladder, Level, Membership, Review
from hub.program.rules import Condition, Multiplier
from hub.program.segments import Segment

ToMinor = Callable[[str, Decimal, str], int]
"""(path, amount, currency) -> minor units; refuses what has too many decimals."""


class Wrong(ValueError):
    """Something does not fit together; `path` and the sentence say where and what."""

    def __init__(self, path: str, sentence: str) -> None:
        super().__init__(sentence)
        self.path, self.sentence = path, sentence


def ladder(data: Mapping[str, Any], to_minor: ToMinor) -> Ladder:
    """The tiers. Raises `Wrong`."""
    currency = data["currency"] or ""
    if data["by"] == "spend" and not currency:
        raise Wrong("tiers.currency", _('say of which currency the amounts are: currency = "VND"'))
    over = data["over"]
    fitting: Review = "membership_year" if over == "membership_year" else "year"
    return Ladder(
        levels=tuple(_level(n, level, data, to_minor) for n, level in enumerate(data["levels"])),
        currency=currency,
        by=data["by"],
        spend_of=data["spend_of"],
        factors={c: _factor(f, c, currency) for c, f in data["other_currencies"].items()},
        over=over,
        rolling_months=data["rolling_months"],
        review=data["review"] or fitting,
        year_from=data["year_from"],
        year_months=data["year_months"],
        year_days=data["year_days"],
        enter=data["enter"],
        leave=data["leave"],
        drop=data["drop"],
        grace_days=data["grace_days"],
        reset=data["reset"],
        this_order=data["this_order"],
        memberships=tuple(map(_membership, data["memberships"])),
    )


def multipliers(data: Mapping[str, Any]) -> Iterator[Multiplier]:
    """What tiers multiply points by, as rules like any other."""
    for level in data["levels"]:
        factor = Fraction(1 if level["multiplier"] is None else level["multiplier"])
        factor += Fraction(level["bonus"] or 0) / 100
        if factor != 1:
            when = Condition(tiers=frozenset({level["id"]}))
            yield Multiplier(f"tier-{level['id']}", factor, when=when)


def segment(path: str, data: Mapping[str, Any], to_minor: ToMinor) -> Segment:
    """One group. Raises `Wrong` through `to_minor`."""
    least, most = (
        {c: to_minor(f"{path}.{name}", amount, c) for c, amount in data[name].items()}
        for name in ("least_spend", "most_spend")
    )
    return Segment(
        id=data["id"],
        name=data["name"] or data["id"],
        tags=frozenset(data["tags"]),
        tiers=frozenset(data["tiers"]),
        channels=frozenset(data["channels"]),
        birthday_months=frozenset(data["birthday_months"]),
        within_days=data["within_days"],
        least_spend=least,
        most_spend=most,
        least_orders=data["least_orders"],
        most_orders=data["most_orders"],
        bought_within_days=data["bought_within_days"],
        not_bought_for_days=data["not_bought_for_days"],
    )


def check_names(loaded: Mapping[str, Any]) -> None:
    """Tiers and segments that rules name exist. Raises `Wrong`."""
    tiers = {level["id"] for level in loaded["tiers"]["levels"]} if loaded["tiers"] else set()
    segments = {one["id"] for one in loaded["segments"]}
    sections = {
        name: loaded[name] for name in ("earn", "multipliers", "segments", "rewards", "discounts")
    }
    sections["credit.cashback"] = loaded["credit"]["cashback"] if loaded["credit"] else []
    for section, rules in sections.items():
        for number, one in enumerate(rules):
            path = f"{section}[{number}]"
            _known(f"{path}.tiers", one["tiers"], tiers, _("there is no tier {name!r}"))
            if section != "segments":
                _known(f"{path}.segments", one["segments"], segments, _("there is no segment {name!r}"))


def _known(path: str, named: list[str], known: set[str], sentence: str) -> None:
    for name in named:
        if name not in known:
            raise Wrong(path, sentence.format(name=name))


def _level(number: int, data: Mapping[str, Any], tiers: Mapping[str, Any], to_minor: ToMinor) -> Level:
    path = f"tiers.levels[{number}]"
    least, keep = (
        None if data[name] is None else _count(f"{path}.{said}", data[name], tiers, to_minor)
        for name, said in (("least", "from"), ("keep", "keep"))
    )
    return Level(
        id=data["id"],
        name=data["name"],
        least=least,
        keep=least if keep is None else keep,
        discount=int(data["discount"] * 100),
        reward_discount=int(data["reward_discount"] * 100),
        free_shipping=data["free_shipping"],
        perks=tuple(data["perks"]),
    )


def _count(path: str, amount: Decimal, tiers: Mapping[str, Any], to_minor: ToMinor) -> int:
    if tiers["by"] == "spend":
        return to_minor(path, amount, tiers["currency"]) if amount else 0
    if amount != int(amount):
        raise Wrong(path, _("must be a whole number"))
    return int(amount)


def _factor(factor: Decimal, other: str, currency: str) -> Fraction:
    """Of whole units to one of minor units."""
    return Fraction(factor) * Fraction(10 ** minor_units(currency), 10 ** minor_units(other))


def _membership(data: Mapping[str, Any]) -> Membership:
    return Membership(
        data["tier"], frozenset(data["skus"]), frozenset(data["products"]), data["months"], data["days"]
    )
