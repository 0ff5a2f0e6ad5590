"""Channels as the core uses them: their rows, their connectors, and the handle connectors hold."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from marshmallow import EXCLUDE, ValidationError
from sqlalchemy.orm import Session

from hub.bulk import run
from hub.canonical import Traits
from hub.connector import Connector, JSONObject, Lease
from hub.errors import Misconfigured
from hub.http import Http
from hub.outbox.allowances import Allowance
from hub.payload import first_error
from hub.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel's row with what its program says about it."""

    id: int
    public_id: str
    program_id: int
    kind: str
    name: str
    token: str
    settings: str
    """JSON of the open settings (a text, so that the row can be a cache key)."""
    secrets: bytes
    status: str
    allow_private: bool
    """The operator (never a merchant) allows this channel private addresses: sandboxes, own networks."""
    currency: str
    time_zone: str
    region: str
    backdating_days: int | None = None
    """Orders first told of more than this many days after they were placed wait for a person (rules.md
    A9); None: any age."""
    history_from: datetime | None = None
    """From when on sales count that were placed before the channel was connected; None: nobody said so."""
    history_until: datetime | None = None
    """When it was connected: what was placed before then is its history."""
    history_counts: str | None = None
    """What its history counts for: `points`, or `tiers` alone."""


_COLUMNS = """c.id, c.public_id, c.program_id, c.kind, c.name, c.token, CAST(c.settings AS text) AS settings,
    c.secrets, c.status, c.allow_private, p.currency, p.time_zone, p.region, c.backdating_days,
    c.history_from, c.history_until, c.history_counts"""
_FROM = "FROM channels c JOIN programs p ON p.id = c.program_id"


def by_token(session: Session, token: str) -> Channel | None:
    """The channel a webhook address belongs to."""
    rows = run(session, f"SELECT {_COLUMNS} {_FROM} WHERE c.token = :token", {"token": token})
    return Channel(**rows[0]._mapping) if rows else None


def by_public_id(session: Session, public_id: str) -> Channel | None:
    """The channel people and programs know by this id."""
    rows = run(session, f"SELECT {_COLUMNS} {_FROM} WHERE c.public_id = :id", {"id": public_id})
    return Channel(**rows[0]._mapping) if rows else None


def by_ids(session: Session, ids: Iterable[int]) -> dict[int, Channel]:
    """Channels by id."""
    rows = run(session, f"SELECT {_COLUMNS} {_FROM} WHERE c.id = ANY(:ids)", {"ids": sorted(set(ids))})
    return {row.id: Channel(**row._mapping) for row in rows}


def of_program(session: Session, program_id: int) -> list[Channel]:
    """All channels of a program that are not disconnected."""
    rows = run(
        session,
        f"SELECT {_COLUMNS} {_FROM} WHERE c.program_id = :program AND c.status <> 'disconnected' ORDER BY c.id",
        {"program": program_id},
    )
    return [Channel(**row._mapping) for row in rows]


def of_shop(session: Session, kind: str, shop: str, limit: int = 20) -> list[Channel]:
    """Channels of one shop in all programs, the latest first, those that were disconnected among them."""
    rows = run(
        session,
        f"SELECT {_COLUMNS} {_FROM} WHERE c.kind = :kind AND c.shop_identity = :shop ORDER BY c.id DESC LIMIT :limit",
        {"kind": kind, "shop": shop, "limit": limit},
    )
    return [Channel(**row._mapping) for row in rows]


def traits(connector: type[Connector]) -> Traits:
    """What a connector declares, as the merge fold takes it."""
    return Traits(
        payload_built=connector.payload_built,
        sale_is=connector.sale_is,
        lists_refunds=connector.lists_refunds,
        refunds_deletable=connector.refunds_deletable,
    )


def load_settings(connector: type[Connector], given: Mapping[str, Any]) -> dict[str, Any]:
    """Validate a channel's settings. Raises `Misconfigured` naming the field."""
    try:
        loaded: dict[str, Any] = connector.settings_schema(unknown=EXCLUDE).load(dict(given))
    except ValidationError as error:
        path, sentence = first_error(error.messages, "settings")
        raise Misconfigured("bad_settings", f"{path}: {sentence}") from None
    return loaded


def split_secrets(connector: type[Connector], given: Mapping[str, Any]) -> tuple[JSONObject, JSONObject]:
    """Settings apart into (open, secret) by the schema's metadata."""
    fields = connector.settings_schema().fields
    secret = {n for n, f in fields.items() if f.metadata.get("secret")}
    known = {k: v for k, v in given.items() if k in fields and v not in (None, "")}
    return (
        {k: v for k, v in known.items() if k not in secret},
        {k: v for k, v in known.items() if k in secret},
    )


def connector_of(runtime: Runtime, channel: Channel, http: Http | None = None) -> Connector:
    """The channel's connector, with a handle. Raises `Misconfigured` and `UnknownConnector`."""
    return runtime.connector_class(channel.kind)(Handle(runtime, channel, http))


