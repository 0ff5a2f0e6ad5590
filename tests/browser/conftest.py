"""What a browser test asks for: a hub with people who may log in, and a window onto it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from hub.users import passwords, store
from hub.users.rights import Role
from tests.browser import chromium
from tests.browser.shops import Shop
from tests.browser.sight import HEIGHTS, Sight
from tests.hubs import Hub, running_hub
from tests.pace import FULL

PASSWORD = "eight small brown tables"
LANGUAGES = ("en", "vi")
WIDTHS = (375, 1280)
SCREENS = [(language, width) for language in LANGUAGES for width in WIDTHS]
_LOCALES = {"en": "en-GB", "vi": "vi-VN"}


@dataclass
class House:
    """A hub with one user a role, all with the same password."""

    hub: Hub
    hashed: str
    known: set[str] = field(default_factory=set)

    def email(self, role: Role) -> str:
        """The e-mail of somebody with that role in the hub's program; made when first asked for."""
        email = f"{role}@example.com"
        if email not in self.known:
            with self.hub.runtime.sessions.begin() as session:
                user = store.add(
                    session, email=email, name=role.title(), password_hash=self.hashed, locale="en",
                    actor="test",
                )  # fmt: skip
                store.give_role(session, user, self.hub.program.id, role, actor="test")
            self.known.add(email)
        return email


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, or one loud line; with REQUIRE_BROWSER=1 its absence is a failure."""
    try:
        program = chromium.path()
    except chromium.NoBrowser as missing:
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))
    with sync_playwright() as playwright:
        arguments = [
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        ]
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def hashed() -> str:
    """The password's hash: made once, it is slow on purpose."""
    return passwords.hashed(PASSWORD)


@pytest.fixture
def document() -> Mapping[str, Any] | None:
    """The rules of the house's programme; a module that needs others says so."""
    return None


@pytest.fixture
def house(
    database: str, redis_url: str, tmp_path: Path, hashed: str, document: Mapping[str, Any] | None
) -> Iterator[House]:
    with running_hub(database, redis_url, tmp_path, document=document) as hub:
        yield House(hub, hashed)


@pytest.fixture
def shop(house: House) -> Shop:
    return Shop.open(house.hub)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each language at each width; at a desk (tests/pace.py) one screen a flow, each in its turn."""
    if "screen" in metafunc.fixturenames:
        screens = SCREENS
        if not FULL and "SCREENSHOTS" not in os.environ:
            turn = sum(metafunc.function.__name__.encode()) % len(SCREENS)
            screens = [SCREENS[turn]]
        metafunc.parametrize("screen", screens, ids=[f"{lang}-{width}" for lang, width in screens])


Window = Callable[..., Sight]


@pytest.fixture
def window(browser: Browser, house: House) -> Iterator[Window]:
    """Opens a window: `window(language, width)`, with `role=` somebody is logged in already."""
    with ExitStack() as stack:

        def opened(
            language: str = "en", width: int = 1280, role: Role | None = None, theme: str = "light"
        ) -> Sight:
            context = browser.new_context(
                viewport={"width": width, "height": HEIGHTS[width]},
                locale=_LOCALES[language],
                color_scheme="dark" if theme == "dark" else "light",
                reduced_motion="reduce",
            )
            stack.callback(context.close)
            context.set_default_timeout(10_000)
            context.add_cookies([{"name": "hub_language", "value": language, "url": house.hub.url}])
            sight = Sight.begin(context, house.hub.url, language, width)
            if role:
                sight.enter(house.email(role), PASSWORD)
            return sight

        yield opened


@pytest.fixture
def sight(window: Window, screen: tuple[str, int]) -> Sight:
    """The owner, logged in, in each language at each width."""
    return window(*screen, role="owner")


@pytest.fixture
def staff(window: Window, screen: tuple[str, int]) -> Sight:
    """Somebody of support, logged in, in each language at each width."""
    return window(*screen, role="support")
