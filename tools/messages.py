"""Collects what people read into hub/locale/<language>/LC_MESSAGES/hub.po and compiles it (`make messages`).

Besides the calls of gettext that Babel finds in modules and pages (`_`, `ngettext`), these are
collected where they stand: help texts of commands (docstrings and `help="..."`), and tables of words: a
dict at the top of a module whose name ends in WORDS, and COMMANDS. So a connector declares the words
of its codes as plain data and imports nothing of the core. click's own sentences are read from the
installed click.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import click
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract, extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parents[1]
LOCALE = ROOT / "hub" / "locale"
LANGUAGES = ("vi",)
FOLDERS = ("hub", "connectors")
KEYWORDS: dict[str, tuple[int, ...] | None] = {"_": None, "gettext": None, "ngettext": (1, 2)}
CLICK_UNSEEN = (
    "%(prog)s", "(dynamic)", "Argument {name!r}", "Arguments take exactly", "Boolean option", "Choice(",
    "Confirm the action", "Could not determine", "DeprecationWarning", "Error: The two", "Name '{name}'",
    "No options defined", "Press any key", "Repeat for", "Takes {nargs}", "Unknown color", "Unknown standard",
    "Value must be an", "deprecated", "env var", "{len_type}", "{value!r} is not a valid UUID",
)  # fmt: skip
"""Beginnings of sentences of click that nobody meets here."""

Text = str | tuple[str, ...]
"""A message, or its singular and plural."""


def collect() -> Catalog:
    """Everything people read, in the order of its text."""
    catalog = Catalog(project="loyalty-hub", charset="utf-8")
    for place, message in sorted({*_ours(), *_clicks()}, key=lambda found: (str(found[1]), found[0])):
        catalog.add(message, locations=[(place, 0)])
    return catalog


def _ours() -> Iterator[tuple[str, Text]]:
    for folder in FOLDERS:
        for suffix, read in ((".py", in_source), (".html", in_template)):
            for path in sorted((ROOT / folder).rglob(f"*{suffix}")):
                name = path.relative_to(ROOT).as_posix()
                yield from ((name, message) for message in read(path.read_bytes()))


def _clicks() -> Iterator[tuple[str, Text]]:
    found = extract_from_dir(Path(click.__file__).parent, method_map=[("**.py", "python")])
    for file, _, message, _, _ in found:
        first = message if isinstance(message, str) else message[0]
        shown = not file.startswith(("_", "shell_completion")) and not first.startswith(CLICK_UNSEEN)
        if shown and len(first) > 1:
            yield "click", message if isinstance(message, str) else tuple(message)


def in_source(source: bytes) -> Iterator[Text]:
    """The messages of one module."""
    for _, message, _, _ in extract("python", BytesIO(source), KEYWORDS):
        if first := message if isinstance(message, str) else message[0]:
            yield first if isinstance(message, str) else tuple(message)
    tree = ast.parse(source)
    yield from _tables(tree)
    yield from _helps(tree)


def in_template(source: bytes) -> Iterator[Text]:
    """The messages of one page."""
    for _, message, _, _ in extract("jinja2.ext:babel_extract", BytesIO(source), KEYWORDS):
        yield message if isinstance(message, str) else tuple(message)


def _tables(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets, value = [node.target], node.value
        else:
            continue
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        if any(name.endswith("WORDS") or name == "COMMANDS" for name in names):
            yield from _texts(value)


def _texts(table: ast.expr) -> Iterator[str]:
    """The texts a table holds; of a table of tables also its headings."""
    if isinstance(table, ast.Constant) and isinstance(table.value, str):
        yield table.value
    elif isinstance(table, ast.Tuple):
        for element in table.elts:
            yield from _texts(element)
    elif isinstance(table, ast.Dict):
        for key, value in zip(table.keys, table.values, strict=True):
            if isinstance(value, ast.Dict) and key is not None:
                yield from _texts(key)
            yield from _texts(value)


def _helps(tree: ast.Module) -> Iterator[str]:
    """Docstrings of commands and `help="..."` of their options."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and any(map(_is_command, node.decorator_list)):
            text = ast.get_docstring(node)
            if text:
                yield text
        elif isinstance(node, ast.Call) and _called(node) == "option":
            for keyword in node.keywords:
                if keyword.arg == "help":
                    yield from _texts(keyword.value)


def _is_command(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and _called(decorator) in {"command", "group"}


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def po_file(language: str) -> Path:
    """The catalogue that people edit; the compiled one lies beside it."""
    return LOCALE / language / "LC_MESSAGES" / "hub.po"


def read(language: str) -> Catalog:
    """The catalogue as it stands."""
    with po_file(language).open("rb") as file:
        return read_po(file, locale=language, domain="hub")


def updated(language: str, found: Catalog) -> Catalog:
    """The catalogue with what is new added, without a translation, and what is gone left out."""
    catalog = read(language)
    catalog.update(found, no_fuzzy_matching=True, update_creation_date=False)
    catalog.obsolete.clear()
    return catalog


def as_po(catalog: Catalog) -> bytes:
    """The text of a catalogue: without line numbers, so that it changes when a message does."""
    written = BytesIO()
    write_po(written, catalog, width=100, sort_output=True, include_lineno=False)
    return written.getvalue()


def as_mo(catalog: Catalog) -> bytes:
    """A compiled catalogue."""
    written = BytesIO()
    write_mo(written, catalog)
    return written.getvalue()


def main() -> None:
    """Extract, update, compile; name what has no translation yet."""
    for language in LANGUAGES:
        catalog, file = updated(language, collect()), po_file(language)
        file.write_bytes(as_po(catalog))
        file.with_suffix(".mo").write_bytes(as_mo(catalog))
        missing = [m.id for m in catalog if m.id and not is_translated(m)]
        sys.stdout.write(f"{language}: {len(catalog)} messages, {len(missing)} without translation\n")
        for message in missing:
            sys.stdout.write(f"  {message!r}\n")


def is_translated(message: Message) -> bool:
    """Whether every form of it has its words."""
    return bool(message.string) and all(message.string or ())


if __name__ == "__main__":
    main()
