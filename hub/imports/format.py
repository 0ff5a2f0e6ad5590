"""What the export of one product looks like: its headings and how it writes days; and a plan for a file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from hub.i18n import gettext as _
from hub.imports.columns import FIELD_WORDS
from hub.imports.values import Order

FOLDER = Path("config/imports")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


class BadFormat(Exception):
    """A format is not there, or says what nobody understands; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Format:
    """A product's export."""

    name: str
    label: str
    order: Order = "ymd"
    headings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def named(name: str, folder: Path = FOLDER) -> Format:
    """The format of that name, from its file. Raises `BadFormat`."""
    file = folder / f"{name}.toml"
    if not _NAME.fullmatch(name) or not file.is_file():
        there = ", ".join(one.name for one in all_of(folder)) or "-"
        raise BadFormat(_("there is no format {name!r:.40}; there are: {there}", name=name, there=there))
    return _read(file)


def all_of(folder: Path = FOLDER) -> list[Format]:
    """All formats, by name. Raises `BadFormat`."""
    return [_read(file) for file in sorted(folder.glob("*.toml"))]


def is_source(name: str) -> bool:
    """Whether rows may be kept under that name."""
    return _NAME.fullmatch(name) is not None


def _read(file: Path) -> Format:
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadFormat(f"{file}: {error}") from None
    headings, order = found.pop("headings", {}), found.pop("days", "ymd")
    label = found.pop("label", file.stem)
    if found or order not in get_args(Order) or not isinstance(label, str) or not _sound(headings):
        raise BadFormat(
            _(
                "{file}: there are label, days (ymd, dmy or mdy) and [headings] of known fields",
                file=file,
            )
        )
    return Format(file.stem, label, order, {name: tuple(names) for name, names in headings.items()})


def _sound(headings: Any) -> bool:
    if not isinstance(headings, Mapping):
        return False
    return all(
        name in FIELD_WORDS and isinstance(names, Sequence) and all(isinstance(n, str) for n in names)
        for name, names in headings.items()
    )
