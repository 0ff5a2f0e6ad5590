"""The one door for foreign JSON: bytes in, plain values out, or `BadPayload` naming the path.

What a stranger may send and Python's `json` would let through or die of (NaN, 1e400, 100 000
brackets, NUL, lone surrogates, integers of 5 000 digits) ends here, so that no later line has to
think of it and PostgreSQL never refuses a value that was accepted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any, NoReturn, TypeVar
from zoneinfo import ZoneInfo

from marshmallow import EXCLUDE, Schema, ValidationError, missing
from marshmallow.fields import Field

from hub.errors import BadPayload, Misconfigured

MAX_DEPTH = 200
MAX_VALUES = 500_000
"""Ten megabytes of real orders hold fewer; of empty lists they hold three million, and these take thirty
times their bytes."""
_MAX_INTEGER = 2**63 - 1


def parse_json(body: bytes) -> Any:
    """Parse UTF-8 JSON; decimals become `Decimal`. Raises `BadPayload`."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadPayload("not_utf8", f"byte {error.start} is not UTF-8") from None
    if len(body) > MAX_VALUES and body.count(b",") + body.count(b":") > MAX_VALUES:
        raise BadPayload("too_many_values", f"more than {MAX_VALUES} values")
    try:
        value = json.loads(text, parse_float=_decimal, parse_int=_integer, parse_constant=_no_constant)
    except RecursionError:
        raise BadPayload("too_deep", f"nested deeper than {MAX_DEPTH} levels") from None
    except (ValueError, InvalidOperation) as error:
        raise BadPayload("not_json", f"not JSON ({str(error)[:120]})") from None
    _check(value, text)
    return value


def parse_object(body: bytes) -> dict[str, Any]:
    """Like `parse_json`, and the top must be an object."""
    value = parse_json(body)
    if not isinstance(value, dict):
        raise BadPayload("not_an_object", f"a JSON object is expected, not {_name(value)}")
    return value


def load(schema: Schema, value: object, *, root: str = "$") -> dict[str, Any]:
    """Validate with a marshmallow schema; the first error becomes `BadPayload` with its path."""
    if not isinstance(value, dict):
        raise BadPayload("not_an_object", f"an object is expected, not {_name(value)}", path=root)
    try:
        loaded: dict[str, Any] = schema.load(value)
    except ValidationError as error:
        path, sentence = first_error(error.messages, root)
        raise BadPayload("invalid_field", sentence, path=path) from None
    return loaded


_T = TypeVar("_T")


class Value(Field[_T]):
    """A field without validators or processors of its own: a value that is there goes straight to
    `_deserialize`. An order has about a hundred, and asking each was a third of reading it."""

    def deserialize(self, value: Any, attr: str | None = None, data: Any = None, **kwargs: Any) -> Any:
        """The loaded value; null and absent are marshmallow's business."""
        if value is None or value is missing:
            return super().deserialize(value, attr, data, **kwargs)
        return self._deserialize(value, attr, data)


class Message(Schema):
    """A marshmallow schema that reads what is there and fills in the rest at once.

    marshmallow asks every field a schema knows, each through a closure of its own, also those that a
    message lacks; that was a quarter of the time an order takes. A value that is refused is loaded anew
    in marshmallow's own way, so what is valid, and each word of an error, are marshmallow's (a test
    compares the two). Nested schemas are Messages too; `partial` and dotted attributes are left to
    marshmallow.
    """

    @cached_property
    def _plan(
        self,
    ) -> tuple[
        dict[str, tuple[str, Any]], frozenset[str], dict[str, Any], list[tuple[str, Callable[[], Any]]]
    ]:
        """Name -> (key, how it is read); the names that must be asked although they are absent; what the
        others then are, and how those are made that are made anew each time."""
        fields = {
            name if field.data_key is None else field.data_key: (field.attribute or name, field)
            for name, field in self.load_fields.items()
        }
        absent = [(key, f.load_default) for key, f in fields.values() if f.load_default is not missing]
        return (
            {name: (key, field.deserialize) for name, (key, field) in fields.items()},
            frozenset(name for name, (_, f) in fields.items() if f.load_default is missing),
            {key: value for key, value in absent if not callable(value)},
            [(key, make) for key, make in absent if callable(make)],
        )

    def _deserialize(self, data: Any, *, many: bool = False, partial: Any = None, **how: Any) -> Any:
        if partial is None:
            try:
                if many and data.__class__ is list:
                    return [self._read(each, how["unknown"]) for each in data]
                if not many:
                    return self._read(data, how["unknown"])
            except ValidationError:
                pass  # marshmallow collects all that is wrong, with its paths
        return super()._deserialize(data, many=many, partial=partial, **how)

    def _read(self, data: Any, unknown: str) -> dict[str, Any]:
        if data.__class__ is not dict:
            raise ValidationError("an object is expected")
        known, asked, constant, made = self._plan
        names = data.keys() & known.keys()
        if unknown != EXCLUDE and len(names) < len(data):
            raise ValidationError("unknown")
        found = constant.copy()
        for key, make in made:
            found[key] = make()
        for name in names | asked:
            key, read = known[name]
            value = read(data.get(name, missing), name, data)
            if value is not missing:
                found[key] = value
        return found


