"""A channel in a sentence: how it is, whose move it is, and what to press."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import current_app, url_for

from hub import words
from hub.i18n import gettext as _
from hub.i18n import ngettext
from hub.registry import UnknownConnector
from hub.sync.health import ChannelHealth, Pace
from hub.web.dashboard.badges import Badge
from hub.web.dashboard.visit import runtime, visit

_BADGES: Mapping[str, tuple[str, str, str]] = {
    "refused": ("red", "key", "refused"),
    "unsigned": ("red", "shield-x", "unsigned"),
    "failing": ("red", "alert-triangle", "failed"),
    "silent": ("red", "bell", "silent"),
    "down": ("amber", "plug-x", "down"),
    "paused": ("grey", "player-pause", "paused"),
    "new": ("blue", "hourglass", "new"),
    "well": ("green", "circle-check", "well"),
}
STATE_WORDS: Mapping[str, str] = {
    "refused": "Refuses us",
    "unsigned": "Wrong signature",
    "failed": "Has failures",
    "silent": "Silent",
    "down": "Not answering",
    "paused": "Paused",
    "new": "Waits for its first message",
    "well": "Well",
}


@dataclass(frozen=True, slots=True)
class Step:
    """What to press next."""

    label: str
    address: str


@dataclass(frozen=True, slots=True)
class Card:
    """One channel in a sentence."""

    channel: ChannelHealth
    kind: str
    badge: Badge
    sentence: str
    steps: Sequence[Step]
    pace: str = ""
    """How the day goes; "" where nothing is to be said of it."""


def card(channel: ChannelHealth, now: datetime, pace: Pace | None = None) -> Card:
    """The card of a channel, as home and the list of channels show it; home also tells its pace."""
    colour, icon, word = _BADGES[channel.state]
    own = words_of(channel.kind)
    return Card(
        channel,
        label_of(channel.kind),
        Badge(colour, icon, _(STATE_WORDS[word])),
        _SAYINGS[channel.state](channel, now, own),
        _steps(channel),
        _pace(pace) if pace else "",
    )


def _pace(pace: Pace) -> str:
    orders = ngettext("{n} order today", "{n} orders today", pace.today, n=words.number(pace.today))
    if pace.usual is None:
        return f"{orders}."
    return _("{orders}; usually about {n} by now.", orders=orders, n=words.number(round(pace.usual)))


def label_of(kind: str) -> str:
    """The name people know a kind of channel by."""
    try:
        return _(runtime().connector_class(kind).label)
    except UnknownConnector:
        return kind


def words_of(kind: str) -> Mapping[str, str]:
    """What a connector's codes mean; nothing for a kind that is not there any more."""
    try:
        return runtime().connector_class(kind).words
    except UnknownConnector:
        return {}


Saying = Callable[[ChannelHealth, datetime, Mapping[str, str]], str]


def _failing(channel: ChannelHealth, _now: datetime, own: Mapping[str, str]) -> str:
    count = channel.failing
    waits = ngettext(
        "{n} delivery needs a person.", "{n} deliveries need a person.", count, n=words.number(count)
    )
    group = channel.group
    why = words.of_fault(group.code, group.fault, group.detail, own) if group else ""
    return _("{why} {waits} Nothing is lost.", why=why, waits=waits).strip()


def _unsigned(channel: ChannelHealth, _now: datetime, _own: Mapping[str, str]) -> str:
    count = ngettext(
        "{n} message in the last 24 hours had a wrong signature and is kept apart.",
        "{n} messages in the last 24 hours had a wrong signature and are kept apart.",
        channel.unsigned,
        n=words.number(channel.unsigned),
    )
    return count + " " + _("Correct the channel's secret, then have them checked again.")


def _silent(channel: ChannelHealth, now: datetime, _own: Mapping[str, str]) -> str:
    if channel.rhythm is None:
        return ""
    since = _(
        "No order since {time}; usually one comes about every {interval} at this hour.",
        time=words.clock(channel.rhythm.last, now, visit().program.time_zone),
        interval=words.duration(channel.rhythm.interval(now)),
    )
    return since + " " + _("Look whether the shop still sends its webhooks.")


def _down(channel: ChannelHealth, now: datetime, own: Mapping[str, str]) -> str:
    why = words.of_fault(channel.down_code or "", "channel", channel.down_detail, own)
    if channel.down_until is None:
        return why
    next_try = words.clock(channel.down_until, now, visit().program.time_zone)
    return _("{why} Next try at {time}. Nothing is lost.", why=why, time=next_try)


def _paused(_channel: ChannelHealth, _now: datetime, _own: Mapping[str, str]) -> str:
    return _("Nothing is sent to it until somebody resumes it. What it sends is still taken.")


def _new(channel: ChannelHealth, _now: datetime, _own: Mapping[str, str]) -> str:
    try:
        subscribes = "install" in runtime().connector_class(channel.kind).capabilities()
    except UnknownConnector:
        subscribes = False
    if subscribes:
        return _("Nothing has come yet. Make a small order in the shop; it appears here within seconds.")
    return _("Nothing has come yet. Enter its webhook address in the shop, then make a small order.")


def _well(channel: ChannelHealth, now: datetime, _own: Mapping[str, str]) -> str:
    if channel.last_order is None:
        return _("It sends; no order yet.")
    return _("Last order: {ago}.", ago=words.ago(channel.last_order, now, visit().program.time_zone))


_SAYINGS: Mapping[str, Saying] = {
    "refused": _failing,
    "unsigned": _unsigned,
    "failing": _failing,
    "silent": _silent,
    "down": _down,
    "paused": _paused,
    "new": _new,
    "well": _well,
}


def _steps(channel: ChannelHealth) -> list[Step]:
    """The one or two things that help."""
    found = []
    settings = _address("channel", channel=channel.public_id)
    if channel.state in ("refused", "unsigned", "new", "silent", "paused") and settings:
        label = _("Open the channel") if channel.state != "refused" else _("Correct its settings")
        found.append(Step(label, settings))
    again = _address("channel_reconnect", channel=channel.public_id)
    if channel.state == "refused" and again and _can_reconnect(channel.kind):
        found.append(Step(_("Connect the shop again"), again))
    if channel.state in ("refused", "failing"):
        there = list_address(channel=channel.public_id, state=["failed", "parked"])
        n = words.number(channel.failing)
        label = ngettext("See the delivery", "See the {n} deliveries", channel.failing, n=n)
        found.append(Step(label, there))
    if channel.state == "unsigned":
        there = _address("quarantine", channel=channel.public_id)
        found.append(Step(_("See what was kept apart"), there))
    if channel.state == "down" and channel.waiting:
        there = list_address(channel=channel.public_id, direction="outbound", state=["due", "retrying"])
        found.append(Step(_("See what waits"), there))
    return [step for step in found if step.address]


def _can_reconnect(kind: str) -> bool:
    try:
        return any(w.answered_by != "nobody" for w in runtime().connector_class(kind).ways)
    except UnknownConnector:
        return False


def list_address(**filters: str | list[str]) -> str:
    """The list of deliveries, narrowed down; "" while this hub has no such page."""
    return _address("deliveries", **filters)


def _address(endpoint: str, **values: str | list[str]) -> str:
    """The address of a page; "" while this hub has no such page."""
    name = f"dashboard.{endpoint}"
    return url_for(name, **values) if name in current_app.view_functions else ""  # type: ignore[arg-type]
