"""Numbers and days as people and spreadsheets of many countries write them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Literal

Order = Literal["ymd", "dmy", "mdy"]
"""What comes first in a day that is written with numbers; ymd alone is never mistaken."""

_GROUPED = re.compile(r"[+-]?\d{1,3}(?:[., '\u00a0\u202f]\d{3})+")
_DAY = re.compile(r"(\d{1,4})[-/. ](\d{1,2})[-/. ](\d{1,4})(?:[T ,].*)?")
_YES, _NO = {"yes", "y", "true", "1", "x", "co", "có"}, {"no", "n", "false", "0", "", "khong", "không"}
_MOST = 2**53


class Unreadable(ValueError):
    """A text that says no such thing."""


def whole(text: str) -> int:
    """A whole number; groups of three digits may be set apart (1,250 or 1.250), zeros may follow a point
    (120.00). Raises `Unreadable`."""
    bare = text.strip()
    if _GROUPED.fullmatch(bare):
        bare = re.sub(r"[^\d+-]", "", bare)
    number = _decimal(bare)
    if number != number.to_integral_value() or abs(number) > _MOST:
        raise Unreadable(text)
    return int(number)


def amount(text: str) -> Decimal:
    """An amount of money, a sign of its currency before or after it left out: 1,250,000.50 or 1.250.000,50 or
    1250000. Three digits behind a single sign are thousands. Raises `Unreadable`."""
    bare = re.sub(r"[\s'\u00a0\u202f]", "", text)
    bare = re.sub(r"^[^\d+-]{1,4}|[^\d]{1,4}$", "", bare)
    if _GROUPED.fullmatch(bare) and len({sign for sign in bare if sign in ",."}) == 1:
        return _decimal(re.sub(r"[,.]", "", bare))
    last = max(bare.rfind(","), bare.rfind("."))
    if last < 0:
        return _decimal(bare)
    if not (_GROUPED.fullmatch(bare[:last]) or bare[:last].lstrip("+-").isdecimal()):
        raise Unreadable(text)
    return _decimal(re.sub(r"[,.]", "", bare[:last]) + "." + bare[last + 1 :])


def day(text: str, order: Order) -> date:
    """A day of the calendar, with or without a time behind it. Raises `Unreadable`."""
    found = _DAY.fullmatch(text.strip())
    if found is None:
        raise Unreadable(text)
    first, second, third = (int(part) for part in found.groups())
    if len(found[1]) == 4:
        return date(first, second, third)
    if order == "ymd" or len(found[3]) != 4:
        raise Unreadable(text)
    return date(third, second, first) if order == "dmy" else date(third, first, second)


def order_of(texts: Iterable[str], otherwise: Order) -> Order:
    """What comes first in these days: a number over twelve tells; where none does, `otherwise`."""
    for text in texts:
        found = _DAY.fullmatch(text.strip())
        if found is None or len(found[1]) == 4:
            continue
        if int(found[1]) > 12:
            return "dmy"
        if int(found[2]) > 12:
            return "mdy"
    return otherwise


def answer(text: str) -> bool:
    """Yes or no. Raises `Unreadable`."""
    bare = text.strip().lower()
    if bare not in _YES | _NO:
        raise Unreadable(text)
    return bare in _YES


def _decimal(bare: str) -> Decimal:
    if not re.fullmatch(r"[+-]?\d{1,18}(?:\.\d{1,6})?", bare):
        raise Unreadable(bare)
    try:
        return Decimal(bare)
    except InvalidOperation:
        raise Unreadable(bare) from None
