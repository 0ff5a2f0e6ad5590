"""Asking a shop to let the hub in: begun by a person, answered by the shop once, or never.

What proves the answer is a state of 256 random bits that only the shop and the person's browser get to
know; its hash is the row's key. Whoever takes the row first is the only one who connects.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from marshmallow import EXCLUDE, ValidationError
from sqlalchemy.orm import Session

from hub import alerts, connect
from hub.bulk import run
from hub.connector import Brought, Connector, Granted, Handshake, Way
from hub.errors import Fault, Misconfigured
from hub.http import Http
from hub.outbox import channels
from hub.outbox.channels import Channel
from hub.payload import first_error
from hub.program.store import Program
from hub.runtime import Runtime

LASTS = timedelta(minutes=15)
"""How long a person may take in the shop: to log in there, read what is asked, and say yes."""
_KEPT = timedelta(days=2)
_LONGEST_STATE = 200
APP_NAME = "Loyalty hub"


class Unknown(LookupError):
    """There is no such handshake, it is over, or somebody else has taken it."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A handshake on its way."""

    address: str
    """Where the person says yes, in the shop."""
    state: str


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a handshake."""

    program_id: int
    kind: str
    actor: str
    name: str
    way: str
    open: bool
    """Nothing has come back yet, and it still may."""
    channel: str | None
    """Public id of the channel that it connected, or was to reconnect."""
    code: str | None
    fault: str | None
    detail: str | None


def way_of(connector: type[Connector], name: str) -> Way | None:
    """The connector's way of that name."""
    return next((way for way in connector.ways if way.name == name), None)


def begin(
    session: Session,
    runtime: Runtime,
    *,
    program: Program,
    kind: str,
    way: str,
    name: str,
    settings: Mapping[str, Any],
    actor: str,
    channel: Channel | None = None,
) -> Begun:
    """Make a handshake: `channel` is the one to reconnect, None for a new one. Raises `Misconfigured`
    naming the setting, and when the platform could not reach this hub."""
    connector = runtime.connector_class(kind)
    chosen = way_of(connector, way)
    if chosen is None or chosen.answered_by == "nobody":
        raise Misconfigured("no_such_way", "a shop of this kind is not connected in that way")
    if chosen.needs_tls and not runtime.settings.public_url.startswith("https://"):
        raise Misconfigured("needs_tls", "the shop calls https addresses only; set PUBLIC_URL to one")
    state = secrets.token_urlsafe(32)
    asked = _asked(connector, chosen, settings)
    address = connector.leave_at(_handshake(runtime, kind, chosen.name, state, asked))
    now = runtime.clock()
    run(session, "DELETE FROM handshakes WHERE expires_at < :old", {"old": now - _KEPT})
    run(
        session,
        """INSERT INTO handshakes (state_hash, program_id, channel_id, kind, way, name, sealed, actor, began_at,
                                   expires_at)
           VALUES (:hash, :program, :channel, :kind, :way, :name, :sealed, :actor, :now, :expires)""",
        {
            "hash": _hash(state),
            "program": program.id,
            "channel": channel.id if channel else None,
            "kind": kind,
            "way": chosen.name,
            "name": name.strip(),
            "sealed": runtime.secrets.encrypt(asked),
            "actor": actor,
            "now": now,
            "expires": now + LASTS,
        },
    )
    return Begun(address, state)


def ended(session: Session, kind: str, state: str, now: datetime) -> Ended:
    """How a handshake stands. Raises `Unknown`."""
    rows = run(
        session,
        """SELECT h.program_id, h.kind, h.actor, h.name, h.way, h.code, h.fault, h.detail, c.public_id AS channel,
                  h.taken_at IS NULL AND h.expires_at > :now AS open
           FROM handshakes h LEFT JOIN channels c ON c.id = h.channel_id
           WHERE h.state_hash = :hash AND h.kind = :kind""",
        {"hash": _hash(state), "kind": kind, "now": now},
    )
    if not rows:
        raise Unknown(kind)
    return Ended(**rows[0]._mapping)


def finish(runtime: Runtime, kind: str, brought: Brought) -> Channel:
    """Take the handshake that this answer belongs to, check what it brought, and connect the channel.

    Of any number of answers one takes it, before anything is asked of the shop; the others, and late
    ones, get `Unknown`. Raises a `Fault` when what was brought is not good: nothing is stored then but
    the fault, and the person begins anew.
    """
    connector = runtime.connector_class(kind)
    taken = _take(runtime, kind, connector.state_in(brought))
    try:
        granted = connector.take(taken.handshake, brought, _http(runtime, taken))
        return _connect(runtime, taken, granted)
    except Fault as fault:
        _note(runtime, taken, fault)
        raise


