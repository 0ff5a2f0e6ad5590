"""When and for what a rule applies, as short clauses for customers, in the language in force."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from babel.dates import get_day_names

from hub import words
from hub.i18n import gettext as _
from hub.i18n import language, ngettext
from hub.program.rules import NOT_GOODS, Budget, Condition, LineFilter, Rules
from hub.program.windows import Window

KIND_WORDS = {
    "gift_card": "gift cards",
    "tip": "tips",
    "fee": "fees",
    "service": "services",
    "goods": "goods",
}
BIRTHDAY_WORDS = {
    "day": "on the buyer's birthday",
    "week": "in the week of the buyer's birthday",
    "month": "in the month of the buyer's birthday",
}
PERIOD_WORDS = {
    "day": "a day",
    "week": "a week",
    "month": "a month",
    "year": "a year",
    "ever": "in all",
}


def amounts(values: Mapping[str, int]) -> str:
    """ "₫50,000, $2.00": an amount in each currency."""
    return " · ".join(words.money(minor, currency) for currency, minor in values.items())


def exact(value: Fraction) -> str:
    """A number of a rule: 1.5, 1/3."""
    return words.exact_number(value)


def days(count: int) -> str:
    """ "1 day", "30 days"."""
    return ngettext("{number} day", "{number} days", count, number=words.number(count))


def months(count: int) -> str:
    """ "1 month", "12 months"."""
    return ngettext("{number} month", "{number} months", count, number=words.number(count))


def listed(names: Iterable[str]) -> str:
    """Names as they are, in order."""
    return ", ".join(sorted(names))


def of_lines(lines: LineFilter) -> Iterator[str]:
    """What counts, and what does not."""
    wanted = lines.categories | lines.skus | lines.products | lines.tags
    unwanted = lines.exclude_categories | lines.exclude_skus | lines.exclude_tags
    if wanted:
        yield _("only {names}", names=listed(wanted))
    if unwanted:
        yield _("not {names}", names=listed(unwanted))
    kinds = sorted(lines.exclude_kinds)
    if lines.exclude_kinds != NOT_GOODS:
        left_out = ", ".join(_(KIND_WORDS[kind]) for kind in kinds)
        yield _("not {names}", names=left_out) if kinds else _("gift cards, tips and fees too")
    if lines.free == "out":
        yield _("not what costs nothing")
    if lines.discounted != "in":
        only = lines.discounted == "only"
        yield _("only what is discounted") if only else _("not what is discounted")


PAID_WORDS = {
    "points": "not what is paid with points",
    "gift_card": "not what is paid with gift cards",
    "store_credit": "not what is paid with store credit",
}


def of_payment(kinds: Iterable[str]) -> Iterator[str]:
    """What was paid with these earns nothing."""
    for kind in sorted(kinds):
        yield _(PAID_WORDS[kind])


def of_bill(when: Condition, rules: Rules) -> Iterator[str]:
    """For which bills, when, where and for whom."""
    if when.minimum:
        yield _("bills of {amount} and more", amount=amounts(when.minimum))
    if not when.discounted_bills:
        yield _("not with a discount on the bill")
    if not when.paid_with_points:
        yield _("not when points are paid with")
    if when.channels:
        yield _("bought in {names}", names=listed(when.channels))
    if when.locations:
        yield _("bought at {names}", names=listed(when.locations))
    yield from _of_time(when, rules.time_zone)
    yield from _of_buyer(when, rules)


def _of_time(when: Condition, zone: str) -> Iterator[str]:
    for window in when.windows:
        yield of_window(window, zone)
    if when.weekdays:
        names = get_day_names("wide", locale=language())
        yield ", ".join(names[day - 1] for day in sorted(when.weekdays))
    if when.hours:
        starts, ends = when.hours
        yield f"{starts:%H:%M} - {ends:%H:%M}"


def of_groups(tiers: Iterable[str], segments: Iterable[str], rules: Rules) -> Iterator[str]:
    """For members of which tiers and segments, by their names."""
    levels = {level.id: level.name for level in rules.tiers.levels} if rules.tiers else {}
    groups = {segment.id: segment.name for segment in rules.segments}
    for wanted, names in ((sorted(tiers), levels), (sorted(segments), groups)):
        if wanted:
            yield _("for {names}", names=", ".join(names.get(one, one) for one in wanted))


def _of_buyer(when: Condition, rules: Rules) -> Iterator[str]:
    yield from of_groups(when.tiers, when.segments, rules)
    if when.birthday:
        yield _(BIRTHDAY_WORDS[when.birthday])
    if when.orders:
        yield _("for order number {names}", names=", ".join(map(str, sorted(when.orders))))
    if when.every_nth:
        yield _("for every {n}. order", n=when.every_nth)


def of_window(window: Window, zone: str) -> str:
    """ "from 20 November 2026 until 22 November 2026", days to their end."""
    starts = words.day(window.starts, zone) if window.starts else ""
    ends = _last(window.ends, zone) if window.ends else ""
    if starts and ends:
        return _("from {start} until {end}", start=starts, end=ends)
    return _("from {start}", start=starts) if starts else _("until {end}", end=ends)


def _last(moment: datetime, zone: str) -> str:
    """A window that ends at midnight ended with the day before; else its moment is told."""
    here = moment.astimezone(ZoneInfo(zone))
    if (here.hour, here.minute, here.second) == (0, 0, 0):
        return words.day(moment.astimezone(UTC) - timedelta(seconds=1), zone)
    return words.moment(moment, zone)


def of_budget(budget: Budget | None) -> Iterator[str]:
    """How many points there are, in all and for each."""
    if budget is not None and budget.total is not None:
        yield _("as long as the {points} for it last", points=words.points(budget.total))
    if budget is not None and budget.per_member is not None:
        yield _("at most {points} for each member", points=words.points(budget.per_member))
