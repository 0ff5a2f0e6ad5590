"""Connecting a shop, step by step: what to connect, how, what the shop says, the first order.

Where a platform lets the hub in by itself, the person leaves for the shop and comes back to
`/connect/<kind>/return`; what the shop's own server says comes to `hub.web.callbacks`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from flask import abort, flash, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from hub import connect, handshakes, words
from hub.bulk import run
from hub.connector import Brought, Connector, Way
from hub.errors import Fault
from hub.handshakes import Begun, Ended, Unknown
from hub.i18n import gettext as _
from hub.outbox import channels as store
from hub.outbox import connections
from hub.outbox.channels import Channel, Handle
from hub.secrets import SecretsError
from hub.sync import backfills, health, watch
from hub.web.dashboard import channel_form as form
from hub.web.dashboard.cards import card, label_of, words_of
from hub.web.dashboard.headers import is_https
from hub.web.dashboard.visit import action, everywhere, find_visit, page, runtime, somebody, visit

_COOKIE = "hub_connect_"
_LONGEST_QUERY = 50

# --- what, and how -------------------------------------------------------------------------------


@page("/channel-kinds", "own")
def channel_kinds() -> str:
    """What can be connected."""
    kinds = [(kind, label_of(kind)) for kind in form.kinds()]
    return render_template("channels/kinds.html", kinds=kinds)


@page("/channel-kinds/<kind>", "own")
def channel_new(kind: str) -> str:
    """How to connect it; where there is one way only, its form."""
    connector = form.kind_of(kind)
    if not connector.ways:
        return form.drawn(connector, None, name="", given=connector.suggested(), errors={})
    ways = [(way, *form.words_of_way(connector, way), _is_open(way)) for way in connector.ways]
    ways.sort(key=lambda one: not one[3])
    return render_template("channels/ways.html", kind=kind, label=label_of(kind), ways=ways, its=None)


@action("/channel-kinds/<kind>", "own")
def channel_add(kind: str) -> tuple[str, int] | Response:
    """Check and store a channel all of whose settings were entered."""
    return _add(form.kind_of(kind), None)


@page("/channel-kinds/<kind>/<way>", "own")
def channel_way(kind: str, way: str) -> str:
    """The form of one way."""
    connector = form.kind_of(kind)
    chosen = _way(connector, way)
    return form.drawn(
        connector, None, name="", given=connector.suggested(), errors=_closed(chosen), way=chosen
    )


@action("/channel-kinds/<kind>/<way>", "own")
def channel_way_add(kind: str, way: str) -> tuple[str, int] | Response:
    """Connect with what was entered, or show the way to the shop."""
    connector = form.kind_of(kind)
    chosen = _way(connector, way)
    return _add(connector, chosen) if chosen.answered_by == "nobody" else _begin_new(connector, chosen)


def _add(connector: type[Connector], way: Way | None) -> tuple[str, int] | Response:
    name, given = form.text("name").strip(), form.given_in(connector, way)
    errors = form.errors_in(connector, name, given, way)
    if not errors:
        made_up = connector.suggested() if way else {}  # what a way does not ask for, the hub makes up
        settings = {**made_up, **{at: value for at, value in given.items() if value}}
        try:
            with runtime().sessions.begin() as session:
                added = connect.add_channel(
                    session, runtime(), program_id=visit().program.id, kind=connector.kind, name=name,
                    settings=settings, actor=visit().actor,
                )  # fmt: skip
        except Fault as fault:
            errors = form.worded(fault, connector)
        else:
            return _welcome(added)
    return form.drawn(connector, None, name=name, given=given, errors=errors, way=way), 422


def _way(connector: type[Connector], name: str) -> Way:
    found = handshakes.way_of(connector, name)
    if found is None:
        abort(404)
    return found


def _is_open(way: Way) -> bool:
    """Whether the platform could reach this hub."""
    return not way.needs_tls or runtime().settings.public_url.startswith("https://")


def _closed(way: Way) -> dict[str, str]:
    return {} if _is_open(way) else {"": words.of_fault("needs_tls", "merchant", None)}


# --- leaving for the shop ------------------------------------------------------------------------


def _begin_new(connector: type[Connector], way: Way) -> tuple[str, int] | Response:
    name, given = form.text("name").strip(), form.given_in(connector, way)
    errors = form.errors_in(connector, name, given, way)
    if not errors:
        try:
            with runtime().sessions.begin() as session:
                begun = handshakes.begin(
                    session, runtime(), program=visit().program, kind=connector.kind, way=way.name,
                    name=name, settings=given, actor=visit().actor,
                )  # fmt: skip
        except Fault as fault:
            errors = form.worded(fault, connector)
        else:
            return _to_the_shop(connector, begun, name)
    return form.drawn(connector, None, name=name, given=given, errors=errors, way=way), 422


@page("/channels/<channel>/reconnect", "own")
def channel_reconnect(channel: str) -> str:
    """The ways to connect a channel's shop again; its orders and members stay with it."""
    its = form.found_open(channel)
    connector = form.kind_of(its.kind)
    ways = [(way, *form.words_of_way(connector, way), _is_open(way)) for way in connector.ways]
    return render_template(
        "channels/ways.html", kind=its.kind, label=label_of(its.kind), ways=ways, its=its
    )


