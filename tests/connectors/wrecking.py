"""Every way to spoil one field of a message: what a connector must survive."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

from hub.errors import BadPayload
from tests.pace import paced

GARBAGE: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    10**18,
    1.5,
    "",
    "garbage \U0001f6d2 &#0; &amp;",
    "999999999999999999999999",
    "1e999",
    "2026-02-30T99:00:00",
    "9999-12-31T23:59:59",
    [],
    [None],
    {},
    {"id": "x"},
)


def paths(value: Any, prefix: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every path in a JSON value, inner ones too."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        yield (*prefix, key)
        yield from paths(inner, (*prefix, key))


def without(value: Any, path: tuple[str | int, ...]) -> Any:
    """The value with one field taken out; what is not on the way to it is shared."""
    changed, parent = _copied_to(value, path)
    del parent[path[-1]]
    return changed


def with_value(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    """The value with one field replaced; what is not on the way to it is shared."""
    changed, parent = _copied_to(value, path)
    parent[path[-1]] = new
    return changed


def wrecks(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Each field of a JSON message removed, nulled, and replaced by each piece of garbage; at a desk by
    one piece, in their turns."""
    whole = json.loads(body)
    turns = itertools.cycle(GARBAGE[1:])
    for path in paths(whole):
        name = ".".join(map(str, path))
        yield f"without {name}", json.dumps(without(whole, path)).encode()
        for new in (None, *itertools.islice(turns, paced(1, len(GARBAGE) - 1))):
            yield f"{name} = {new!r}", json.dumps(with_value(whole, path, new)).encode()


def refusals(normalise: Callable[[bytes], object], body: bytes) -> dict[str, str]:
    """Wreck -> the JSON path `BadPayload` named, for those that were refused; any other exception
    than `BadPayload` goes through."""
    refused = {}
    for wreck, wrecked in wrecks(body):
        try:
            normalise(wrecked)
        except BadPayload as fault:
            refused[wreck] = fault.path
    return refused


def _copied_to(value: Any, path: tuple[str | int, ...]) -> tuple[Any, Any]:
    """A copy of the value as deep as the path goes, and in it what holds the field."""
    changed = holder = copy.copy(value)
    for step in path[:-1]:
        holder[step] = holder = copy.copy(holder[step])
    return changed, holder