class Doors:
    """Doors of channels whose connections are kept over many attempts: making one anew cost a third of a push
    (measured). Not thread-safe."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._open: dict[Channel, Http] = {}

    def of(self, channel: Channel) -> Http:
        """A channel's, with a record of its own. One that is set up otherwise meanwhile is another."""
        if channel not in self._open:
            self._open[channel] = door(self._runtime, channel)
        return self._open[channel].again()

    def close(self) -> None:
        """End all connections."""
        while self._open:
            self._open.popitem()[1].close()


def door(runtime: Runtime, channel: Channel) -> Http:
    """The channel's door to the network."""
    return Http(
        allow_private=runtime.settings.allow_private_hosts,
        allow_any_private=channel.allow_private,
        now=runtime.clock,
    )


@lru_cache(maxsize=512)
def _settings(kind: type[Connector], open_settings: str, secret: str) -> Mapping[str, Any]:
    return MappingProxyType(load_settings(kind, json.loads(open_settings) | json.loads(secret)))


@lru_cache(maxsize=512)
def _decrypted(decrypt: Any, sealed: bytes) -> str:
    return json.dumps(decrypt(sealed)) if sealed else "{}"


@dataclass(slots=True)
class Handle:
    """The core's implementation of `hub.connector.ChannelHandle`. A channel's memory holds tokens, so
    it is stored encrypted; what an earlier version stored plainly is read until it is saved again."""

    runtime: Runtime
    channel: Channel
    _http: Http | None = field(default=None)

    @property
    def settings(self) -> Mapping[str, Any]:
        """Decrypted and validated; decrypted once per content, not per message."""
        kind = self.runtime.connector_class(self.channel.kind)
        secret = _decrypted(self.runtime.secrets.decrypt, self.channel.secrets)
        return _settings(kind, self.channel.settings, secret)

    @property
    def http(self) -> Http:
        """One per handle, so that its exchanges are those of one attempt."""
        if self._http is None:
            self._http = door(self.runtime, self.channel)
        return self._http

    @property
    def webhook_url(self) -> str:
        return f"{self.runtime.settings.public_url}/webhooks/{self.channel.token}"

    @property
    def time_zone(self) -> str:
        return self.channel.time_zone

    @property
    def currency(self) -> str:
        return self.channel.currency

    def state(self) -> tuple[JSONObject, int]:
        with self.runtime.sessions() as session:
            row = run(
                session,
                "SELECT state, sealed_state, state_version FROM channels WHERE id = :id",
                {"id": self.channel.id},
            )[0]
        kept = self.runtime.secrets.decrypt(bytes(row.sealed_state)) if row.sealed_state else row.state
        return dict(kept), row.state_version

    def save_state(self, value: JSONObject, version: int) -> bool:
        with self.runtime.sessions.begin() as session:
            rows = run(
                session,
                """UPDATE channels SET state = '{}', sealed_state = :sealed, state_version = state_version + 1
                   WHERE id = :id AND state_version = :version RETURNING id""",
                {
                    "sealed": self.runtime.secrets.encrypt(value),
                    "id": self.channel.id,
                    "version": version,
                },
            )
        return bool(rows)

    @contextmanager
    def once(self, name: str, seconds: float) -> Iterator[Lease | None]:
        holder = f"{self.runtime.name}:{secrets.token_hex(4)}"  # two threads are two holders
        lease = take_lease(self.runtime, f"channel:{self.channel.id}:{name}", seconds, holder)
        try:
            yield lease
        finally:
            if lease is not None:
                free_lease(self.runtime, lease)

    def budget(self, name: str) -> Allowance:
        return Allowance(self.runtime, self.channel.id, name)

    def now(self) -> datetime:
        return self.runtime.clock()


def take_lease(runtime: Runtime, name: str, seconds: float, holder: str) -> Lease | None:
    """Take a lease row for a while, or prolong our own; None while another holds it."""
    with runtime.sessions.begin() as session:
        rows = run(
            session,
            """INSERT INTO leases (name, holder, until) VALUES (:name, :holder, clock_timestamp() + :seconds)
               ON CONFLICT (name) DO UPDATE
               SET holder = excluded.holder, until = excluded.until,
                   token = leases.token + (leases.holder <> excluded.holder)::int
               WHERE leases.until < clock_timestamp() OR leases.holder = excluded.holder
               RETURNING token""",
            {"name": name, "holder": holder, "seconds": timedelta(seconds=seconds)},
        )
    return Lease(name, rows[0].token) if rows else None


def free_lease(runtime: Runtime, lease: Lease) -> None:
    """End a lease early; nothing happens when it was lost meanwhile."""
    with runtime.sessions.begin() as session:
        run(
            session,
            """UPDATE leases SET until = '-infinity', token = token + 1
               WHERE name = :name AND token = :token""",
            {"name": lease.name, "token": lease.token},
        )