@action("/channels/<channel>/reconnect/<way>", "own")
def channel_reconnect_by(channel: str, way: str) -> Response:
    """Ask the shop anew, with the settings that are stored."""
    its = form.found_open(channel)
    connector = form.kind_of(its.kind)
    settings = {**json.loads(its.settings), **_secrets(its)}
    asked = {name: settings.get(name, "") for name in form.names_of(connector, _way(connector, way))}
    try:
        with runtime().sessions.begin() as session:
            begun = handshakes.begin(
                session, runtime(), program=visit().program, kind=its.kind, way=way, name=its.name,
                settings=asked, actor=visit().actor, channel=its,
            )  # fmt: skip
    except Fault as fault:
        flash("; ".join(form.worded(fault, connector).values()), "danger")
        return redirect(url_for("dashboard.channel_reconnect", channel=its.public_id), 303)
    return _to_the_shop(connector, begun, its.name)


def _secrets(its: Channel) -> dict[str, Any]:
    """What is stored; what no key opens any more is gone, and asked for as missing."""
    try:
        return runtime().secrets.decrypt(its.secrets)
    except SecretsError:
        return {}


def _to_the_shop(connector: type[Connector], begun: Begun, name: str) -> Response:
    """A page with a link: a browser may not be sent on to another host by a form (CSP form-action)."""
    answer = make_response(
        render_template(
            "channels/leave.html", label=label_of(connector.kind), address=begun.address, name=name
        )
    )
    answer.set_cookie(
        _cookie(begun.state),
        begun.state,
        max_age=handshakes.LASTS,
        path="/connect/",
        httponly=True,
        samesite="Lax",
        secure=is_https(runtime()),
    )
    return answer


def _cookie(state: str) -> str:
    """A name for each state, so that two shops may be connected in two windows."""
    return _COOKIE + hashlib.sha256(state.encode("utf-8", "replace")).hexdigest()[:12]


# --- coming back ---------------------------------------------------------------------------------


@everywhere("/connect/<kind>/return", "login")
def came_back(kind: str) -> tuple[str, int] | Response:
    """From the shop. Whoever comes must be the person who left, in the same browser, once."""
    connector = form.kind_or_none(kind)
    pairs = tuple(request.args.items(multi=True))[:_LONGEST_QUERY]
    brought = Brought(pairs, b"", runtime().clock())
    state = connector.state_in(brought) if connector else ""
    kept = request.cookies.get(_cookie(state), "")
    if connector is None or not state or not hmac.compare_digest(kept.encode(), state.encode()):
        return _lost()
    try:
        with runtime().sessions() as session:
            ended = handshakes.ended(session, kind, state, brought.at)
    except Unknown:
        return _lost()
    return _arrived(connector, brought, state, ended)


def _arrived(
    connector: type[Connector], brought: Brought, state: str, ended: Ended
) -> tuple[str, int] | Response:
    slug = _program_of(ended)
    if slug is None:
        return _lost()
    if ended.open:
        return _answered(connector, brought, state, slug, ended)
    if ended.code is not None:
        said = words.of_fault(ended.code, ended.fault, ended.detail, connector.words)
        return _again(slug, ended, said)
    return _to_start(slug, ended.channel) if ended.channel else _lost()


