from __future__ import annotations

import string
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import read_mo

from hub import i18n
from tools import messages

# --- which language ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "vi_VN.UTF-8"}, "vi"),
        ({"LANG": "vi"}, "vi"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "vie_XX"}, "en"),
        ({"LANG": "vi_VN", "LC_MESSAGES": "en_GB.UTF-8"}, "en"),
        ({"LANG": "en_US", "LC_MESSAGES": "en_US", "LC_ALL": "vi_VN"}, "vi"),
        ({"LANG": "vi_VN", "LC_ALL": ""}, "vi"),
        ({"LANG": "en_US", "LANGUAGE": "fr:vi:en"}, "vi"),
    ],
)
def test_the_terminal_says_the_language(environment: dict[str, str], language: str) -> None:
    assert i18n.from_environment(environment) == language


def test_a_language_holds_inside_its_block_and_thread() -> None:
    heard: list[str] = []
    with i18n.speaking("vi"):
        assert i18n.gettext("Not found") == "Không tìm thấy"
        thread = threading.Thread(target=lambda: heard.append(i18n.gettext("Not found")))
        thread.start()
        thread.join()
    assert heard == ["Not found"]
    assert i18n.gettext("Not found") == "Not found"


def test_a_language_we_do_not_speak_is_english() -> None:
    with i18n.speaking("tlh"):
        assert i18n.language() == "en"


def test_a_message_without_words_stands_as_it_is() -> None:
    with i18n.speaking("vi"):
        assert i18n.gettext("nobody has translated this {name}", name="x").endswith("this x")
        assert i18n.gettext("") == ""


def test_english_has_a_plural_and_vietnamese_has_none() -> None:
    forms = ("{number} point", "{number} points")
    assert i18n.ngettext(*forms, 1, number=1) == "1 point"
    assert i18n.ngettext(*forms, 2, number=2) == "2 points"
    with i18n.speaking("vi"):
        assert i18n.ngettext(*forms, 1, number=1) == "1 điểm"


# --- the catalogues ------------------------------------------------------------------------------

LANGUAGES = pytest.mark.parametrize("language", messages.LANGUAGES)


@pytest.fixture(scope="module")
def found() -> Catalog:
    """What people read, as it stands in the sources."""
    return messages.collect()


def entries(catalog: Catalog) -> Iterator[Message]:
    return (message for message in catalog if message.id)


def texts(value: str | tuple[str, ...] | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def placeholders(text: str) -> set[str]:
    """`name!r:.40` of each placeholder."""
    found = set()
    for _, name, spec, conversion in string.Formatter().parse(text):
        if name is not None:
            found.add(f"{name}{f'!{conversion}' if conversion else ''}{f':{spec}' if spec else ''}")
    return found


def end_of(text: str) -> str:
    """The mark a text ends with, if any. We never exclaim; click does."""
    last = text.replace("!", ".").rstrip(")")[-1:]
    return last if last in ".:?" else ""


def test_there_is_a_catalogue_for_every_language() -> None:
    assert (i18n.SOURCE, *messages.LANGUAGES) == i18n.LANGUAGES


@LANGUAGES
def test_the_catalogue_holds_exactly_what_people_read(language: str, found: Catalog) -> None:
    """When this fails: `make messages`, and translate what it names."""
    kept = {str(m.id) for m in entries(messages.read(language))}
    collected = {str(m.id) for m in entries(found)}
    assert sorted(collected - kept) == []
    assert sorted(kept - collected) == []


@LANGUAGES
def test_every_message_is_translated(language: str) -> None:
    catalog = messages.read(language)
    assert [m.id for m in entries(catalog) if m.fuzzy or not messages.is_translated(m)] == []


@LANGUAGES
def test_a_translation_has_the_placeholders_of_its_message(language: str) -> None:
    wrong = [
        (message.id, translated)
        for message in entries(messages.read(language))
        for translated in texts(message.string or "")
        if placeholders(translated) not in [placeholders(text) for text in texts(message.id)]
    ]
    assert wrong == []


@LANGUAGES
def test_a_translation_ends_as_its_message_does(language: str) -> None:
    """A clause stays a clause and a sentence a sentence: they are put together with others."""
    wrong = [
        (message.id, translated)
        for message in entries(messages.read(language))
        for translated in texts(message.string or "")
        if end_of(texts(message.id)[-1]) != end_of(translated)
    ]
    assert wrong == []


@LANGUAGES
def test_the_compiled_catalogue_is_the_edited_one(language: str) -> None:
    with messages.po_file(language).with_suffix(".mo").open("rb") as file:
        compiled = {tuple(texts(m.id)): texts(m.string or "") for m in entries(read_mo(file))}
    edited = {tuple(texts(m.id)): texts(m.string or "") for m in entries(messages.read(language))}
    assert compiled == edited


@LANGUAGES
def test_collecting_again_changes_nothing(language: str, found: Catalog) -> None:
    assert messages.as_po(messages.updated(language, found)) == messages.po_file(language).read_bytes()


# --- what is collected ---------------------------------------------------------------------------


def test_calls_tables_and_helps_are_collected(tmp_path: Path) -> None:
    source = '''
A_WORDS = {"code": "A sentence.", "other": ("Title", "Detail")}
COMMANDS = {"Section": {"name": "What it does."}}
NOTHING = {"code": "not a message"}

@click.command("x")
@click.option("--y", help="Help of y.")
def x(y):
    """What x does."""
    say(_("{n} things", n=y), ngettext("one", "many", y))

def plain():
    """No help."""
'''
    assert set(messages.in_source(source.encode())) == {
        "A sentence.", "Title", "Detail", "Section", "What it does.", "Help of y.", "What x does.",
        "{n} things", ("one", "many"),
    }  # fmt: skip
