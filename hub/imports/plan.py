"""A file, read as a whole: what its columns are taken for, the rows that are good, and what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hub.desk.place import Desk
from hub.imports import columns, rows, table, values
from hub.imports.carry import Origin, sound
from hub.imports.columns import FIELD_WORDS, Columns
from hub.imports.format import Format
from hub.imports.rows import Frame, Row, Wrong
from hub.imports.values import Order


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person says about a file."""

    origin: Origin
    format: Format | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    """Field -> heading, "" to leave the field out."""
    order: Order | None = None
    """How days are written; None: as the days themselves tell."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A file as it would be carried over."""

    read_as: Mapping[str, str]
    """Field -> the heading it is read from."""
    left_out: tuple[str, ...]
    """Headings of columns that are not read."""
    order: Order
    rows: tuple[Row, ...]
    wrong: tuple[Wrong, ...]
    missing: str
    """What keeps the whole file from being used, in a sentence; "" when nothing."""


def plan(desk: Desk, content: bytes, wish: Wish) -> Plan:
    """Read a file by the programme in force. Raises `BadTable` and `UnknownColumn`."""
    found = table.read(content)
    own = wish.format.headings if wish.format else {}
    of = columns.chosen(columns.guess(found.headings, own), found.headings, wish.columns)
    frame = _frame(desk, wish, of, found)
    missing = rows.missing(of)
    good, wrong = ([], []) if missing else rows.read(frame, found.rows)
    good, meant = sound(wish.origin, good, desk.rules(), desk.runtime.clock())
    return Plan(
        read_as={name: found.headings[of.of[name]] for name in FIELD_WORDS if name in of.of},
        left_out=tuple(
            name for n, name in enumerate(found.headings) if name and n not in of.of.values()
        ),
        order=frame.order,
        rows=tuple(good),
        wrong=tuple(sorted([*wrong, *meant], key=lambda one: one.line)),
        missing=missing,
    )


def _frame(desk: Desk, wish: Wish, of: Columns, found: table.Table) -> Frame:
    ladder = desk.rules().tiers
    return Frame(
        columns=of,
        order=wish.order or _order(wish, of, found),
        region=desk.program.region,
        time_zone=desk.program.time_zone,
        currency=desk.program.currency,
        now=desk.runtime.clock(),
        secret=desk.runtime.chain_key,
        tiers=rows.tiers_by_name({one.id: one.name for one in ladder.levels} if ladder else {}),
    )


def _order(wish: Wish, of: Columns, found: table.Table) -> Order:
    days = ("birthday", "joined", "expires", "earned", "tier_until")
    told = (of.cell(cells, day) for _line, cells in found.rows for day in days)
    return values.order_of(told, wish.format.order if wish.format else "ymd")
