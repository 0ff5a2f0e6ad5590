"""Changing the encryption key: everything that is sealed is sealed anew, batch by batch, while the hub runs."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from cryptography.fernet import Fernet

from hub.bulk import run
from hub.runtime import Runtime
from hub.secrets import Secrets, load_keys, replace_keys

AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Sealed:
    """One column that holds encrypted values; "" stands for none."""

    table: str
    key: str
    column: str


SEALED = (
    Sealed("channels", "id", "secrets"),
    Sealed("channels", "id", "sealed_state"),
    Sealed("handshakes", "state_hash", "sealed"),
    Sealed("hub_secrets", "name", "sealed"),
)
"""All of them; a test compares this with the schema."""


def add_key(runtime: Runtime) -> bool:
    """Put a new key first in the keys file, unless an earlier change was broken off and is still to be
    finished. Processes that run take it up by themselves. False: nothing was added."""
    settings = runtime.settings
    if settings.keys or outdated(runtime):
        return False
    keys = load_keys((), settings.keys_path)
    replace_keys([Fernet.generate_key().decode(), *keys], settings.keys_path)
    runtime.secrets = Secrets(load_keys((), settings.keys_path))
    return True


def rekey(runtime: Runtime, at_once: int = AT_ONCE) -> Generator[int, None, None]:
    """Seal anew what is not sealed with the first key. Yields how many rows of each batch were; each is
    committed by itself, so it may be broken off and begun again. Raises `SecretsError` when there is
    something that none of the keys opens."""
    yield _seal_plain(runtime)
    for sealed in SEALED:
        after: Any = None
        while True:
            count, after = _batch(runtime, sealed, after, at_once)
            if after is None:
                break
            yield count


def outdated(runtime: Runtime) -> int:
    """How many values the first key alone does not open."""
    found = 0
    for sealed in SEALED:
        with runtime.sessions() as session:
            rows = run(
                session,
                f"SELECT {sealed.column} AS token FROM {sealed.table} WHERE {sealed.column} <> ''",
            )
        found += sum(not runtime.secrets.is_newest(bytes(row.token)) for row in rows)
    return found


def drop_old_keys(runtime: Runtime) -> int:
    """Take all keys but the first out of the keys file, when the first opens everything. Returns how many
    went; 0 also when something still needs them."""
    keys = load_keys((), runtime.settings.keys_path)
    if outdated(runtime) or len(keys) < 2:
        return 0
    replace_keys(keys[:1], runtime.settings.keys_path)
    return len(keys) - 1


def _batch(runtime: Runtime, sealed: Sealed, after: Any, at_once: int) -> tuple[int, Any]:
    """Seal the next rows anew: how many were, and the key to go on from; None when none is left."""
    table, key, column = sealed.table, sealed.key, sealed.column
    where = f"AND {key} > :after" if after is not None else ""
    with runtime.sessions.begin() as session:
        rows = run(
            session,
            f"""SELECT {key} AS at, {column} AS token FROM {table} WHERE {column} <> '' {where}
                ORDER BY {key} LIMIT :limit FOR NO KEY UPDATE""",
            {"limit": at_once} | ({"after": after} if after is not None else {}),
        )
        old = [row for row in rows if not runtime.secrets.is_newest(bytes(row.token))]
        for row in old:
            run(
                session,
                f"UPDATE {table} SET {column} = :token WHERE {key} = :at",
                {"token": runtime.secrets.rotate(bytes(row.token)), "at": row.at},
            )
    return len(old), rows[-1].at if rows else None


def _seal_plain(runtime: Runtime) -> int:
    """What channels remembered before their memory was encrypted."""
    with runtime.sessions.begin() as session:
        rows = run(
            session,
            "SELECT id, state FROM channels WHERE state <> '{}' AND sealed_state = '' ORDER BY id FOR NO KEY UPDATE",
        )
        for row in rows:
            run(
                session,
                "UPDATE channels SET state = '{}', sealed_state = :token WHERE id = :id",
                {"token": runtime.secrets.encrypt(dict(row.state)), "id": row.id},
            )
    return len(rows)
