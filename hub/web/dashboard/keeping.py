"""How a channel's connection is kept, on its page: when the shop was last asked, what that found, and asking now."""

from __future__ import annotations

from dataclasses import dataclass

from flask import abort, flash, redirect, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from hub import alerts, words
from hub.desk import connections as sayings
from hub.desk import telling
from hub.errors import Fault
from hub.i18n import gettext as _
from hub.outbox import channels as store
from hub.outbox import connections
from hub.outbox.channels import Channel
from hub.registry import UnknownConnector
from hub.sync import reconcile, silence, watch
from hub.web.dashboard.cards import words_of
from hub.web.dashboard.visit import action, runtime, visit


@dataclass(frozen=True, slots=True)
class Keeping:
    """What the page says of it."""

    can_ask: bool
    can_install: bool
    asked: str
    upto: str
    """How far, in words; "" before it was ever asked."""
    missed: str
    trouble: str
    """Why asking failed last; "" when it did not."""
    usual: str
    """How often something comes at this hour; "" while too little is known."""
    installed: bool
    told: list[str]
    """Open alerts about it, in a sentence each."""


def of_channel(session: Session, its: Channel) -> Keeping | None:
    """None for a channel that can neither be asked nor subscribed to."""
    try:
        connector = runtime().connector_class(its.kind)
    except UnknownConnector:
        return None
    able = connector.capabilities()
    if not {"reconcile", "install"} & able:
        return None
    now, zone = runtime().clock(), visit().program.time_zone
    kept = connections.of_channel(session, its.id)
    quiet = silence.quiet(session, its.id, now, zone)
    open_ = [one for one in alerts.unsettled(session, its.program_id) if one.subject == its.public_id]
    return Keeping(
        reconcile.can(connector),
        "install" in able,
        sayings.asked(kept, now, zone),
        words.moment(kept.upto, zone) if kept and kept.upto else "",
        sayings.missed(kept),
        words.of_fault(kept.ask_code, "channel", kept.ask_detail, connector.words)
        if kept and kept.ask_code
        else "",
        sayings.usual(quiet),
        kept is not None and kept.installed_at is not None,
        telling.sentences(session, open_, words_of),
    )


@action("/channels/<channel>/ask", "own")
def channel_ask(channel: str) -> Response:
    """Have it asked what changed: the sweeper does so within seconds, this request does not wait."""
    its = _open(channel)
    with runtime().sessions.begin() as session:
        connections.ensure(session, its.id)
        connections.ask_soon(session, its.id, runtime().clock())
    flash(
        _("The shop is being asked. What it has that the hub lacks appears here in a moment."), "success"
    )
    return redirect(url_for("dashboard.channel", channel=its.public_id), 303)


@action("/channels/<channel>/subscribe", "own")
def channel_subscribe(channel: str) -> Response:
    """Subscribe in the shop to everything the hub needs. No transaction is open meanwhile."""
    its = _open(channel)
    if "install" not in store.connector_of(runtime(), its).capabilities():
        abort(404)
    try:
        did = watch.install(runtime(), its, actor=visit().actor)
    except Fault as fault:
        flash(words.of_fault(fault.code, fault.fault, fault.detail, words_of(its.kind)), "danger")
    else:
        new, there = len(did.made) + len(did.mended), len(did.kept)
        flash(
            _("Subscribed to {new} topics; {there} were there already.", new=new, there=there), "success"
        )
    there_ = "channel_start" if request.form.get("back") == "start" else "channel"
    return redirect(url_for(f"dashboard.{there_}", channel=its.public_id), 303)


def _open(public_id: str) -> Channel:
    with runtime().sessions() as session:
        its = store.by_public_id(session, public_id)
    if its is None or its.program_id != visit().program.id or its.status == "disconnected":
        abort(404)
    return its
