"""Channels: how each is; connecting one by pasting credentials, changing, testing, pausing it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from marshmallow import Schema, fields
from werkzeug.wrappers import Response

from hub import connect, words
from hub.bulk import run
from hub.connector import Connector
from hub.errors import Fault
from hub.i18n import gettext as _
from hub.outbox import channels as store
from hub.outbox.channels import Channel, Handle
from hub.registry import CONNECTORS, UnknownConnector
from hub.secrets import SecretsError
from hub.sync import health, quarantine
from hub.web.dashboard.cards import card, label_of, words_of
from hub.web.dashboard.visit import action, page, runtime, visit

_LONGEST = 5_000


@dataclass(frozen=True, slots=True)
class Field:
    """One setting as a form shows it."""

    name: str
    label: str
    hint: str
    value: str
    error: str
    required: bool
    hidden: bool
    """A secret: never shown again once it is stored."""
    stored: bool
    """There is a secret already; an empty field keeps it."""
    folded: bool


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
    hub, its = runtime(), _found(channel)
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
    connector = _kind_or_none(its.kind)
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
        held=len(held),
        verifying=sum(c.ending == "enters" for c in quarantine.check(hub, its, held)),
    )


# --- connecting ----------------------------------------------------------------------------------


@page("/channel-kinds", "own")
def channel_kinds() -> str:
    """What can be connected."""
    kinds = [(kind, label_of(kind)) for kind in _kinds()]
    return render_template("channels/kinds.html", kinds=kinds)


@page("/channel-kinds/<kind>", "own")
def channel_new(kind: str) -> str:
    """The form for a new channel, drawn from what its connector says of its settings."""
    connector = _kind(kind)
    return _form(connector, None, name="", given=connector.suggested(), errors={})


@action("/channel-kinds/<kind>", "own")
def channel_add(kind: str) -> tuple[str, int] | Response:
    """Check and store it."""
    connector, here = _kind(kind), visit()
    name, given = _text("name").strip(), _given(connector)
    errors = _errors(connector, name, given)
    if not errors:
        try:
            with runtime().sessions.begin() as session:
                added = connect.add_channel(
                    session, runtime(), program_id=here.program.id, kind=kind, name=name,
                    settings={at: value for at, value in given.items() if value}, actor=here.actor,
                )  # fmt: skip
        except Fault as fault:
            errors = _worded(fault, connector)
        else:
            flash(_("{name} is connected. Now enter its address in the shop.", name=name), "success")
            return redirect(url_for("dashboard.channel", channel=added.public_id), 303)
    return _form(connector, None, name=name, given=given, errors=errors), 422


@page("/channels/<channel>/settings", "own")
def channel_settings(channel: str) -> str:
    """The form for what may be changed."""
    its = _open(channel)
    return _form(_kind(its.kind), its, name=its.name, given=json.loads(its.settings), errors={})


@action("/channels/<channel>/settings", "own")
def channel_change(channel: str) -> tuple[str, int] | Response:
    """Check and store it; an empty secret keeps the stored one."""
    its = _open(channel)
    connector = _kind(its.kind)
    given = _given(connector)
    changes = {k: v for k, v in given.items() if v or not _is_secret(connector, k)}
    changes |= {name: "" for name in request.form.getlist("forget") if _is_secret(connector, name)}
    try:
        with runtime().sessions.begin() as session:
            connect.change_channel(session, runtime(), its, changes, actor=visit().actor)
    except Fault as fault:
        errors = _worded(fault, connector)
        return _form(connector, its, name=its.name, given=given, errors=errors), 422
    flash(_("The settings are changed. Messages are checked with them within five seconds."), "success")
    return redirect(url_for("dashboard.channel", channel=its.public_id), 303)


# --- what an owner does with one -----------------------------------------------------------------


@action("/channels/<channel>/test", "own")
def channel_test(channel: str) -> Response:
    """Ask the shop whether the connection is well. No transaction is open meanwhile."""
    its = _open(channel)
    own = words_of(its.kind)
    try:
        found = store.connector_of(runtime(), its).health()
    except Fault as fault:
        flash(words.of_fault(fault.code, fault.fault, fault.detail, own), "danger")
    else:
        sentence = words.of_fault(found.code, None, found.detail, own)
        flash(sentence, "success" if found.ok else "danger")
    return redirect(url_for("dashboard.channel", channel=its.public_id), 303)


@action("/channels/<channel>/pause", "own")
def channel_pause(channel: str) -> Response:
    """Stop pushing."""
    return _deed(_open(channel), connect.pause, _("It is paused. What it sends is still taken."))


@action("/channels/<channel>/resume", "own")
def channel_resume(channel: str) -> Response:
    """Push again."""
    return _deed(_open(channel), connect.resume, _("It is resumed. What waited goes out now."))


@page("/channels/<channel>/disconnect", "own")
def channel_leave(channel: str) -> str:
    """What disconnecting would mean, before it is done."""
    its = _open(channel)
    with runtime().sessions() as session:
        row = run(
            session,
            """SELECT (SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE channel_id = :id
                          AND direction = 'outbound' AND state = 'due' LIMIT 1001) q) AS waiting,
                      (SELECT count(*) FROM (SELECT 1 FROM voucher_channels v JOIN vouchers o ON o.id = v.voucher_id
                          WHERE v.channel_id = :id AND v.state = 'live' AND o.state = 'live' LIMIT 1001) q) AS codes""",
            {"id": its.id},
        )[0]
    return render_template("channels/disconnect.html", its=its, waiting=row.waiting, codes=row.codes)


@action("/channels/<channel>/disconnect", "own")
def channel_disconnect(channel: str) -> Response:
    """Disconnect it; there is no way back."""
    its = _open(channel)
    with runtime().sessions.begin() as session:
        connect.disconnect(session, its, actor=visit().actor)
    flash(_("{name} is disconnected. Its orders and points stay.", name=its.name), "success")
    return redirect(url_for("dashboard.channels"), 303)


def _deed(its: Channel, deed: Callable[..., None], said: str) -> Response:
    with runtime().sessions.begin() as session:
        deed(session, its, actor=visit().actor)
    flash(said, "success")
    return redirect(url_for("dashboard.channel", channel=its.public_id), 303)


# --- finding -------------------------------------------------------------------------------------


def _found(public_id: str) -> Channel:
    """The program's channel of that id; 404 for every other."""
    with runtime().sessions() as session:
        its = store.by_public_id(session, public_id)
    if its is None or its.program_id != visit().program.id:
        abort(404)
    return its


