"""A page as a person has it: its language, its width, and what may never happen on it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request

from tests.pace import FULL

AXE = (Path(__file__).parent / "axe-4.14.1" / "axe.min.js").read_text(encoding="utf-8")
HEIGHTS = {375: 812, 768: 1024, 1280: 900, 1920: 1080}
SCREENSHOTS = os.environ.get("SCREENSHOTS", "")
"""A folder; empty: none are taken (`make screenshots` sets it)."""

_SCROLLS = "document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
_WIDEST = """() => [...document.querySelectorAll('body *')]
    .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .slice(-5).map(e => e.outerHTML.slice(0, 120))"""
_AXE_RUN = "axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)"
_PARTS = """() => {
    const theme = document.documentElement.dataset.bsTheme;
    const named = e => e ? e.tagName + '.' + e.className + [...e.attributes].map(a => a.name).sort() : '';
    const shown = [...document.querySelectorAll('*')].filter(e => e.checkVisibility());
    return [...new Set(shown.map(e => theme + named(e.parentElement) + '>' + named(e)))];
}"""
_judged: set[str] = set()
"""The parts of pages that axe has seen in this process: elements with their class, attributes and parent."""


@dataclass
class Sight:
    """One browser window at one width in one language."""

    url: str
    language: str
    width: int
    context: BrowserContext
    page: Page
    troubles: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    """Parts of console errors that a test provokes: a status that is no success."""

    @classmethod
    def begin(cls, context: BrowserContext, url: str, language: str, width: int) -> Sight:
        """Watch a new page: whatever goes wrong from now on is kept."""
        sight = cls(url, language, width, context, context.new_page())
        sight.page.on("request", sight._look_where)
        sight.page.on("console", sight._hear)
        sight.page.on("pageerror", lambda error: sight.troubles.append(f"script: {error}"))
        return sight

    def go(self, path: str) -> None:
        """Open an address of the hub."""
        self.page.goto(self.url + path)

    def log_in(self, email: str, password: str) -> None:
        """Through the form."""
        self.go("/login")
        self.page.fill("[name=email]", email)
        self.page.fill("[name=password]", password)
        self.page.click("form[action='/login'] button[type=submit]")
        self.page.wait_for_load_state()

    def enter(self, email: str, password: str) -> None:
        """Logged in, as by the form, without its pages being drawn."""
        form = self.context.request.get(f"{self.url}/login").text()
        csrf = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form)
        assert csrf, form
        fields = {"csrf_token": csrf[1], "email": email, "password": password}
        assert self.context.request.post(f"{self.url}/login", form=fields, max_redirects=0).status == 303

    def check(self, name: str = "") -> None:
        """Nothing went wrong on this page, and everybody can use it. With a name the page is also
        kept as a screenshot, when those are asked for."""
        self.page.wait_for_load_state("networkidle")
        self._keep(name)
        beyond = self.page.evaluate(_SCROLLS)
        assert beyond <= 0, (
            f"{self.page.url} scrolls sideways by {beyond}: {self.page.evaluate(_WIDEST)}"
        )
        assert self.page.locator("html").get_attribute("lang") == self.language
        troubles = [t for t in self.troubles if not any(part in t for part in self.expected)]
        assert troubles == [], troubles
        self._axe()

    def _axe(self) -> None:
        """Axe judges the page; at a desk (tests/pace.py) only one that has parts which it has not seen."""
        parts = self.page.evaluate(_PARTS)
        if not FULL and _judged.issuperset(parts):
            return
        _judged.update(parts)
        self.page.evaluate(AXE)
        found: list[dict[str, Any]] = self.page.evaluate(_AXE_RUN)
        bad = [
            f"{v['id']}: {v['help']}: {[n['html'][:160] for n in v['nodes']][:4]}"
            for v in found
            if v["impact"] in ("serious", "critical")
        ]
        assert bad == [], (self.page.url, bad)
        self.troubles = [t for t in self.troubles if "axe" not in t]

    def _keep(self, name: str) -> None:
        if SCREENSHOTS and name:
            folder = Path(SCREENSHOTS)
            folder.mkdir(parents=True, exist_ok=True)
            file = folder / f"{name}-{self.language}-{self.width}.png"
            self.page.screenshot(path=file, full_page=True, animations="disabled")

    def _look_where(self, request: Request) -> None:
        here, there = urlsplit(self.url).netloc, urlsplit(request.url)
        if there.scheme in ("http", "https") and there.netloc != here:
            self.troubles.append(f"a request to a foreign host: {request.url}")

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.troubles.append(f"console {message.type}: {message.text} ({message.location})")
