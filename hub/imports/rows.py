"""One row of a foreign table, read: who it is and what they bring; or what is wrong with it, in words."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from hub.canonical import Consent, CustomerRef
from hub.i18n import gettext as _
from hub.imports import values
from hub.imports.columns import FIELD_WORDS, KEYS, Columns
from hub.imports.values import Order
from hub.members import identity
from hub.money import to_minor

Value = TypeVar("Value")

_LONGEST = 200
_OLDEST = date(1900, 1, 1)
_FAMILY_FIRST = frozenset({"CN", "HU", "JP", "KR", "TW", "VN"})
"""Regions where the family name is written first."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What all rows of a table are read by."""

    columns: Columns
    order: Order
    region: str
    time_zone: str
    currency: str
    now: datetime
    secret: bytes
    """Rows are known by a digest under it: a key that stays may not tell who somebody forgotten was."""
    tiers: Mapping[str, str] = field(default_factory=dict)
    """Name or id in lower case -> id."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one row says. Moments are aware UTC; a last day ends at midnight of the programme's zone."""

    line: int
    key: str
    """The same row in a later file has the same one."""
    ref: CustomerRef
    points: int
    expires_at: datetime | None = None
    earned_at: datetime | None = None
    joined_at: datetime | None = None
    tier: str | None = None
    tier_until: datetime | None = None
    spent: int | None = None
    """Minor units of the programme's currency."""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wrong:
    """A row that is not taken, and why, in a sentence."""

    line: int
    field: str
    said: str


def read(frame: Frame, rows: Sequence[tuple[int, Sequence[str]]]) -> tuple[list[Row], list[Wrong]]:
    """All rows of a table; those that cannot be taken are told apart. Two rows of one key are one too
    many: the second is wrong."""
    good: list[Row] = []
    bad: list[Wrong] = []
    lines: dict[str, int] = {}
    for line, cells in rows:
        try:
            row = _Reader(frame, line, cells).row()
            if row.key in lines:
                said = _(
                    "line {line} is about the same points; give each row an id of its own",
                    line=lines[row.key],
                )
                raise _No("row", said)
        except _No as no:
            bad.append(Wrong(line, no.field, no.said))
            continue
        lines[row.key] = line
        good.append(row)
    return good, bad


class _No(Exception):
    def __init__(self, field: str, said: str) -> None:
        super().__init__(said)
        self.field, self.said = field, said


