"""How commands show what they found: a table for people, or the very same rows as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from hub.i18n import gettext as _

Row = Mapping[str, Any]

SENTENCE = 36
"""Columns that hold sentences are at least this wide, whatever the others need."""

# fmt: off
HEADING_WORDS: tuple[str, ...] = (
    "account", "accounts", "actor", "attempts", "available", "balance", "body", "bytes", "channel",
    "clean", "code", "codes", "counter", "currency", "debt", "delivery", "detail", "direction",
    "document", "due", "due at", "duplicates", "effective from", "entries", "entry", "exchanges",
    "expires at", "failed", "fault", "file", "format", "health", "hub", "id", "in force from", "key",
    "kind", "known as", "left alone", "made at", "member", "migration", "milliseconds", "name",
    "needed", "number", "ok", "outcome", "pending", "points", "program", "reason", "received at",
    "repeated", "replayed", "restored", "revision", "reward", "sale", "scopes", "secret", "seq",
    "server", "setting", "sha256", "slug", "source", "started at", "state", "status", "time zone",
    "topic", "unknown", "value", "version", "voucher", "voucher state", "webhook", "what", "when", "why",
)
# fmt: on
"""Names of columns as people read them; JSON keeps the names of the fields."""


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--json` on a command, handed to it as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")(command)


def show(rows: Iterable[Row], *, as_json: bool, empty: str = "", title: str = "") -> None:
    """Print rows that share their keys; `empty` is what people read when there are none."""
    if as_json:
        for row in rows:
            click.echo(as_line(row))
        return
    found = list(rows)
    if not found:
        click.echo(empty or _("Nothing found."))
        return
    _table(found, title)


def show_one(row: Row, *, as_json: bool) -> None:
    """Print one thing, a line a field."""
    if as_json:
        click.echo(as_line(row))
        return
    _table([{"": _heading(name), " ": value} for name, value in row.items()], "", headers=False)


def as_line(row: Row) -> str:
    """One row as JSON: times in ISO 8601, decimals as text."""
    return json.dumps(row, ensure_ascii=False, default=_plain)


def _table(rows: list[Row], title: str, *, headers: bool = True) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, show_header=headers)
    for name in rows[0]:
        numbers = all(isinstance(row[name], int | Decimal | None) for row in rows)
        longest = max(len(_words(row[name])) for row in rows)
        table.add_column(
            _heading(name),
            justify="right" if numbers else "left",
            overflow="fold",
            min_width=SENTENCE if longest > SENTENCE else None,
        )
    for row in rows:
        table.add_row(*(Text(_words(value)) for value in row.values()))
    Console(soft_wrap=False).print(table)


def _heading(name: str) -> str:
    return _(name.replace("_", " "))


def _words(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=_plain)
    return str(value)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal | Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form here")