def _open(public_id: str) -> Channel:
    """One that is not disconnected: what was is only looked at."""
    its = _found(public_id)
    if its.status == "disconnected":
        abort(404)
    return its


def _kinds() -> Sequence[str]:
    return [*CONNECTORS, *(kind for kind in runtime().settings.connectors if kind not in CONNECTORS)]


def _kind(kind: str) -> type[Connector]:
    found = _kind_or_none(kind)
    if found is None:
        abort(404)
    return found


def _kind_or_none(kind: str) -> type[Connector] | None:
    try:
        return runtime().connector_class(kind)
    except UnknownConnector:
        return None


# --- the form ------------------------------------------------------------------------------------


def _form(
    connector: type[Connector],
    its: Channel | None,
    *,
    name: str,
    given: Mapping[str, Any],
    errors: Mapping[str, str],
) -> str:
    stored = _stored_secrets(its) if its else frozenset()
    drawn = [
        _field(connector, n, f, given, errors, stored, new=its is None) for n, f in _ordered(connector)
    ]
    return render_template(
        "channels/form.html",
        its=its,
        kind=connector.kind,
        label=label_of(connector.kind),
        name=name,
        name_error=errors.get("name", ""),
        other_error="; ".join(
            text for at, text in errors.items() if at not in _schema(connector).fields and at != "name"
        ),
        fields=[f for f in drawn if not f.folded],
        folded=[f for f in drawn if f.folded],
    )


def _field(
    connector: type[Connector],
    name: str,
    field: fields.Field[Any],
    given: Mapping[str, Any],
    errors: Mapping[str, str],
    stored: frozenset[str],
    *,
    new: bool,
) -> Field:
    secret = _is_secret(connector, name)
    label, hint = connector.form.get(name, (name, ""))
    shown = not secret or (new and name in connector.suggested())
    rare = name.startswith("previous_") or name not in connector.form
    return Field(
        name,
        _(label) if name in connector.form else label,
        _(hint) if hint else "",
        str(given.get(name) or "") if shown else "",
        errors.get(name, ""),
        field.required,
        not shown,
        name in stored,
        rare and name not in errors,
    )


def _ordered(connector: type[Connector]) -> list[tuple[str, fields.Field[Any]]]:
    known = _schema(connector).fields
    named = [name for name in connector.form if name in known]
    return [(name, known[name]) for name in (*named, *(n for n in known if n not in named))]


def _schema(connector: type[Connector]) -> Schema:
    return connector.settings_schema()


def _is_secret(connector: type[Connector], name: str) -> bool:
    field = _schema(connector).fields.get(name)
    return field is not None and bool(field.metadata.get("secret"))


def _stored_secrets(its: Channel) -> frozenset[str]:
    """The names of the secrets there are; what no key opens any more counts as none."""
    try:
        return frozenset(runtime().secrets.decrypt(its.secrets))
    except SecretsError:
        return frozenset()


def _given(connector: type[Connector]) -> dict[str, str]:
    return {name: _text(name) for name in _schema(connector).fields}


def _text(name: str) -> str:
    """A field as pasted; a NUL is in no setting, and the database has no place for it."""
    return request.form.get(name, "")[:_LONGEST].replace("\x00", "")


def _errors(connector: type[Connector], name: str, given: Mapping[str, str]) -> dict[str, str]:
    """Everything that is wrong at once, each beside its field."""
    filled = {k: v for k, v in given.items() if v}
    found = {at: words.of_field(said) for at, said in connect.setting_errors(connector, filled).items()}
    if not name:
        found["name"] = words.of_field("a channel needs a name")
    return found


def _worded(fault: Fault, connector: type[Connector]) -> dict[str, str]:
    """What the core refused, at the field it names."""
    if fault.code == "bad_settings":
        path, _colon, sentence = fault.detail.partition(": ")
        return {path.removeprefix("settings."): words.of_field(sentence)}
    at = "name" if fault.code == "name_taken" else ""
    return {at: words.of_fault(fault.code, fault.fault, fault.detail, connector.words)}
