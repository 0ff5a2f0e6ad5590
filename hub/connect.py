"""Adding a channel to a program, and changing it: one way for CLI, API and dashboard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from marshmallow import EXCLUDE
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hub.audit import record
from hub.bulk import run
from hub.connector import Connector, JSONObject
from hub.errors import Misconfigured
from hub.ids import new_id, new_token
from hub.outbox import channels
from hub.outbox.channels import Channel, Handle
from hub.payload import first_error
from hub.registry import UnknownConnector
from hub.runtime import Runtime
from hub.secrets import SecretsError


def add_channel(
    session: Session,
    runtime: Runtime,
    *,
    program_id: int,
    kind: str,
    name: str,
    settings: Mapping[str, Any],
    actor: str,
    shares_shop: bool = False,
    allow_private: bool = False,
) -> Channel:
    """Validate and store a channel. Raises `Misconfigured` naming the field, and when the program
    has a channel of that name or the shop is connected already (rules.md F1)."""
    connector = runtime.connector_class(kind)
    _check(connector, name, settings)
    open_settings, secret = channels.split_secrets(connector, settings)
    row = {
        "public_id": new_id("chn"),
        "program": program_id,
        "kind": kind,
        "name": name.strip(),
        "token": new_token(),
        "settings": json.dumps(open_settings),
        "secrets": runtime.secrets.encrypt(secret),
        "shares": shares_shop,
        "private": allow_private,
    }
    try:
        with session.begin_nested():
            channel = _insert(session, row)
            _set_identity(session, channel, connector(Handle(runtime, channel)).shop_identity())
    except IntegrityError as error:
        raise _taken(error, name) from None
    record(session, program_id, actor, "channel.added", channel.public_id, {"kind": kind})
    return channel


def change_channel(
    session: Session,
    runtime: Runtime,
    channel: Channel,
    changes: Mapping[str, Any],
    *,
    actor: str,
    allow_private: bool | None = None,
) -> None:
    """Validate and store other settings; those not named stay, an empty one goes. A pause that the
    old settings brought about ends. Raises `Misconfigured` as `add_channel` does, and when the
    settings name another shop: its orders, customers and codes would mix with those of the first."""
    connector = runtime.connector_class(channel.kind)
    kept = json.loads(channel.settings) | _secrets(runtime, channel)
    wanted = {name: value for name, value in (kept | dict(changes)).items() if value not in (None, "")}
    _check(connector, channel.name, wanted)
    open_settings, secret = channels.split_secrets(connector, wanted)
    row = {
        "id": channel.id,
        "settings": json.dumps(open_settings),
        "secrets": runtime.secrets.encrypt(secret),
        "private": allow_private,
    }
    try:
        with session.begin_nested():
            changed = _update(session, row)
            _keep_identity(session, changed, connector(Handle(runtime, changed)).shop_identity())
    except IntegrityError as error:
        raise _taken(error, channel.name) from None
    what = {"settings": sorted(changes), "allow_private": allow_private}
    record(session, channel.program_id, actor, "channel.changed", channel.public_id, what)


def setting_errors(connector: type[Connector], settings: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with settings: field -> the schema's first sentence about it, in English
    (`hub.words.of_field` has the words). Empty when nothing is."""
    found = connector.settings_schema(unknown=EXCLUDE).validate(dict(settings))
    return {str(name): first_error(said, "")[1] for name, said in found.items()}


def pause(session: Session, channel: Channel, *, actor: str) -> None:
    """Stop pushing to a channel; what it sends is still taken. Raises `Misconfigured`."""
    _set_status(session, channel, "paused", actor)


def resume(session: Session, channel: Channel, *, actor: str) -> None:
    """Push to a channel again; what waited goes out, at once. Raises `Misconfigured`."""
    _set_status(session, channel, "active", actor)


def disconnect(session: Session, runtime: Runtime, channel: Channel, *, actor: str) -> None:
    """Have nothing more to do with a channel: its address answers like one that is not there,
    nothing is pushed, its shop may be connected anew. Orders, messages and points stay, its secrets
    are forgotten, but for those that prove privacy requests, which come later still
    (`Connector.app_secrets`). There is no way back. Raises `Misconfigured` when it was done before."""
    _set_status(session, channel, "disconnected", actor)
    kept = {
        name: value
        for name, value in _secrets(runtime, channel).items()
        if name in _proving(runtime, channel)
    }
    run(
        session,
        """UPDATE channels SET secrets = :secrets, state = '{}', sealed_state = '', previous_secret_until = NULL,
                  state_version = state_version + 1 WHERE id = :id""",
        {"id": channel.id, "secrets": runtime.secrets.encrypt(kept) if kept else b""},
    )