def refuse(runtime: Runtime, kind: str, state: str) -> None:
    """The person said no in the shop: the state is of no more use."""
    taken = _take(runtime, kind, state)
    _note(runtime, taken, Misconfigured("said_no", "the shop was not let in"))


@dataclass(frozen=True, slots=True)
class _Taken:
    state_hash: bytes
    program_id: int
    channel_id: int | None
    kind: str
    name: str
    actor: str
    handshake: Handshake


def _take(runtime: Runtime, kind: str, state: str) -> _Taken:
    with runtime.sessions.begin() as session:
        rows = run(
            session,
            """UPDATE handshakes SET taken_at = :now
               WHERE state_hash = :hash AND kind = :kind AND taken_at IS NULL AND expires_at > :now
               RETURNING state_hash, program_id, channel_id, kind, way, name, sealed, actor""",
            {"hash": _hash(state), "kind": kind, "now": runtime.clock()},
        )
    if not rows:
        raise Unknown(kind)
    row = rows[0]
    asked = runtime.secrets.decrypt(bytes(row.sealed))
    handshake = _handshake(runtime, kind, row.way, state, asked)
    return _Taken(
        bytes(row.state_hash), row.program_id, row.channel_id, row.kind, row.name, row.actor, handshake
    )


def _connect(runtime: Runtime, taken: _Taken, granted: Granted) -> Channel:
    """Store the channel with what was granted, or give it to the one that is reconnected."""
    settings = {**taken.handshake.settings, **granted.settings}
    with runtime.sessions.begin() as session:
        if taken.channel_id is None:
            channel = connect.add_channel(
                session, runtime, program_id=taken.program_id, kind=taken.kind, name=taken.name,
                settings=settings, actor=taken.actor,
            )  # fmt: skip
        else:
            channel = channels.by_ids(session, [taken.channel_id])[taken.channel_id]
            connect.change_channel(session, runtime, channel, settings, actor=taken.actor)
            connect.resume(session, channel, actor=taken.actor)
            alerts.settle_all(
                session,
                taken.program_id,
                "uninstalled",
                channel.public_id,
                actor=taken.actor,
                now=runtime.clock(),
            )
        run(
            session,
            """UPDATE channels SET state = '{}', sealed_state = :sealed, state_version = state_version + 1
               WHERE id = :id""",
            {
                "sealed": runtime.secrets.encrypt(granted.state) if granted.state else b"",
                "id": channel.id,
            },
        )
        run(
            session,
            "UPDATE handshakes SET channel_id = :channel, sealed = '' WHERE state_hash = :hash",
            {"channel": channel.id, "hash": taken.state_hash},
        )
        return channels.by_ids(session, [channel.id])[channel.id]


def _note(runtime: Runtime, taken: _Taken, fault: Fault) -> None:
    with runtime.sessions.begin() as session:
        run(
            session,
            """UPDATE handshakes SET sealed = '', code = :code, fault = :fault, detail = :detail
               WHERE state_hash = :hash""",
            {
                "hash": taken.state_hash,
                "code": fault.code,
                "fault": fault.fault,
                "detail": fault.detail[:500],
            },
        )


def _asked(connector: type[Connector], way: Way, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a way, loaded; the others of the schema come with what is granted."""
    filled = {name: value for name, value in given.items() if value not in (None, "")}
    schema = connector.settings_schema(partial=True, unknown=EXCLUDE)
    lacking = [name for name in way.asks if schema.fields[name].required and name not in filled]
    if lacking:
        raise Misconfigured("bad_settings", f"settings.{lacking[0]}: Missing data for required field.")
    try:
        loaded: dict[str, Any] = schema.load(filled)
    except ValidationError as error:
        path, sentence = first_error(error.messages, "settings")
        raise Misconfigured("bad_settings", f"{path}: {sentence}") from None
    return {name: value for name, value in loaded.items() if name in filled}


def _handshake(
    runtime: Runtime, kind: str, way: str, state: str, settings: Mapping[str, Any]
) -> Handshake:
    base = f"{runtime.settings.public_url}/connect/{kind}"
    return Handshake(way, state, settings, f"{base}/return", f"{base}/callback", APP_NAME)


def _http(runtime: Runtime, taken: _Taken) -> Http:
    """A shop that is not connected yet may have a private address only where the operator allows its
    host; a channel that is reconnected has been allowed it or not."""
    allowed = False
    if taken.channel_id is not None:
        with runtime.sessions() as session:
            allowed = channels.by_ids(session, [taken.channel_id])[taken.channel_id].allow_private
    hosts = runtime.settings.allow_private_hosts
    return Http(allow_private=hosts, allow_any_private=allowed, now=runtime.clock)


def _hash(state: str) -> bytes:
    """States are 256 random bits: a plain hash cannot be guessed back."""
    return hashlib.sha256(state[:_LONGEST_STATE].encode("utf-8", "replace")).digest()
