"""Reading neutral words: what is not in a table is unsupported, never a quiet pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Unsupported(Exception):
    """The product cannot express a rule; the message says which, and why."""


def word(table: Mapping[Any, Any], said: Any, where: str) -> Any:
    """What a word stands for."""
    if said not in table:
        raise Unsupported(f"{where}: {said}: not known")
    return table[said]


def all_read(rest: Mapping[str, Any], where: str) -> None:
    """Nothing is left unread."""
    if rest:
        raise Unsupported(f"{where}.{min(rest)}: the product has no such rule yet")
