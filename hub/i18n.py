"""The reader's language: gettext catalogues, and the one language in force where something is shown.

What is stored stays as stable codes and English; words are chosen when somebody reads. English is
the language of the source and needs no catalogue.
"""

from __future__ import annotations

import gettext as catalogues
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

DOMAIN = "hub"
FOLDER = Path(__file__).parent / "locale"
SOURCE = "en"
LANGUAGES = (SOURCE, "vi")
"""What the hub speaks; the first is spoken where nothing else is asked for."""

_VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
"""The first that is not empty counts:
https://www.gnu.org/software/gettext/manual/html_node/Locale-Environment-Variables.html"""

_language: ContextVar[str] = ContextVar("language", default=SOURCE)


def language() -> str:
    """The language in force in this thread or context, one of `LANGUAGES`."""
    return _language.get()


def speak(wanted: str) -> None:
    """Put a language in force from here on; one that the hub does not speak is English."""
    _language.set(wanted if wanted in LANGUAGES else SOURCE)


@contextmanager
def speaking(wanted: str) -> Iterator[None]:
    """A language in force inside the block."""
    token = _language.set(wanted if wanted in LANGUAGES else SOURCE)
    try:
        yield
    finally:
        _language.reset(token)


def from_environment(environment: Mapping[str, str]) -> str:
    """The language a terminal asks for: `vi_VN.UTF-8` is Vietnamese, what we do not speak English."""
    wish = next((environment[v] for v in _VARIABLES if environment.get(v)), "")
    spoken = (re.split(r"[_.@]", one)[0].lower() for one in wish.split(":"))
    return next((one for one in spoken if one in LANGUAGES), SOURCE)


def gettext(message: str, /, **values: Any) -> str:
    """The message in the language in force; `{name}` in it stands for the value of that name."""
    return _filled(_catalogue(language()).gettext(message) if message else "", values)


def ngettext(one: str, many: str, number: int, /, **values: Any) -> str:
    """The form for `number` in the language in force."""
    return _filled(_catalogue(language()).ngettext(one, many, number), values)


@cache
def _catalogue(wanted: str) -> catalogues.NullTranslations:
    if wanted == SOURCE:
        return catalogues.NullTranslations()
    return catalogues.translation(DOMAIN, FOLDER, languages=[wanted])


def _filled(text: str, values: Mapping[str, Any]) -> str:
    return text.format(**values) if values else text
