"""Kinds of values a merchant writes in a program document: amounts, moments, hours, lists of names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate, validates_schema

from hub.i18n import gettext as _
from hub.money import NotMoney, minor_units

MAX_DAYS = 36500
MAX_RULES = 100
_HOURS = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])-([01]?[0-9]|2[0-4]):([0-5][0-9])")
_MONTH_DAY = re.compile(r"(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Amount(fields.Field[Decimal]):
    """A decimal text ("10000", "0.50"); numbers are taken too, floats are not exact and are not."""

    may_be_0 = False

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> Decimal:
        del attr, data, kwargs
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
            raise ValidationError(_('must be a decimal in quotes, like "10000" or "0.50"'))
        try:
            amount = Decimal(value)
        except ArithmeticError:
            raise ValidationError(_("{value!r:.40} is no decimal number", value=value)) from None
        if not amount.is_finite() or amount < 0 or (amount == 0 and not self.may_be_0):
            raise ValidationError(_('"{amount}" must be more than 0', amount=amount))
        return amount


def currency(code: str) -> None:
    try:
        minor_units(code)
    except NotMoney:
        raise ValidationError(_("{code!r:.20} is no ISO 4217 currency", code=code)) from None


class Strict(Schema):
    class Meta:
        unknown = RAISE


def per_currency(**options: Any) -> fields.Dict:
    return fields.Dict(keys=fields.String(validate=currency), values=Amount(), **options)


def words(**options: Any) -> fields.List[str]:
    """A list of names; empty when it is left out."""
    return fields.List(
        fields.String(validate=validate.Length(1, 200)),
        load_default=list,
        validate=validate.Length(max=1000),
        **options,
    )


def choice(*values: str, default: str) -> fields.String:
    return fields.String(load_default=default, validate=validate.OneOf(values))


class Moment(fields.Field[date]):
    """A day or a time: TOML has both; through the API they are ISO 8601 texts."""

    def _deserialize(self, value: Any, *_args: Any, **_more: Any) -> date:
        if isinstance(value, date):  # a datetime is one too
            return value
        if isinstance(value, str):
            for read in (date.fromisoformat, datetime.fromisoformat):
                try:
                    return read(value)
                except ValueError:
                    continue
        raise ValidationError(
            _("must be a day like 2026-11-20 or a time like 2026-11-20T18:00:00+07:00")
        )


class Hours(fields.Field[tuple[time, time]]):
    """ "18:00-20:00": from, until; the end does not belong to it. 24:00 is midnight."""

    def _deserialize(self, value: Any, *_args: Any, **_more: Any) -> tuple[time, time]:
        found = _HOURS.fullmatch(value) if isinstance(value, str) else None
        if found is None or (found[3] == "24" and found[4] != "00"):
            raise ValidationError(_('must be hours like "18:00-20:00"'))
        return time(int(found[1]), int(found[2])), time(int(found[3]) % 24, int(found[4]))


class MonthDay(fields.Field[tuple[int, int]]):
    """ "10-31": month and day."""

    def _deserialize(self, value: Any, *_args: Any, **_more: Any) -> tuple[int, int]:
        found = _MONTH_DAY.fullmatch(value) if isinstance(value, str) else None
        if found is None or int(found[2]) > _LONGEST_MONTHS[int(found[1]) - 1]:
            raise ValidationError(_('must be a month and a day like "10-31"'))
        return int(found[1]), int(found[2])


class OneOrMany(fields.Field[list[dict[str, Any]]]):
    """`[earn]` for one rule, `[[earn]]` for several: a list either way."""

    def __init__(self, schema: type[Schema], **options: Any) -> None:
        super().__init__(**options)
        self._schema = schema

    def _deserialize(self, value: Any, *_args: Any, **_more: Any) -> list[dict[str, Any]]:
        if isinstance(value, Mapping):
            one: dict[str, Any] = self._schema().load(dict(value))
            return [one]
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_RULES:
            raise ValidationError(_("must be one table, or a list of 1 to {n} tables", n=MAX_RULES))
        several: list[dict[str, Any]] = self._schema(many=True).load(value)
        return several


class WindowSchema(Strict):
    """One stretch of time. A day as `until` counts to its end; a time as `until` does not belong to it."""

    starts = Moment(load_default=None, data_key="from")
    until = Moment(load_default=None)

    @validates_schema
    def has_an_end(self, data: Mapping[str, Any], **_more: Any) -> None:
        """A window without both ends is no window."""
        if data.get("starts") is None and data.get("until") is None:
            raise ValidationError(_("name from, until or both"), "from")
