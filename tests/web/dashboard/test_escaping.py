"""What merchants and customers type is text on a page, never a part of it."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from markupsafe import Markup

from hub import i18n
from hub.connect import add_channel
from hub.web.dashboard import looks
from tests.desks import Office
from tests.shops import delivery

EVIL = """<img src=x onerror=alert(1)> "quoted" 'single' {braces} &amp;"""


class Tags(HTMLParser):
    """Every tag that a browser would make of a page, with the attributes that it would give it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))


@pytest.mark.parametrize("language", ["en", "vi"])
def test_a_name_with_tags_quotes_and_braces_stays_a_name(office: Office, language: str) -> None:
    with office.runtime.sessions.begin() as session:
        channel = add_channel(
            session, office.runtime, program_id=office.ours.id, kind="generic_pos", name=EVIL,
            settings={"webhook_secret": "whsec_dGhlIHRpbGwgYW5kIHRoZSBodWIga25vdyB0aGlz"}, actor="test",
        )  # fmt: skip
        delivery(
            session,
            office.ours.id,
            channel.id,
            state="failed",
            fault="payload",
            code="of_nobody",
            detail=EVIL,
        )
    desk = office.desk("owner")
    below = f"./channels/{channel.public_id}"
    for path in ("./", "./channels", below, f"{below}/settings", f"{below}/disconnect", "./deliveries"):
        page = desk.get(path, language).text
        assert "&lt;img src=x onerror=alert(1)&gt;" in page, path
        tags = Tags()
        tags.feed(page)
        assert [t for t in tags.found if t[0] == "img" or any(a.startswith("on") for a in t[1])] == [], (
            path
        )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("<b>", "hub program: &lt;b&gt;"),
        (Markup("<b>bold</b>"), "hub program: <b>bold</b>"),
        ("{x}", "hub program: {x}"),
    ],
)
def test_a_value_is_escaped_unless_it_is_markup(value: str, shown: str) -> None:
    with i18n.speaking("en"):
        assert str(looks.gettext("hub program: {name}", name=value)) == shown


def test_the_words_around_a_value_are_escaped_too() -> None:
    assert str(looks.gettext("a < b: {n}", n=1)) == "a &lt; b: 1"
    assert looks.ngettext("{n} <thing>", "{n} <things>", 2, n=2) == Markup("2 &lt;things&gt;")
