"""Home: is everything all right, what did the day bring, and what needs a person?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import abort, redirect, render_template, url_for
from werkzeug.wrappers import Response

from hub import alerts, words
from hub.alerts import Alert
from hub.desk import telling
from hub.i18n import gettext as _
from hub.i18n import ngettext
from hub.outbox import browse
from hub.outbox.browse import Group
from hub.sync import day, health
from hub.sync.day import Day
from hub.sync.health import ChannelHealth
from hub.web.dashboard.badges import Badge, badge
from hub.web.dashboard.cards import card, list_address, words_of
from hub.web.dashboard.visit import action, page, runtime, visit

_GROUPS_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Trouble:
    """One group of failures in a sentence."""

    group: Group
    badge: Badge
    sentence: str
    count: str
    address: str


@page("/", "look")
def home() -> str:
    """State before numbers, numbers before tables."""
    hub, here = runtime(), visit()
    now = hub.clock()
    with hub.sessions() as session:
        groups = browse.groups(session, here.program.id)
        channels = health.of_program(session, here.program.id, now, groups)
        start, end = day.bounds(now, here.program.time_zone)
        today = day.of_day(session, here.program.id, start, end)
        told = alerts.unsettled(session, here.program.id)
        said = telling.sentences(session, told, words_of)
        paces = health.paces(session, [channel.id for channel in channels], start, now)
    troubles = [trouble(group) for group in _worst_first(groups)[:_GROUPS_SHOWN]]
    return render_template(
        "home.html",
        cards=[card(channel, now, paces[channel.id]) for channel in channels],
        headline=_headline(channels, *_counts(told)),
        alerts=[pair for pair in zip(told, said, strict=True) if not telling.is_of_channel(pair[0])],
        told_of_channels=[
            pair for pair in zip(told, said, strict=True) if telling.is_of_channel(pair[0])
        ],
        numbers=_numbers(today),
        today=words.day(now, here.program.time_zone),
        troubles=troubles,
        more=max(0, len(groups) - _GROUPS_SHOWN),
    )


def trouble(group: Group) -> Trouble:
    """A group of failures as home lists it."""
    return Trouble(
        group,
        badge("retried" if group.retrying else "failed"),
        words.of_fault(group.code, group.fault, group.detail, words_of(group.kind)),
        words.number(group.count) if group.exact else _("more than {n}", n=words.number(group.count)),
        list_address(
            channel=group.channel_public_id,
            code=group.code,
            direction=group.direction,
            state=["retrying"] if group.retrying else ["failed", "parked"],
        ),
    )


@action("/alerts/<alert>/settle", "own")
def settle_alert(alert: str) -> Response:
    """Somebody has looked at it."""
    with runtime().sessions.begin() as session:
        found = alerts.settle(
            session, visit().program.id, alert, actor=visit().actor, now=runtime().clock()
        )
    if not found:
        abort(404)
    return redirect(url_for("dashboard.home"), 303)


def _counts(told: Sequence[Alert]) -> tuple[int, int]:
    """How many alerts are about tills, and how many about connections."""
    of_channels = sum(telling.is_of_channel(alert) for alert in told)
    return len(told) - of_channels, of_channels


def _headline(
    channels: Sequence[ChannelHealth], told: int, of_channels: int
) -> tuple[str, Badge | None]:
    """The first sentence, and its colour."""
    ill = [c for c in channels if c.state in health.NEEDS_A_PERSON]
    if ill:
        n = len(ill)
        many = ngettext("{n} channel needs a person.", "{n} channels need a person.", n, n=n)
        return many, badge("failed")
    if of_channels:
        many = ngettext(
            "{n} connection needs a look.",
            "{n} connections need a look.",
            of_channels,
            n=of_channels,
        )
        return many, badge("failed")
    if told:
        many = ngettext(
            "{n} thing at the tills needs a person.",
            "{n} things at the tills need a person.",
            told,
            n=told,
        )
        return many, badge("failed")
    down = [c for c in channels if c.state == "down"]
    if down:
        n = len(down)
        text = ngettext(
            "{n} channel does not answer; it is asked again by itself.",
            "{n} channels do not answer; they are asked again by themselves.",
            n,
            n=n,
        )
        return text, badge("down")
    well = [c for c in channels if c.state == "well"]
    if channels and len(well) == len(channels):
        n = len(well)
        return ngettext("The channel is well.", "All {n} channels are well.", n, n=n), badge("well")
    return _("Nothing needs you."), badge("well")


def _numbers(today: Day) -> str:
    """ "41 orders today, 1.240 points given, 3 codes used.\""""
    n = words.number
    orders = ngettext("{n} order today", "{n} orders today", today.orders, n=n(today.orders))
    points = ngettext("{n} point given", "{n} points given", today.points, n=n(today.points))
    codes = ngettext("{n} code used", "{n} codes used", today.codes, n=n(today.codes))
    if not today.exact:
        return _("More than {orders}, {points}, {codes}.", orders=orders, points=points, codes=codes)
    return _("{orders}, {points}, {codes}.", orders=orders, points=points, codes=codes)


def _worst_first(groups: Sequence[Group]) -> list[Group]:
    """Those that need a person first, the largest first."""
    return sorted(groups, key=lambda g: (g.retrying, -g.count, g.code))
