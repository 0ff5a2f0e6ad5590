"""What a draft would change in a program document: setting by setting, defaults filled in on both sides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hub.program.document import check


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting that differs; None: it is not there."""

    setting: str
    """Its path: `points.rounding`, `earn[0].per.VND`, `rewards.coffee.cost`."""
    before: str | None
    after: str | None


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Settings of two documents that differ, by path. Things with an id are compared by it, whatever their
    order. Raises `DocumentRefused`."""
    old, new = dict(_flat(check(before))), dict(_flat(check(after)))
    return [
        Difference(path, old.get(path), new.get(path))
        for path in sorted({*old, *new}, key=_natural)
        if old.get(path) != new.get(path)
    ]


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple) and any(isinstance(one, Mapping) for one in value):
        for number, inner in enumerate(value):
            named = inner.get("id") if isinstance(inner, Mapping) else None
            yield from _flat(inner, f"{path}.{named}" if named else f"{path}[{number}]")
    elif isinstance(value, list | tuple | set | frozenset):
        if value:
            yield path, ", ".join(sorted(str(one) for one in value))
    elif value is not None:
        yield path, str(value).lower() if isinstance(value, bool) else str(value)


def _natural(path: str) -> tuple[tuple[int, str], ...]:
    """`earn[10]` after `earn[2]`."""
    pieces = path.replace("]", "").replace("[", ".").split(".")
    return tuple((int(p), "") if p.isdecimal() else (0, p) for p in pieces)
