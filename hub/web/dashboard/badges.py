"""States as colour, icon and word. Colour means one thing: red needs a person, amber is being
retried, blue waits for something named, green is done, grey was left alone on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hub.i18n import gettext as _


@dataclass(frozen=True, slots=True)
class Badge:
    """How a state is shown."""

    colour: str
    """red, amber, blue, green or grey."""
    icon: str
    word: str


BADGE_WORDS: Mapping[str, str] = {
    "failed": "Failed",
    "parked": "Set aside",
    "retried": "Being retried",
    "waiting": "Waiting",
    "due": "In the queue",
    "working": "Being processed",
    "done": "Done",
    "ignored": "Ignored",
    "superseded": "Overtaken",
    "no_change": "No change",
    "settled": "Settled",
    "paused": "Paused",
    "silent": "Silent",
    "well": "Well",
    "down": "Not answering",
    "disconnected": "Disconnected",
}

_LOOKS: Mapping[str, tuple[str, str]] = {
    "failed": ("red", "alert-triangle"),
    "parked": ("red", "inbox"),
    "retried": ("amber", "refresh"),
    "waiting": ("blue", "hourglass"),
    "due": ("blue", "clock"),
    "working": ("blue", "progress"),
    "done": ("green", "circle-check"),
    "ignored": ("grey", "eye-off"),
    "superseded": ("grey", "stack-2"),
    "no_change": ("grey", "checks"),
    "settled": ("grey", "square-check"),
    "paused": ("grey", "player-pause"),
    "silent": ("red", "bell"),
    "well": ("green", "circle-check"),
    "down": ("amber", "plug-x"),
    "disconnected": ("grey", "plug"),
}


def badge(name: str) -> Badge:
    """The badge of one of the names above."""
    colour, icon = _LOOKS[name]
    return Badge(colour, icon, _(BADGE_WORDS[name]))


def of_delivery(row: Mapping[str, Any]) -> Badge:
    """The badge of a message, from `state`, `outcome` and `code` of its row."""
    state, outcome = row["state"], row["outcome"]
    if state == "due" and row["code"]:
        return badge("retried")
    if state == "done" and outcome in ("ignored", "superseded", "no_change"):
        return badge(outcome)
    return badge(state)
