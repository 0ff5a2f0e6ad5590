"""Who did what: an append-only table, written in the same transaction as the deed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.i18n import gettext as _


def record(
    session: Session,
    program_id: int | None,
    actor: str,
    action: str,
    subject: str,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Note one deed. `actor` is `user:<id>`, `key:<id>`, `cli:<login>` or `hub:<part>`; the detail
    holds no secret and no personal data."""
    noted = {
        "actions": [action],
        "subjects": [subject],
        "details": [json.dumps(dict(detail or {}))],
    }
    run(session, RECORDED, {"program": program_id, "actor": actor, **noted})


RECORDED = """INSERT INTO audit (program_id, actor, action, subject, detail)
    SELECT CAST(:program AS bigint), CAST(:actor AS text), a.action, a.subject, CAST(a.detail AS jsonb)
    FROM unnest(CAST(:actions AS text[]), CAST(:subjects AS text[]), CAST(:details AS text[]))
        WITH ORDINALITY AS a(action, subject, detail, n) ORDER BY a.n"""
"""One actor's deeds, in their order."""


def actor_names(session: Session, actors: Iterable[str]) -> dict[str, str]:
    """Who these are, for people: a user's name, an API key's, the login of the command line."""
    wanted = sorted(set(actors))
    known = run(
        session,
        """SELECT 'user:' || public_id AS actor, coalesce(nullif(name, ''), email) AS name FROM users
           WHERE 'user:' || public_id = ANY(:actors)
           UNION ALL SELECT 'key:' || public_id, name FROM api_keys WHERE 'key:' || public_id = ANY(:actors)""",
        {"actors": wanted},
    )
    names = {row.actor: row.name for row in known}
    return {actor: names.get(actor) or _unnamed(actor) for actor in wanted}


def _unnamed(actor: str) -> str:
    kind, _colon, name = actor.partition(":")
    if kind == "cli":
        return _("{name} on the command line", name=name)
    return _("the hub") if kind == "hub" else name or actor