def _proving(runtime: Runtime, channel: Channel) -> tuple[str, ...]:
    try:
        return runtime.connector_class(channel.kind).app_secrets
    except UnknownConnector:
        return ()


def _set_status(session: Session, channel: Channel, status: str, actor: str) -> None:
    rows = run(
        session,
        """UPDATE channels SET status = :status, down_until = NULL, down_count = 0
           WHERE id = :id AND status <> 'disconnected' RETURNING id""",
        {"status": status, "id": channel.id},
    )
    if not rows:
        raise Misconfigured("disconnected", "this channel was disconnected; add a new one")
    record(session, channel.program_id, actor, f"channel.{status}", channel.public_id)


def limit_backdating(session: Session, channel: Channel, days: int | None, *, actor: str) -> None:
    """Let orders wait for a person that are first told of more than `days` after they were placed
    (rules.md A9); None: any age earns. Orders already told of stay as they are."""
    run(
        session,
        "UPDATE channels SET backdating_days = :days WHERE id = :id",
        {"days": days, "id": channel.id},
    )
    detail = {"backdating_days": days}
    record(session, channel.program_id, actor, "channel.changed", channel.public_id, detail)


def _secrets(runtime: Runtime, channel: Channel) -> JSONObject:
    """The channel's secrets. Those that no key opens any more are gone, and to be entered anew."""
    try:
        return runtime.secrets.decrypt(channel.secrets)
    except SecretsError:
        return {}


def _check(connector: type[Connector], name: str, settings: Mapping[str, Any]) -> None:
    known = connector.settings_schema().fields
    unknown = sorted(set(settings) - set(known))
    if unknown:
        there_are = ", ".join(sorted(known))
        raise Misconfigured(
            "bad_settings", f"settings.{unknown[0]}: no such setting; there are {there_are}"
        )
    if not name.strip():
        raise Misconfigured("bad_settings", "name: a channel needs a name")
    channels.load_settings(connector, settings)


def _insert(session: Session, row: Mapping[str, Any]) -> Channel:
    channel_id: int = run(
        session,
        """INSERT INTO channels (public_id, program_id, kind, name, token, settings, secrets, shares_shop,
                                 allow_private)
           VALUES (:public_id, :program, :kind, :name, :token, CAST(:settings AS jsonb), :secrets, :shares,
                   :private)
           RETURNING id""",
        row,
    )[0].id
    return channels.by_ids(session, [channel_id])[channel_id]


def _update(session: Session, row: Mapping[str, Any]) -> Channel:
    run(
        session,
        """UPDATE channels SET settings = CAST(:settings AS jsonb), secrets = :secrets,
                  allow_private = COALESCE(:private, allow_private), down_until = NULL, down_count = 0
           WHERE id = :id""",
        row,
    )
    return channels.by_ids(session, [row["id"]])[row["id"]]


def _set_identity(session: Session, channel: Channel, identity: str | None) -> None:
    run(
        session,
        "UPDATE channels SET shop_identity = :identity WHERE id = :id",
        {"identity": identity, "id": channel.id},
    )


def _keep_identity(session: Session, channel: Channel, identity: str | None) -> None:
    """A channel keeps its shop; one whose shop was not known yet may learn it."""
    row = run(session, "SELECT shop_identity FROM channels WHERE id = :id", {"id": channel.id})[0]
    if row.shop_identity not in (None, identity):
        raise Misconfigured(
            "other_shop_named",
            f"a channel keeps its shop ({row.shop_identity}); connect the other one as a new channel",
        )
    _set_identity(session, channel, identity)


def _taken(error: IntegrityError, name: str) -> Misconfigured:
    if "channels_one_active_shop" in str(error.orig):
        return Misconfigured(
            "shop_taken", "this shop is connected already; disconnect that channel first"
        )
    return Misconfigured("name_taken", f"there is a channel named {name!r:.60} already")
