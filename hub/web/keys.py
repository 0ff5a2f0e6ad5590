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
from hub.program import store
from hub.program.store import Program
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
    "tiers",
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
    with runtime.sessions.begin() as session:
        rows = run(
            session,
            "SELECT id, public_id, program_id, scopes, last_used_at FROM api_keys"
            " WHERE secret_hash = :hash AND revoked_at IS NULL",
            {"hash": _hash(secret)},
        )
        if not rows:
            raise Problem(
                401, "bad_key", _("Unknown API key"), _("This key is not known or was revoked.")
            )
        run(
            session,
            """UPDATE api_keys SET last_used_at = now()
               WHERE id = :id AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')""",
            {"id": rows[0].id},
        )
        program = store.by_id(session, rows[0].program_id)
    return Caller(rows[0].public_id, program, frozenset(rows[0].scopes))


def _hash(secret: str) -> bytes:
    """The secrets are 256 random bits: a plain hash cannot be guessed back."""
    return hashlib.sha256(secret.strip().encode()).digest()