def _answered(
    connector: type[Connector], brought: Brought, state: str, slug: str, ended: Ended
) -> tuple[str, int] | Response:
    """What the browser brought, when nothing else has come."""
    if connector.says_no(brought):
        handshakes.refuse(runtime(), connector.kind, state)
        return _again(slug, ended, _("The shop was not let in, so nothing was connected."))
    if _way(connector, ended.way).answered_by == "browser":
        return _take(connector, brought, slug, ended)
    missing = _("The shop sent you back, but did not call the hub; look whether it can reach it.")
    return _again(slug, ended, missing)


def _take(
    connector: type[Connector], brought: Brought, slug: str, ended: Ended
) -> tuple[str, int] | Response:
    try:
        added = handshakes.finish(runtime(), connector.kind, brought)
    except Unknown:
        return _lost()
    except Fault as fault:
        said = "; ".join(form.worded(fault, connector).values())
        return _again(slug, ended, said)
    return _to_start(slug, added.public_id)


def _program_of(ended: Ended) -> str | None:
    """The slug of the handshake's program, when the person here began it and may still do so."""
    user = somebody()
    if user is None or user.actor != ended.actor:
        return None
    with runtime().sessions() as session:
        rows = run(session, "SELECT slug FROM programs WHERE id = :id", {"id": ended.program_id})
        found = find_visit(session, user, rows[0].slug)
    return found.program.slug if found is not None and found.may("own") else None


def _again(slug: str, ended: Ended, said: str) -> Response:
    """Why not, and back to where it can be begun anew."""
    flash(said, "danger")
    if ended.channel is not None:
        there = url_for("dashboard.channel_reconnect", program=slug, channel=ended.channel)
    else:
        there = url_for("dashboard.channel_way", program=slug, kind=ended.kind, way=ended.way)
    return redirect(there, 303)


def _to_start(slug: str, channel: str) -> Response:
    """To the next step; what the hub can do in the shop itself is done on the way."""
    user = somebody()
    with runtime().sessions() as session:
        its = store.by_public_id(session, channel)
    if its is not None and user is not None:
        subscribe(its, user.actor)
    return redirect(url_for("dashboard.channel_choose", program=slug, channel=channel), 303)


def _lost() -> tuple[str, int]:
    return render_template("channels/lost.html"), 404


# --- connected: is all well, and the first order --------------------------------------------------


def _welcome(added: Channel) -> Response:
    flash(_("{name} is connected.", name=added.name), "success")
    subscribe(added, visit().actor)
    return redirect(url_for("dashboard.channel_choose", channel=added.public_id), 303)


def subscribe(its: Channel, actor: str) -> None:
    """Have the shop send what the hub needs, where the hub can ask for it; a refusal is said, and can be
    tried again. No transaction is open meanwhile."""
    connector = form.kind_or_none(its.kind)
    if connector is None or "install" not in connector.capabilities():
        return
    try:
        watch.install(runtime(), its, actor=actor)
    except Fault as fault:
        flash(words.of_fault(fault.code, fault.fault, fault.detail, words_of(its.kind)), "danger")


@page("/channels/<channel>/start", "own")
def channel_start(channel: str) -> str:
    """What is left to do until points come from a shop, and what has come already."""
    hub, its = runtime(), form.found_open(channel)
    now = hub.clock()
    with hub.sessions() as session:
        state = next(c for c in health.of_program(session, its.program_id, now) if c.id == its.id)
        first = _first_order(its)
        kept = connections.of_channel(session, its.id)
    connector = form.kind_or_none(its.kind)
    able = connector.capabilities() if connector else frozenset[str]()
    return render_template(
        "channels/start.html",
        its=its,
        label=label_of(its.kind),
        card=card(state, now),
        has_sent=state.state != "new",
        first=first,
        can_test="health" in able,
        can_install="install" in able,
        installed=kept is not None and kept.installed_at is not None,
        has_history=connector is not None and backfills.can(connector),
        guide=[_(step) for step in connector.guide] if connector else [],
        address=Handle(hub, its).webhook_url,
    )


def _first_order(its: Channel) -> object | None:
    """The latest order of the channel, with the member and the points it gave."""
    with runtime().sessions() as session:
        rows = run(
            session,
            """SELECT t.public_id, t.number, t.external_id, t.points, t.state, m.public_id AS member,
                      m.name AS member_name
               FROM transactions t LEFT JOIN members m ON m.id = t.member_id
               WHERE t.channel_id = :channel ORDER BY coalesce(t.placed_at, t.created_at) DESC, t.id DESC LIMIT 1""",
            {"channel": its.id},
        )
    return rows[0] if rows else None
