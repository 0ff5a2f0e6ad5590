"""Channels: how each is; changing, testing, pausing and leaving one. `connecting` brings new ones."""

from __future__ import annotations

import json
from collections.abc import Callable

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from hub import connect, words
from hub.bulk import run
from hub.errors import Fault
from hub.i18n import gettext as _
from hub.outbox import channels as store
from hub.outbox.channels import Channel, Handle
from hub.sync import health, quarantine
from hub.web.dashboard import backfilling, keeping
from hub.web.dashboard import channel_form as form
from hub.web.dashboard.cards import card, label_of, words_of
from hub.web.dashboard.visit import action, page, runtime, visit

# --- looking -------------------------------------------------------------------------------------


@page("/channels", "look")
def channels() -> str:
    """All channels, the worst first."""
    hub, here = runtime(), visit()
    now = hub.clock()
    with hub.sessions() as session:
        found = health.of_program(session, here.program.id, now)
        gone = run(
            session,
            """SELECT public_id, kind, name FROM channels
               WHERE program_id = :program AND status = 'disconnected' ORDER BY name""",
            {"program": here.program.id},
        )
    cards = [card(channel, now) for channel in found]
    return render_template(
        "channels/list.html", cards=cards, gone=[(row, label_of(row.kind)) for row in gone]
    )


@page("/channels/<channel>", "look")
def channel(channel: str) -> str:
    """One channel: how it is, its address, what to do in the shop."""
    hub, its = runtime(), form.found(channel)
    now = hub.clock()
    with hub.sessions() as session:
        state = [c for c in health.of_program(session, its.program_id, now) if c.id == its.id]
        row = run(
            session,
            "SELECT created_at, shop_identity, last_change.at AS changed_at FROM channels LEFT JOIN LATERAL ("
            " SELECT max(at) AS at FROM audit WHERE program_id = :program AND subject = public_id"
            " AND action = 'channel.changed') last_change ON true WHERE id = :id",
            {"id": its.id, "program": its.program_id},
        )[0]
        held = quarantine.of_channel(session, its)
        keeping_ = keeping.of_channel(session, its) if its.status != "disconnected" else None
    connector = form.kind_or_none(its.kind)
    return render_template(
        "channels/one.html",
        its=its,
        row=row,
        card=card(state[0], now) if state else None,
        kind=label_of(its.kind),
        guide=[_(step) for step in connector.guide] if connector else [],
        address=Handle(hub, its).webhook_url,
        can_test=connector is not None and "health" in connector.capabilities(),
        can_push=connector is not None and "push" in connector.capabilities(),
        can_reconnect=connector is not None and any(w.answered_by != "nobody" for w in connector.ways),
        held=len(held),
        keeping=keeping_,
        has_history=backfilling.offered(its),
        verifying=sum(c.ending == "enters" for c in quarantine.check(hub, its, held)),
    )


# --- changing ------------------------------------------------------------------------------------


@page("/channels/<channel>/settings", "own")
def channel_settings(channel: str) -> str:
    """The form for what may be changed."""
    its = form.found_open(channel)
    return form.drawn(
        form.kind_of(its.kind), its, name=its.name, given=json.loads(its.settings), errors={}
    )


@action("/channels/<channel>/settings", "own")
def channel_change(channel: str) -> tuple[str, int] | Response:
    """Check and store it; an empty secret keeps the stored one."""
    its = form.found_open(channel)
    connector = form.kind_of(its.kind)
    given = form.given_in(connector)
    changes = {k: v for k, v in given.items() if v or not form.is_secret(connector, k)}
    changes |= {name: "" for name in request.form.getlist("forget") if form.is_secret(connector, name)}
    try:
        with runtime().sessions.begin() as session:
            connect.change_channel(session, runtime(), its, changes, actor=visit().actor)
    except Fault as fault:
        errors = form.worded(fault, connector)
        return form.drawn(connector, its, name=its.name, given=given, errors=errors), 422
    flash(_("The settings are changed. Messages are checked with them within five seconds."), "success")
    return redirect(url_for("dashboard.channel", channel=its.public_id), 303)


# --- what an owner does with one -----------------------------------------------------------------


@action("/channels/<channel>/test", "own")
def channel_test(channel: str) -> Response:
    """Ask the shop whether the connection is well. No transaction is open meanwhile."""
    its = form.found_open(channel)
    own = words_of(its.kind)
    try:
        found = store.connector_of(runtime(), its).health()
    except Fault as fault:
        flash(words.of_fault(fault.code, fault.fault, fault.detail, own), "danger")
    else:
        sentence = words.of_fault(found.code, None, found.detail, own)
        flash(sentence, "success" if found.ok else "danger")
    there = "channel_start" if request.form.get("back") == "start" else "channel"
    return redirect(url_for(f"dashboard.{there}", channel=its.public_id), 303)


@action("/channels/<channel>/pause", "own")
def channel_pause(channel: str) -> Response:
    """Stop pushing."""
    return _deed(
        form.found_open(channel), connect.pause, _("It is paused. What it sends is still taken.")
    )


@action("/channels/<channel>/resume", "own")
def channel_resume(channel: str) -> Response:
    """Push again."""
    return _deed(form.found_open(channel), connect.resume, _("It is resumed. What waited goes out now."))


@page("/channels/<channel>/disconnect", "own")
def channel_leave(channel: str) -> str:
    """What disconnecting would mean, before it is done."""
    its = form.found_open(channel)
    with runtime().sessions() as session:
        row = run(
            session,
            """SELECT (SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE channel_id = :id
                          AND direction = 'outbound' AND state = 'due' LIMIT 1001) q) AS waiting,
                      (SELECT count(*) FROM (SELECT 1 FROM voucher_channels v JOIN vouchers o ON o.id = v.voucher_id
                          WHERE v.channel_id = :id AND v.state = 'live' AND o.state = 'live' LIMIT 1001) q) AS codes""",
            {"id": its.id},
        )[0]
    connector = form.kind_or_none(its.kind)
    return render_template(
        "channels/disconnect.html",
        its=its,
        waiting=row.waiting,
        codes=row.codes,
        proves=bool(connector and connector.app_secrets),
    )


@action("/channels/<channel>/disconnect", "own")
def channel_disconnect(channel: str) -> Response:
    """Disconnect it; there is no way back."""
    its = form.found_open(channel)
    with runtime().sessions.begin() as session:
        connect.disconnect(session, runtime(), its, actor=visit().actor)
    flash(_("{name} is disconnected. Its orders and points stay.", name=its.name), "success")
    return redirect(url_for("dashboard.channels"), 303)


def _deed(its: Channel, deed: Callable[..., None], said: str) -> Response:
    with runtime().sessions.begin() as session:
        deed(session, its, actor=visit().actor)
    flash(said, "success")
    return redirect(url_for("dashboard.channel", channel=its.public_id), 303)
