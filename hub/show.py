"""How commands show what they found: a table for people, or the very same rows as JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, Literal

import click

from hub.i18n import gettext as _

if TYPE_CHECKING:
    from rich.table import Table

Row = Mapping[str, Any]

_ENDLESS = 100_000
_WIDEST = 400
"""Characters a line of a table may have where it is never folded."""
_READABLE = 24
"""Characters a column may be folded to; a sentence in less is a ladder."""
_BETWEEN = 3
"""Blanks that rich puts between two columns."""

# fmt: off
HEADING_WORDS: tuple[str, ...] = (
    "absorbed", "account", "accounts", "actor", "after", "asked at", "at", "attempts", "available", "available at",
    "balance", "before", "before start", "body", "bytes", "change", "changed", "channel", "clean", "code", "codes",
    "column", "counter", "counts for", "currency", "debt", "delivery", "detail", "difference", "direction", "document",
    "drafted", "drafted liability", "drift", "dropped", "due", "due at", "duplicates", "earned", "effective from",
    "email", "ending", "entries", "entry", "exchanges", "expected since", "expired", "expires", "expires at", "failed",
    "fails", "fault", "field", "file", "for tiers", "forgotten", "format", "found", "found by", "gain", "given",
    "granted", "health", "hold until", "hub", "id", "identities", "ignored", "in force from", "invariant", "kept",
    "key", "kind", "known as", "known members", "last arrival", "last used at", "left alone", "liability", "line",
    "lose", "made", "made at", "member", "members", "members found", "members new", "mended", "merges", "migration",
    "milliseconds", "missed", "movements", "name", "needed", "new key", "new members", "nobody known", "note",
    "number", "ok", "old", "orders", "outcome", "password", "pending", "placed at", "points", "program", "reason",
    "received at", "ref", "refused", "remaining", "repaired", "repeated", "replayed", "restored", "revision",
    "revoked at", "reward", "role", "roles", "rows", "sale", "sales", "scopes", "secret", "seen", "seq", "server",
    "setting", "sha256", "silent", "since", "slug", "source", "started at", "state", "status", "suspected twins",
    "taken", "tier after", "tier before", "tiers only", "time zone", "to come", "topic", "total", "tried", "unchanged",
    "unjudged", "unknown", "unsure", "up to", "valid", "value", "values", "version", "voucher", "voucher state",
    "waits", "waits for", "webhook", "welcome", "what", "when", "why", "worth", "wrong",
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


@contextmanager
def bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar with speed and remaining time on standard error, where that is a terminal; yields
    what to call with the number of things done."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda count: progress.advance(task, count)


def as_line(row: Row) -> str:
    """One row as JSON: times in ISO 8601, decimals as text."""
    return json.dumps(row, ensure_ascii=False, default=_plain)


def _table(rows: list[Row], title: str, *, headers: bool = True) -> None:
    """The whole of it, in the width there is: a table, at most its widest column folded; where that
    is not enough, row by row. What is no terminal gets nothing folded: a row stays one line."""
    names = list(rows[0])
    cells = [[_words(row[name]) for name in names] for row in rows]
    terminal = sys.stdout.isatty()
    width = get_terminal_size().columns if terminal else _ENDLESS
    if title:
        click.echo(title)
    folds = terminal and _fits(names, cells, width, _READABLE)
    if not headers or folds or (not terminal and _fits(names, cells, _WIDEST)):
        _print(_grid(names, rows, cells, headers=headers), width)
        return
    for row in cells:
        pairs = [[_heading(name), cell] for name, cell in zip(names, row, strict=True) if cell]
        _print(_grid(["", " "], [], pairs, headers=False), width)


def _fits(names: list[str], cells: list[list[str]], width: int, least: int = _ENDLESS) -> bool:
    """Whether all columns have the width they want; for the widest `least` is enough."""
    from rich.cells import cell_len

    columns = zip([_heading(name) for name in names], *cells, strict=True)
    wanted = [max(cell_len(line) for c in column for line in c.split("\n")) for column in columns]
    return sum(wanted) - max(wanted) + min(max(wanted), least) + _BETWEEN * len(names) < width


def _grid(names: list[str], rows: list[Row], cells: list[list[str]], *, headers: bool) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, show_header=headers)
    widest = _widest(cells)
    for index, name in enumerate(names):
        numbers = bool(rows) and all(isinstance(row[name], int | Decimal | None) for row in rows)
        justify: Literal["left", "right"] = "right" if numbers else "left"
        grid.add_column(
            _heading(name), justify=justify, overflow="fold", no_wrap=headers and index != widest
        )
    for row in cells:
        grid.add_row(*(Text(cell) for cell in row))
    return grid


def _widest(cells: list[list[str]]) -> int:
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    return widths.index(max(widths))


def _print(grid: Table, width: int) -> None:
    """The table without the blanks rich fills its lines up with."""
    from rich.console import Console

    console = Console(width=width, soft_wrap=False)
    with console.capture() as captured:
        console.print(grid)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    click.echo("\n".join(lines).strip("\n") + "\n")


def _heading(name: str) -> str:
    return _(name.replace("_", " "))


def _words(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=_plain)
    return str(value)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal | Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form here")