@dataclass(slots=True)
class _Reader:
    frame: Frame
    line: int
    cells: Sequence[str]

    def row(self) -> Row:
        ref, expires = self._who(), self._end("expires")
        if expires is not None and expires <= self.frame.now:
            raise _No(
                "expires", _("these points are gone already; leave the row out, or correct the day")
            )
        tier = self._tier()
        return Row(
            line=self.line,
            key=self._key(ref, expires),
            ref=ref,
            points=self._points(),
            expires_at=expires,
            earned_at=self._past("earned"),
            joined_at=self._past("joined"),
            tier=tier,
            tier_until=self._end("tier_until") if tier else None,
            spent=self._spent(),
            tags=tuple(name for name in map(str.strip, self._text("tags").split(",")) if name),
        )

    # --- who ---

    def _who(self) -> CustomerRef:
        phone, email = self._text("phone"), self._text("email")
        if phone and identity.phone(phone, self.frame.region) is None:
            raise _No(
                "phone",
                _("{value!r:.40} is no phone number in {region}", value=phone, region=self.frame.region),
            )
        if email and identity.email(email) is None:
            raise _No("email", _("{value!r:.60} is no e-mail address", value=email))
        customer, card = self._text("customer"), self._text("card")
        if not (phone or email or customer or card):
            raise _No("email", _("nobody is named: no phone, e-mail, card or customer id"))
        birthday = self._day("birthday")
        return CustomerRef(
            external_id=customer or None,
            phones=(phone,) if phone else (),
            emails=(email,) if email else (),
            cards=(card,) if card else (),
            name=self._name(),
            birthday=birthday.isoformat() if birthday else None,
            consents=self._consents(),
        )

    def _name(self) -> str:
        parts = [self._text("name"), self._text("last_name")]
        if self.frame.region in _FAMILY_FIRST:
            parts.reverse()
        return " ".join(part for part in parts if part)

    def _consents(self) -> tuple[Consent, ...]:
        if "consent" not in self.frame.columns.of:
            return ()
        given = self._read("consent", values.answer, _("write yes or no"))
        return (Consent("email_marketing", given, self.frame.now),) if given is not None else ()

    def _key(self, ref: CustomerRef, expires: datetime | None) -> str:
        """The row's own id; else who it is and when it ends, so that a member may bring several lots."""
        if own := self._text("row"):
            return own[:_LONGEST]
        spelled = {
            "customer": ref.external_id,
            "card": identity.card(ref.cards[0]) if ref.cards else None,
            "phone": identity.phone(ref.phones[0], self.frame.region) if ref.phones else None,
            "email": identity.email(ref.emails[0]) if ref.emails else None,
        }
        who = next(f"{kind}:{spelled[kind]}" for kind in KEYS if spelled[kind])
        text = f"{who}|{expires or ''}|{self._text('earned')}"
        return hmac.new(self.frame.secret, text.encode(), hashlib.sha256).hexdigest()[:32]

    # --- what they bring ---

    def _points(self) -> int:
        if not self._text("points"):
            return 0
        points = self._read("points", values.whole, _("write a whole number"))
        if points is not None and points < 0:
            raise _No("points", _("a debt cannot be brought over; adjust it by hand afterwards"))
        return points or 0

    def _tier(self) -> str | None:
        name = self._text("tier")
        if not name:
            return None
        found = self.frame.tiers.get(name.lower())
        if found is None:
            known = ", ".join(dict.fromkeys(self.frame.tiers.values())) or "-"
            raise _No(
                "tier",
                _("the programme has no tier {value!r:.60}; it has: {known}", value=name, known=known),
            )
        return found

    def _spent(self) -> int | None:
        spent = self._read("spent", values.amount, _("write an amount of money"))
        if spent is None:
            return None
        if spent < 0:
            raise _No("spent", _("an amount below zero counts for nothing"))
        return to_minor(spent, self.frame.currency)

    # --- cells ---

    def _text(self, name: str) -> str:
        text = self.frame.columns.cell(self.cells, name)
        if len(text) > _LONGEST:
            raise _No(name, _("longer than {n} characters", n=_LONGEST))
        return text

    def _read(self, name: str, reader: Callable[[str], Value], fix: str) -> Value | None:
        text = self._text(name)
        if not text:
            return None
        try:
            return reader(text)
        except ValueError:  # Unreadable, and days that are not in the calendar
            raise _No(name, _("{value!r:.40} cannot be read; {fix}", value=text, fix=fix)) from None

    def _day(self, name: str) -> date | None:
        fix = {
            "ymd": _("write days as 2027-01-31"),
            "dmy": _("write days as 31/01/2027"),
            "mdy": _("write days as 01/31/2027"),
        }[self.frame.order]
        found = self._read(name, lambda text: values.day(text, self.frame.order), fix)
        if found is not None and not _OLDEST <= found <= date(9000, 1, 1):
            raise _No(name, _("{value} is no day of this programme", value=found.isoformat()))
        return found

    def _start(self, day: date) -> datetime:
        return datetime.combine(day, time(), ZoneInfo(self.frame.time_zone)).astimezone(UTC)

    def _end(self, name: str) -> datetime | None:
        day = self._day(name)
        return self._start(day + timedelta(days=1)) if day else None

    def _past(self, name: str) -> datetime | None:
        day = self._day(name)
        if day is None:
            return None
        if self._start(day) > self.frame.now:
            raise _No(name, _("this day is still to come"))
        return self._start(day)


def tiers_by_name(names: Mapping[str, str]) -> dict[str, str]:
    """Tier id -> name, turned to what a row may write -> id."""
    return {word.strip().lower(): tier for tier, name in names.items() for word in (tier, name)}


def missing(columns: Columns) -> str:
    """What a table lacks to be of use, in a sentence; "" when nothing."""
    if not any(key in columns.of for key in KEYS):
        return _("No column says who it is: e-mail, phone, card or customer id. Name one of them.")
    brings = {"points", "tier", "spent", "tags", "birthday", "joined"}
    if not brings & set(columns.of):
        return _("No column says what to bring: points, a tier, a birthday... Name one of them.")
    return ""


__all__ = ["FIELD_WORDS", "Frame", "Row", "Wrong", "missing", "read", "tiers_by_name"]
