"""Which column of a foreign table says what: guessed from its headings, and said otherwise by a person."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hub.i18n import gettext as _

FIELD_WORDS = {
    "email": "E-mail",
    "phone": "Phone",
    "card": "Card or member code",
    "customer": "The shop's own id of the customer",
    "name": "Name",
    "last_name": "Family name, where it stands in a column of its own",
    "birthday": "Birthday",
    "joined": "Member since",
    "points": "Points (of the whole balance, or of one lot where a member has several rows)",
    "expires": "The last day of these points",
    "earned": "The day on which they were earned",
    "tier": "Tier",
    "tier_until": "The last day of that tier, where it is promised",
    "spent": "What was spent before, counted for tiers",
    "tags": "Tags, with commas between them",
    "consent": "Agreed to e-mails",
    "row": "The row's own id",
}
"""Field -> what it holds."""

_HEADINGS: Mapping[str, tuple[str, ...]] = {
    "email": ("email", "e mail", "email address", "customer email", "user email", "thu dien tu", "dia chi email"),
    "phone": (
        "phone", "phone number", "mobile", "mobile phone", "telephone", "customer phone", "dien thoai",
        "so dien thoai", "sodienthoai", "sdt", "di dong",
    ),
    "card": ("card", "card number", "card code", "loyalty card", "barcode", "ma the", "so the", "ma the thanh vien"),
    "customer": (
        "customer id", "customer", "user id", "merchant id", "ma khach hang", "ma kh", "id khach hang", "customer code",
    ),
    "name": (
        "name", "full name", "customer name", "first name", "display name", "ten khach hang", "ho ten", "ho va ten",
        "ten",
    ),
    "last_name": ("last name", "surname", "family name", "ho"),
    "birthday": ("birthday", "birthdate", "birth date", "date of birth", "dob", "ngay sinh", "sinh nhat"),
    "joined": (
        "joined", "joined at", "join date", "member since", "enrolled at", "enrollment date", "registration date",
        "signup date", "activation date", "ngay tham gia", "ngay dang ky",
    ),
    "points": (
        "points", "points balance", "point balance", "current points", "available points", "points available",
        "approved points", "loyalty points", "balance", "diem", "so diem", "diem hien tai", "diem tich luy",
        "diem kha dung", "diem thuong", "diem hien co", "diem con lai",
    ),
    "expires": (
        "expires", "expires at", "expires on", "expiry", "expiry date", "points expiry", "points expire",
        "points expiry date", "expiration date", "points expiration date", "ngay het han", "han su dung",
    ),
    "earned": ("earned", "earned at", "earned on", "date earned", "points earned at", "ngay tich diem", "ngay tich"),
    "tier": (
        "tier", "vip tier", "loyalty tier", "tier name", "current tier", "level", "hang", "hang the", "hang thanh vien",
    ),
    "tier_until": ("tier until", "tier expires", "tier expires at", "tier expiry", "ngay het han hang"),
    "spent": ("total spent", "total spend", "lifetime spend", "amount spent", "tong chi tieu", "tong ban"),
    "tags": ("tags", "labels", "nhan"),
    "consent": ("accepts marketing", "accepts email marketing", "email marketing", "subscribed", "nhan email"),
    "row": ("row id", "row key", "ma dong"),
}  # fmt: skip
"""Field -> headings seen for it, as `plain` makes them."""

KEYS = ("customer", "card", "phone", "email")
"""Fields that say who it is, strongest first."""


class UnknownColumn(Exception):
    """A mapping names what is not there; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Field -> the number of its column (from 0). What is not here is not read."""

    of: Mapping[str, int]

    def cell(self, row: Sequence[str], field: str) -> str:
        """What a row says of a field; "" when nothing."""
        number = self.of.get(field)
        return row[number].strip() if number is not None and number < len(row) else ""


def plain(heading: str) -> str:
    """A heading as it is compared: no case, no accents, no punctuation, single blanks."""
    text = unicodedata.normalize("NFD", heading.replace("đ", "d").replace("Đ", "D"))
    bare = "".join(letter for letter in text if not unicodedata.combining(letter))
    return " ".join(re.findall(r"[a-z0-9]+", bare.lower()))


def guess(headings: Sequence[str], known: Mapping[str, Sequence[str]] | None = None) -> Columns:
    """The columns whose headings are known; `known` (field -> headings of that product) comes first. The
    first column with a heading counts, and a column is read for one field alone."""
    wanted = [plain(heading) for heading in headings]
    found: dict[str, int] = {}
    for table in (known or {}, _HEADINGS):
        for field in FIELD_WORDS:
            names = {plain(name) for name in (*table.get(field, ()), field)}
            free = (n for n, name in enumerate(wanted) if name in names and n not in found.values())
            if field not in found and (number := next(free, None)) is not None:
                found[field] = number
    return Columns(found)


def chosen(columns: Columns, headings: Sequence[str], wish: Mapping[str, str]) -> Columns:
    """The guess with what a person chose: field -> heading, "" to leave it out. Raises `UnknownColumn`."""
    of = dict(columns.of)
    places = {plain(heading): number for number, heading in reversed(list(enumerate(headings)))}
    for field, heading in wish.items():
        if field not in FIELD_WORDS:
            known = ", ".join(FIELD_WORDS)
            raise UnknownColumn(
                _("{field}: there is no such field; there are: {known}", field=field, known=known)
            )
        if not heading.strip():
            of.pop(field, None)
            continue
        if plain(heading) not in places:
            there = ", ".join(name for name in headings if name.strip())
            raise UnknownColumn(
                _(
                    "{field}: the file has no column {heading!r:.60}; it has: {there}",
                    field=field,
                    heading=heading,
                    there=there,
                )
            )
        of = {other: number for other, number in of.items() if number != places[plain(heading)]}
        of[field] = places[plain(heading)]
    return Columns(of)
