"""The form of a channel's settings, drawn from what its connector says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import abort, render_template, request, url_for
from marshmallow import Schema, fields

from hub import connect, words
from hub.connector import Connector, Way
from hub.errors import Fault
from hub.i18n import gettext as _
from hub.outbox import channels as store
from hub.outbox.channels import Channel
from hub.registry import CONNECTORS, UnknownConnector
from hub.secrets import SecretsError
from hub.web.dashboard.cards import label_of
from hub.web.dashboard.visit import runtime, visit

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


# --- finding -------------------------------------------------------------------------------------


def found(public_id: str) -> Channel:
    """The program's channel of that id; 404 for every other."""
    with runtime().sessions() as session:
        its = store.by_public_id(session, public_id)
    if its is None or its.program_id != visit().program.id:
        abort(404)
    return its


def found_open(public_id: str) -> Channel:
    """One that is not disconnected: what was is only looked at."""
    its = found(public_id)
    if its.status == "disconnected":
        abort(404)
    return its


def kinds() -> Sequence[str]:
    """Every kind that can be connected here."""
    return [*CONNECTORS, *(kind for kind in runtime().settings.connectors if kind not in CONNECTORS)]


def kind_of(kind: str) -> type[Connector]:
    """The connector of that kind, or 404."""
    connector = kind_or_none(kind)
    if connector is None:
        abort(404)
    return connector


def kind_or_none(kind: str) -> type[Connector] | None:
    """The connector of that kind; None when it is not installed (any more)."""
    try:
        return runtime().connector_class(kind)
    except UnknownConnector:
        return None


# --- drawing -------------------------------------------------------------------------------------


def drawn(
    connector: type[Connector],
    its: Channel | None,
    *,
    name: str,
    given: Mapping[str, Any],
    errors: Mapping[str, str],
    way: Way | None = None,
) -> str:
    """The page with the form: of a channel, or of a new one, of all its settings or those of one way."""
    stored = _stored_secrets(its) if its else frozenset()
    all_fields = [
        _field(connector, n, f, given, errors, stored, way, new=its is None)
        for n, f in _ordered(connector, way)
    ]
    return render_template(
        "channels/form.html",
        its=its,
        kind=connector.kind,
        label=label_of(connector.kind),
        way=way,
        way_words=words_of_way(connector, way) if way else None,
        back_address=f"{runtime().settings.public_url}/connect/{connector.kind}/return"
        if way and way.answered_by == "browser"
        else "",
        action=_target(connector, its, way),
        name=name,
        name_error=errors.get("name", ""),
        other_error="; ".join(
            said for at, said in errors.items() if at not in _schema(connector).fields and at != "name"
        ),
        fields=[f for f in all_fields if not f.folded],
        folded=[f for f in all_fields if f.folded],
    )


def words_of_way(connector: type[Connector], way: Way) -> tuple[str, str]:
    """A way's name and when to take it, in the reader's language."""
    label, hint = connector.way_words.get(way.name, (way.name, ""))
    return _(label), _(hint) if hint else ""


def _target(connector: type[Connector], its: Channel | None, way: Way | None) -> str:
    if its:
        return url_for("dashboard.channel_change", channel=its.public_id)
    if way:
        return url_for("dashboard.channel_way_add", kind=connector.kind, way=way.name)
    return url_for("dashboard.channel_add", kind=connector.kind)


def _field(
    connector: type[Connector],
    name: str,
    field: fields.Field[Any],
    given: Mapping[str, Any],
    errors: Mapping[str, str],
    stored: frozenset[str],
    way: Way | None,
    *,
    new: bool,
) -> Field:
    secret = is_secret(connector, name)
    label, hint = connector.form.get(name, (name, ""))
    shown = not secret or (new and name in connector.suggested())
    rare = name not in way.asks if way else _is_rare(connector, name, field)
    asked = way is not None and name in way.asks
    return Field(
        name,
        _(label) if name in connector.form else label,
        _(hint) if hint else "",
        str(given.get(name) or "") if shown else "",
        errors.get(name, ""),
        field.required or asked,
        not shown,
        name in stored,
        rare and name not in errors,
    )


def _is_rare(connector: type[Connector], name: str, field: fields.Field[Any]) -> bool:
    told = bool(field.metadata.get("rare")) or name.startswith("previous_")
    return told or name not in connector.form


def _ordered(connector: type[Connector], way: Way | None) -> list[tuple[str, fields.Field[Any]]]:
    """The settings in the order of the form. One that the hub sets itself is in none; of a way, those
    it asks for, then those that no way asks for."""
    known = {n: f for n, f in _schema(connector).fields.items() if not f.metadata.get("set_by_hub")}
    named = [name for name in connector.form if name in known]
    names = [*named, *(n for n in known if n not in named)]
    if way is not None:
        of_ways = {name for one in connector.ways for name in one.asks}
        rest = [n for n in names if n not in of_ways and not n.startswith("previous_")]
        names = [*way.asks, *(n for n in rest if not is_secret(connector, n))]
    return [(name, known[name]) for name in names]


def names_of(connector: type[Connector], way: Way) -> list[str]:
    """The settings that the form of a way shows."""
    return [name for name, _field in _ordered(connector, way)]


def _schema(connector: type[Connector]) -> Schema:
    return connector.settings_schema()


def is_secret(connector: type[Connector], name: str) -> bool:
    """Whether a setting is stored encrypted and never shown."""
    field = _schema(connector).fields.get(name)
    return field is not None and bool(field.metadata.get("secret"))


def _stored_secrets(its: Channel) -> frozenset[str]:
    """The names of the secrets there are; what no key opens any more counts as none."""
    try:
        return frozenset(runtime().secrets.decrypt(its.secrets))
    except SecretsError:
        return frozenset()


# --- reading -------------------------------------------------------------------------------------


def given_in(connector: type[Connector], way: Way | None = None) -> dict[str, str]:
    """What a form brought for the settings it may show."""
    return {name: text(name) for name, _field in _ordered(connector, way)}


def text(name: str) -> str:
    """A field as pasted; a NUL is in no setting, and the database has no place for it."""
    return request.form.get(name, "")[:_LONGEST].replace("\x00", "")


def errors_in(
    connector: type[Connector], name: str, given: Mapping[str, str], way: Way | None = None
) -> dict[str, str]:
    """Everything that is wrong at once, each beside its field."""
    filled = {k: v for k, v in given.items() if v}
    wrong = connect.setting_errors(connector, filled)
    if way is not None:
        wrong = {at: said for at, said in wrong.items() if at in given}
        lacking = [at for at in way.asks if at not in filled]
        wrong = {**dict.fromkeys(lacking, "Missing data for required field."), **wrong}
    told = {at: words.of_field(said) for at, said in wrong.items()}
    if not name:
        told["name"] = words.of_field("a channel needs a name")
    return told


def worded(fault: Fault, connector: type[Connector]) -> dict[str, str]:
    """What the core refused, at the field it names."""
    if fault.code == "bad_settings":
        path, _colon, sentence = fault.detail.partition(": ")
        return {path.removeprefix("settings."): words.of_field(sentence)}
    at = "name" if fault.code == "name_taken" else ""
    return {at: words.of_fault(fault.code, fault.fault, fault.detail, connector.words)}
