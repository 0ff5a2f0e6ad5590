"""The one door for foreign JSON: bytes in, plain values out, or `BadPayload` naming the path.

What a stranger may send and Python's `json` would let through or die of (NaN, 1e400, 100 000
brackets, NUL, lone surrogates, integers of 5 000 digits) ends here, so that no later line has to
think of it and PostgreSQL never refuses a value that was accepted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from marshmallow import Schema, ValidationError

from hub.errors import BadPayload, Misconfigured

MAX_DEPTH = 200
_MAX_INTEGER = 2**63 - 1


def parse_json(body: bytes) -> Any:
    """Parse UTF-8 JSON; decimals become `Decimal`. Raises `BadPayload`."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadPayload("not_utf8", f"byte {error.start} is not UTF-8") from None
    try:
        value = json.loads(text, parse_float=_decimal, parse_constant=_no_constant)
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


def _check(value: Any, text: str) -> None:
    """Depth, integer size, and characters that PostgreSQL cannot store."""
    suspicious = "\\u0000" in text or "\\ud" in text or "\\uD" in text or "\x00" in text
    stack: list[tuple[Any, int]] = [(value, 1)]
    while stack:
        item, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise BadPayload("too_deep", f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(item, dict):
            stack.extend((inner, depth + 1) for inner in item.values())
            if suspicious:
                stack.extend((key, depth + 1) for key in item)
        elif isinstance(item, list):
            stack.extend((inner, depth + 1) for inner in item)
        elif isinstance(item, str):
            if suspicious:
                _check_text(item)
        elif isinstance(item, int) and abs(item) > _MAX_INTEGER:
            raise BadPayload("number_out_of_range", "an integer is larger than 64 bits")


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
