"""What templates may call: words, numbers and times in the reader's form, icons, addresses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Flask, current_app, g, request
from jinja2 import StrictUndefined
from markupsafe import Markup, escape

from hub import i18n, words
from hub.users import store
from hub.users.rights import ROLE_WORDS, Right
from hub.web.dashboard import badges, cookies, front, static
from hub.web.dashboard.visit import Visit, runtime, somebody

NAVIGATION_WORDS: Mapping[str, str] = {
    "home": "Home",
    "deliveries": "Deliveries",
    "quarantine": "Quarantine",
    "orders": "Orders",
    "members": "Members",
    "programme": "Programme",
    "channels": "Channels",
}
LANGUAGE_NAMES: Mapping[str, str] = {"en": "English", "vi": "Tiếng Việt"}
"""Each in its own language, for whoever cannot read the present one."""

_NAVIGATION: tuple[tuple[str, str, Right], ...] = (
    ("home", "home", "look"),
    ("deliveries", "messages", "look"),
    ("quarantine", "shield-lock", "look"),
    ("orders", "receipt", "look"),
    ("members", "users", "members"),
    ("programme", "scale", "look"),
    ("channels", "plug-connected", "look"),
)
"""Endpoint, icon, and the right without which it is not shown."""


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of the navigation."""

    endpoint: str
    icon: str
    label: str
    here: bool


def install(app: Flask) -> None:
    """Give templates what they may call."""
    environment = app.jinja_env
    environment.undefined = StrictUndefined  # a name that is not there is a mistake, not nothing
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.globals.update(
        _=gettext,
        ngettext=ngettext,
        asset=static.address,
        badge=badges.badge,
        delivery_badge=badges.of_delivery,
        entrance=front.entrance,
        language=i18n.language,
        languages=LANGUAGE_NAMES,
        now=lambda: runtime().clock(),
        role_words=ROLE_WORDS,
        theme=lambda: cookies.theme(request),
    )
    environment.filters.update(
        number=words.number, points=words.points, money=words.money, day=day, moment=moment
    )
    app.context_processor(_surroundings)


def gettext(message: str, /, **values: Any) -> str:
    """`hub.i18n.gettext` for templates. A value that is Markup (a link) stays so; all others are
    escaped, here or where the whole is put out."""
    text = i18n.gettext(message)
    return _filled(text, values)


def ngettext(one: str, many: str, number: int, /, **values: Any) -> str:
    """`hub.i18n.ngettext` for templates."""
    return _filled(i18n.ngettext(one, many, number), values)


def day(value: datetime) -> str:
    """The day in the program's time zone."""
    return words.day(value, zone())


def moment(value: datetime | None) -> Markup:
    """How long ago, with the exact time in the program's zone in the title."""
    if value is None:
        return Markup("")
    return Markup('<time datetime="{iso}" title="{exact}">{ago}</time>').format(
        iso=value.isoformat(),
        exact=words.exact(value, zone()),
        ago=words.ago(value, runtime().clock(), zone()),
    )


def zone() -> str:
    """The time zone of the program that is looked at."""
    found: Visit | None = g.get("visit")
    return found.program.time_zone if found else "UTC"


def _filled(text: str, values: Mapping[str, Any]) -> str:
    return escape(text).format(**values) if values else text


def _surroundings() -> dict[str, Any]:
    """What the frame of every page shows; nothing here may need the database unless somebody is
    known to be here."""
    here: Visit | None = g.get("visit")
    return {
        "visit": here,
        "address_here": request.full_path.rstrip("?") if request.method == "GET" else "",
        "navigation": _navigation(here) if here else [],
        "programs_of": _programs,
        "user_here": somebody,
    }


def _navigation(here: Visit) -> list[Place]:
    present = (request.endpoint or "").removeprefix("dashboard.")
    return [
        Place(f"dashboard.{name}", icon, i18n.gettext(NAVIGATION_WORDS[name]), _is_in(name, present))
        for name, icon, right in _NAVIGATION
        if here.may(right) and f"dashboard.{name}" in current_app.view_functions
    ]


def _is_in(area: str, endpoint: str) -> bool:
    """Views of one thing begin like the list they belong to: `delivery`, `deliveries_replay`."""
    stem = area.removesuffix("ies") if area.endswith("ies") else area.removesuffix("s")
    return endpoint == area or (area != "home" and endpoint.startswith(stem))


def _programs() -> list[store.Membership]:
    """The programs of whoever is here, for the switcher."""
    user = somebody()
    if user is None:
        return []
    with runtime().sessions() as session:
        return store.memberships(session, user.id)