def first_error(messages: object, path: str) -> tuple[str, str]:
    """Walk marshmallow's nested messages to the first sentence and its JSON path."""
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            if key == "_schema":
                return first_error(inner, path)
            step = f"[{key}]" if isinstance(key, int) else f".{key}"
            return first_error(inner, path + step)
    if isinstance(messages, list | tuple) and messages:
        return first_error(messages[0], path)
    return path, str(messages) or "invalid"


def parse_time(value: object, *, path: str, zone: str | None = None) -> datetime:
    """Read an ISO 8601 time to aware UTC. `zone` (IANA) is for channels that print local times;
    without one such a time is `Misconfigured` (rules.md A9)."""
    if not isinstance(value, str) or not value:
        raise BadPayload("not_a_time", f"a time is expected, not {_name(value)}", path=path)
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        raise BadPayload("not_a_time", f"{value!r:.40} is no ISO 8601 time", path=path) from None
    try:
        if time.tzinfo is None:
            if zone is None:
                raise Misconfigured(
                    "no_time_zone",
                    f"{path} has no time zone; set time_zone in the channel's settings",
                )
            time = time.replace(tzinfo=ZoneInfo(zone))
        return time.astimezone(UTC)
    except OverflowError:
        raise BadPayload("not_a_time", f"{value!r:.40} is out of range", path=path) from None


def _decimal(text: str) -> Decimal:
    number = Decimal(text)
    if number and not -400 < number.adjusted() < 400:
        raise InvalidOperation(f"number out of range: {text[:30]}")
    return number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _integer(text: str) -> int:
    if len(text) <= 20 and abs(number := int(text)) <= _MAX_INTEGER:
        return number
    raise BadPayload("number_out_of_range", "an integer is larger than 64 bits")


def _check(value: Any, text: str) -> None:
    """Depth, and characters that PostgreSQL cannot store. It runs for each message: it walks level
    by level over the containers alone, and reads the texts only where an escape makes it necessary."""
    suspicious = "\\u0000" in text or "\\ud" in text or "\\uD" in text or "\x00" in text
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        if suspicious:
            _check_texts(level)
        level = [
            inner
            for container in level
            for inner in (container.values() if container.__class__ is dict else container)
            if inner.__class__ is dict or inner.__class__ is list
        ]
        if not level:
            break
    if level:
        raise BadPayload("too_deep", f"nested deeper than {MAX_DEPTH} levels")
    if suspicious and isinstance(value, str):
        _check_text(value)


def _check_texts(containers: list[Any]) -> None:
    for container in containers:
        if isinstance(container, dict):
            for key in container:
                _check_text(key)
        for inner in container.values() if isinstance(container, dict) else container:
            if isinstance(inner, str):
                _check_text(inner)


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise BadPayload("bad_character", "a text holds the character U+0000")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadPayload("bad_character", "a text holds half of a surrogate pair") from None


def _name(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true/false"}
    if value is None:
        return "null"
    return names.get(type(value), "a number")
