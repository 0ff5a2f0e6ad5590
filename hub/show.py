"""How commands show what they found: a table for people, or the very same rows as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

Row = Mapping[str, Any]


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--json` on a command, handed to it as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")(command)


def show(rows: Iterable[Row], *, as_json: bool, empty: str = "Nothing found.", title: str = "") -> None:
    """Print rows that share their keys; `empty` is what people read when there are none."""
    if as_json:
        for row in rows:
            click.echo(as_line(row))
        return
    found = list(rows)
    if not found:
        click.echo(empty)
        return
    _table(found, title)


def show_one(row: Row, *, as_json: bool) -> None:
    """Print one thing, a line a field."""
    if as_json:
        click.echo(as_line(row))
        return
    _table([{"": name, " ": value} for name, value in row.items()], "", headers=False)


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
        table.add_column(name.replace("_", " "), justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_words(value)) for value in row.values()))
    Console(soft_wrap=False).print(table)


def _words(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
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
