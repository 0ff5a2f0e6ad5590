"""API keys: hashed, scoped, of one program, revocable."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from flask import current_app, g, request
from flask_smorest import Blueprint
from sqlalchemy.orm import Session

from hub.audit import record
from hub.bulk import run
from hub.i18n import gettext as _
from hub.ids import new_id
from hub.program.store import Newest, Program
from hub.runtime import Runtime
from hub.web import pacing
from hub.web.problems import Problem

PREFIX = "hubkey_"
SCOPES = (
    "members:read",
    "transactions:read",
    "vouchers:read",
    "redeem",
    "claim",
    "events",
    "simulate",
    "staff",
    "tiers",
    "program",
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls the API."""

    key: str
    program: Program
    scopes: frozenset[str]

    @property
    def actor(self) -> str:
        """As noted on entries and in the audit."""
        return f"key:{self.key}"


def create(
    session: Session, program: Program, *, name: str, scopes: Iterable[str], actor: str
) -> tuple[str, str]:
    """Make a key; returns its public id and the secret, which is shown once and stored hashed."""
    wanted = sorted(set(scopes))
    secret = PREFIX + secrets.token_urlsafe(32)
    row = run(
        session,
        """INSERT INTO api_keys (public_id, program_id, name, secret_hash, scopes)
           VALUES (:public_id, :program, :name, :hash, :scopes) RETURNING public_id""",
        {
            "public_id": new_id("key"),
            "program": program.id,
            "name": name,
            "hash": _hash(secret),
            "scopes": wanted,
        },
    )[0]
    record(session, program.id, actor, "api_key.created", row.public_id, {"scopes": wanted})
    return row.public_id, secret


def revoke(session: Session, program: Program, key: str, *, actor: str) -> bool:
    """From the next request on this key (its public id) opens nothing; False when there is no such key, or it
    was revoked before."""
    rows = run(
        session,
        """UPDATE api_keys SET revoked_at = now()
           WHERE program_id = :program AND public_id = :key AND revoked_at IS NULL RETURNING 1""",
        {"program": program.id, "key": key},
    )
    if rows:
        record(session, program.id, actor, "api_key.revoked", key)
    return bool(rows)


def of_program(session: Session, program: Program) -> list[dict[str, Any]]:
    """A program's keys, without their secrets, oldest first."""
    rows = run(
        session,
        """SELECT public_id AS id, name, array_to_string(scopes, ', ') AS scopes, created_at AS made_at,
                  last_used_at, revoked_at
           FROM api_keys WHERE program_id = :program ORDER BY id""",
        {"program": program.id},
    )
    return [dict(row._mapping) for row in rows]


def requires(scope: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A view that needs a key with this scope; the caller is `caller()` inside."""

    def wrap(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            g.caller = _caller()
            pacing.admit(current_app, g.caller.key)
            if scope not in g.caller.scopes:
                raise Problem(
                    403,
                    "missing_scope",
                    _("Not allowed"),
                    _("This key lacks the scope {scope}.", scope=scope),
                    scope=scope,
                )
            return view(*args, **kwargs)

        documented: Callable[..., Any] = Blueprint.doc(**{"x-scope": scope})(guarded)
        return documented

    return wrap


def caller() -> Caller:
    """Who calls, inside a view that `requires` a scope."""
    found: Caller = g.caller
    return found


def _caller() -> Caller:
    runtime: Runtime = current_app.extensions["hub"]
    kind, _space, secret = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not secret:
        raise Problem(401, "no_key", _("No API key"), _("Send Authorization: Bearer <key>."))
    with runtime.looks() as session:
        rows = run(session, _FOUND, {"hash": _hash(secret)})
        if not rows:
            raise Problem(
                401, "bad_key", _("Unknown API key"), _("This key is not known or was revoked.")
            )
        row = rows[0]
        if row.unseen:
            run(session, "UPDATE api_keys SET last_used_at = now() WHERE id = :id", {"id": row.key_row})
    newest = Newest(row.number, row.created_at) if row.number is not None else None
    program = Program(**{name: getattr(row, name) for name in _PROGRAM}, newest=newest)
    return Caller(row.key, program, frozenset(row.scopes))


_FOUND = """
SELECT k.id AS key_row, k.public_id AS key, k.scopes,
       k.last_used_at IS NULL OR k.last_used_at < now() - interval '1 minute' AS unseen,
       p.id, p.public_id, p.slug, p.name, p.currency, p.time_zone, p.region, p.locale, p.starts_at,
       v.number, v.created_at
FROM api_keys k JOIN programs p ON p.id = k.program_id
LEFT JOIN LATERAL (SELECT number, created_at FROM program_versions WHERE program_id = p.id
                   ORDER BY number DESC LIMIT 1) v ON true
WHERE k.secret_hash = :hash AND k.revoked_at IS NULL"""
"""All of a request's caller in one statement: each request of a till begins with it."""
_PROGRAM = tuple(name for name in Program.__slots__ if name != "newest")


def _hash(secret: str) -> bytes:
    """The secrets are 256 random bits: a plain hash cannot be guessed back."""
    return hashlib.sha256(secret.strip().encode()).digest()
