"""No page holds a word that was not handed to gettext, and none shows English to who reads Vietnamese."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from jinja2 import Environment
from jinja2.lexer import TOKEN_DATA

from tests.desks import Desk, Office

TEMPLATES = Path(__file__).parents[3] / "hub" / "web" / "templates"
READ_OUT = ("title", "aria-label", "placeholder", "alt", "data-label")
"""Attributes that people read or hear."""
SILENT = ("script", "style", "code", "pre", "textarea")
"""Code, and what somebody has typed."""


class Texts(HTMLParser):
    """What people read on a page: text, and telling attributes."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.silent += tag in SILENT
        self.found += [value for name, value in attrs if name in READ_OUT and value]

    def handle_endtag(self, tag: str) -> None:
        self.silent -= tag in SILENT

    def handle_data(self, data: str) -> None:
        if not self.silent and data.strip():
            self.found.append(data.strip())


def read(page: str) -> list[str]:
    texts = Texts()
    texts.feed(page)
    return texts.found


def literals(source: str) -> str:
    """A template with everything that is computed taken out."""
    tokens = Environment(autoescape=True).lexer.tokeniter(source, "page")
    return "".join(text if kind == TOKEN_DATA else "" for _, kind, text in tokens)


def unspoken(source: str) -> list[str]:
    """Texts of a template that are read and were not handed to gettext."""
    return [text for text in read(literals(source)) if re.search(r"[^\W\d_]{2}", text)]


UNTRANSLATED = {TEMPLATES / "reference.html"}
"""For integrators, in English whatever the browser asks for, as the document that it shows is."""
TRANSLATED = sorted(set(TEMPLATES.rglob("*.html")) - UNTRANSLATED)


@pytest.mark.parametrize("file", TRANSLATED, ids=lambda f: f.relative_to(TEMPLATES).as_posix())
def test_a_template_holds_no_words_of_its_own(file: Path) -> None:
    assert unspoken(file.read_text(encoding="utf-8")) == []


def test_words_of_its_own_are_found() -> None:
    page = (
        '<p>{{ _("fine") }} <b>Not fine</b> · <a title="{{ x }}" aria-label="Nor this">{{ y }}</a></p>'
    )
    assert unspoken(page) == ["Not fine", "Nor this"]
    assert unspoken("<code>hub up</code> <!-- {{ x }} note -->{# a remark #}") == []


# --- pages as they are shown ---------------------------------------------------------------------

ENGLISH = set(
    """the a an of and or is are was were be been has have had not no with without for from this that
    these those to in on at by it its as if when while where who what which why how you your we our
    they there here will would can may must should than then but all any each every some more most
    new old add edit save cancel delete open close back next show hide yes log out password order
    orders member members channel channels points message messages waiting failed done""".split()  # noqa: SIM905
)
"""Words that no Vietnamese sentence holds ("to", "an", "the", "in", "hay" and the like apart: see
below)."""
ALSO_VIETNAMESE = {"to", "an", "the", "in", "a", "on", "no", "may", "can", "than", "me", "be", "by"}


def english_left(texts: list[str]) -> list[str]:
    """Texts with at least one word that is English and nothing else."""
    telling = ENGLISH - ALSO_VIETNAMESE
    return [text for text in texts if telling & set(re.findall(r"[^\W\d_]+", text.lower()))]


def test_english_words_are_found() -> None:
    assert english_left(["Đơn hàng", "Times are those of Asia/Ho_Chi_Minh."]) == [
        "Times are those of Asia/Ho_Chi_Minh."
    ]


@pytest.fixture
def desk(office: Office) -> Desk:
    return office.desk("owner")


def test_every_page_without_an_id_is_vietnamese_for_who_reads_it(desk: Desk) -> None:
    seen = 0
    for rule in desk.client.application.url_map.iter_rules():
        mine = rule.endpoint.startswith("dashboard.") and "GET" in (rule.methods or ())
        if not mine or rule.arguments - {"program"}:
            continue
        answer = desk.get(rule.rule.replace("<program>", "ours"), "vi", follow_redirects=True)
        assert answer.status_code == 200, rule.rule
        assert 'lang="vi"' in answer.text, rule.rule
        texts = [text for text in read(answer.text) if text not in ("English", "Owner · Chủ cửa hàng")]
        assert english_left(texts) == [], rule.rule
        seen += 1
    assert seen >= 4


@pytest.mark.parametrize("status", [400, 403, 404, 405, 500])
def test_every_error_page_is_vietnamese_for_who_reads_it(desk: Desk, status: int) -> None:
    from hub import i18n
    from hub.web.dashboard import errors

    with desk.client.application.test_request_context("/p/ours/"), i18n.speaking("vi"):
        texts = read(errors.page(status).get_data(as_text=True))
    assert english_left([text for text in texts if text != "English"]) == []
    assert len(texts) > 4


def test_the_chosen_language_and_theme_are_marked(desk: Desk) -> None:
    desk.client.set_cookie("hub_theme", "dark")
    page = desk.get("./", "vi").text
    pressed = re.findall(r'<button[^>]*value="(\w+)"[^>]*aria-pressed="true"', page)
    assert pressed == ["vi", "dark"]
    assert 'data-bs-theme="dark"' in page
