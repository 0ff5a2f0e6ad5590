"""A table as spreadsheets write it: its text encoding, its separator, its headings and rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from hub.i18n import gettext as _

MOST_BYTES = 50 * 1024 * 1024
MOST_ROWS = 500_000
_LONGEST_CELL = 10_000
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_SEPARATORS = ",;\t|"


class BadTable(Exception):
    """The file cannot be read as a table; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Table:
    """A file's headings and its rows, empty ones left out. A row's number is its line in a spreadsheet."""

    headings: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]


def read(content: bytes) -> Table:
    """Read CSV (or text with tabs or semicolons) in UTF-8 or UTF-16. Raises `BadTable`."""
    if len(content) > MOST_BYTES:
        raise BadTable(_("The file is larger than {n} MB.", n=MOST_BYTES // 1024**2))
    text = _decoded(content)
    separator = _separator(text)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        raise BadTable(_("The file is no CSV: {error}", error=error)) from None
    filled = [(number, tuple(row)) for number, row in enumerate(lines, 1) if any(c.strip() for c in row)]
    if len(filled) < 2:
        raise BadTable(_("The file has no rows below its headings."))
    if len(filled) > MOST_ROWS:
        raise BadTable(_("The file has more than {n} rows; cut it into several.", n=MOST_ROWS))
    _refuse_long(filled)
    return Table(tuple(name.strip() for name in filled[0][1]), tuple(filled[1:]))


def _decoded(content: bytes) -> str:
    if content[:4] == b"PK\x03\x04":
        raise BadTable(_("This is an Excel workbook: save it as CSV UTF-8 in the spreadsheet first."))
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadTable(
            _("Line {line} is not UTF-8: save the file as CSV UTF-8 in the spreadsheet.", line=line)
        ) from None
    if "\0" in text:
        raise BadTable(_("The file is no text."))
    return text


def _separator(text: str) -> str:
    """The one that stands most often in the first line that says anything."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    return max(_SEPARATORS, key=lambda one: (first.count(one), one == ","))


def _refuse_long(rows: Sequence[tuple[int, tuple[str, ...]]]) -> None:
    for number, row in rows:
        if any(len(cell) > _LONGEST_CELL for cell in row):
            raise BadTable(
                _(
                    "Line {line} holds a cell of more than {n} characters; is a quote missing?",
                    line=number,
                    n=_LONGEST_CELL,
                )
            )
