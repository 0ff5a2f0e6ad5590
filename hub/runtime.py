"""What every process of the hub holds while it runs: settings, the database, keys, a clock."""

from __future__ import annotations

import os
import secrets as chance
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from hub.bulk import run
from hub.connector import Connector
from hub.db import Process, make_engine, make_looks, make_sessions
from hub.registry import connector_class
from hub.secrets import Secrets, load_keys
from hub.settings import Settings


@dataclass
class Runtime:
    """One process's means. Make it once with `Runtime.start`."""

    settings: Settings
    engine: Engine
    sessions: sessionmaker[Session]
    secrets: Secrets
    process: Process = "cli"
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    @classmethod
    def start(cls, settings: Settings, process: Process = "cli") -> Runtime:
        """Connect lazily: nothing is opened before the first use."""
        keys = load_keys(settings.keys, settings.keys_path, create=True)
        engine = make_engine(settings.database_url, process)

        def again() -> list[str]:
            return load_keys(settings.keys, settings.keys_path)

        return cls(settings, engine, make_sessions(engine), Secrets(keys, again), process)

    @cached_property
    def looks(self) -> sessionmaker[Session]:
        """For single looks, without a transaction."""
        return make_looks(self.engine)

    @cached_property
    def chain_key(self) -> bytes:
        """The ledger's HMAC key: made once, stored sealed by keys that live outside the database
        (rules.md C6), so that encryption keys can rotate and the chains stay verifiable.

        Read over a connection of its own: whoever asks is in a transaction and holds one of the pool's,
        all of which may be held by threads that wait for this very key."""
        own = make_engine(self.settings.database_url, self.process)
        try:
            return self._chain_key(make_sessions(own))
        finally:
            own.dispose()

    def _chain_key(self, sessions: sessionmaker[Session]) -> bytes:
        with sessions.begin() as session:
            sealed = self.secrets.encrypt({"key": chance.token_hex(32)})
            run(
                session,
                """INSERT INTO hub_secrets (name, sealed) VALUES ('ledger_chain', :sealed)
                   ON CONFLICT (name) DO NOTHING""",
                {"sealed": sealed},
            )
            stored = run(session, "SELECT sealed FROM hub_secrets WHERE name = 'ledger_chain'")[0].sealed
        return bytes.fromhex(self.secrets.decrypt(bytes(stored))["key"])

    @cached_property
    def name(self) -> str:
        """This process, as shown on attempts and leases."""
        return f"{socket.gethostname()}:{os.getpid()}"

    def connector_class(self, kind: str) -> type[Connector]:
        """The connector of one kind. Raises `UnknownConnector`."""
        return connector_class(kind, self.settings.connectors)
