"""A request with an Idempotency-Key is carried out once: its answer is stored in the transaction of the deed.

What was refused changed nothing and is not stored: the same key may try again. While a first request is at
work, a second one with its key waits for it, and after the lock's time-out it is told to ask again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flask import Response, g, request
from marshmallow import Schema
from psycopg.errors import LockNotAvailable
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from hub.bulk import run
from hub.desk.place import Desk, carry_out
from hub.i18n import gettext as _
from hub.web.api.door import now, runtime, transaction
from hub.web.keys import caller
from hub.web.problems import Problem

MAX_KEY = 200
KEPT = timedelta(days=30)
"""How long answers are kept. Redemptions and events know their keys for ever."""


def once(deed: Callable[[Desk], Any], schema: Schema, status: int = 200, *, key: str | None) -> Response:
    """Carry out a deed in a transaction of its own and answer with what it returns, dumped by `schema`; with
    a key the answer is stored, and the same request with the same key gets it again, byte for byte. Raises
    `Problem` 422 `key_reused` for another request with that key, 409 `in_progress` while one is at work, and
    whatever the deed refuses with."""

    def kept(desk: Desk) -> tuple[int, str, bool]:
        earlier = _claim(desk, key) if key else None
        if earlier is not None:
            return *earlier, True
        body = schema.dumps(deed(desk))
        if key:
            _keep(desk, key, status, body)
        return status, body, False

    found, body, repeated = carry_out(runtime(), caller().program, caller().actor, kept)
    return _answer(found, body, repeated=repeated)


def stored(key: str | None) -> Response | None:
    """The answer of this very request, when it was carried out before. Raises `Problem` as `once` does."""
    if key is None:
        return None
    with transaction() as session:
        rows = _look(session, caller().program.id, key)
    if not rows or rows[0].status is None:
        return None
    _compare(rows[0])
    return _answer(rows[0].status, rows[0].response, repeated=True)


def given_key(*, needed: bool = False) -> str | None:
    """The caller's key, whole: two long keys cut to the same beginning would be one request."""
    key = request.headers.get("Idempotency-Key", "")
    if needed and not key:
        said = _("Send a header Idempotency-Key: a repeated request must not be carried out twice.")
        raise Problem(400, "no_key", _("Bad request"), said)
    if len(key) > MAX_KEY:
        said = _("Idempotency-Key has at most {most} characters.", most=MAX_KEY)
        raise Problem(400, "key_too_long", _("Bad request"), said)
    return key or None


def key_reused() -> Problem:
    """The key stands for another request."""
    said = _("This Idempotency-Key was used for another request.")
    return Problem(422, "key_reused", _("Key reused"), said)


def forget(session: Session, before: Any) -> None:
    """Drop a few old answers, and none that is just being written."""
    run(
        session,
        """DELETE FROM idempotency_keys WHERE (program_id, key) IN (
               SELECT program_id, key FROM idempotency_keys WHERE created_at < :before
               ORDER BY created_at LIMIT 1000 FOR UPDATE SKIP LOCKED)""",
        {"before": before},
    )


def _claim(desk: Desk, key: str) -> tuple[int, str] | None:
    """Make the key ours; the stored answer when it was somebody's before."""
    values = {"program": desk.program.id, "key": key, "hash": _hash(), "now": now()}
    try:
        rows = run(
            desk.session,
            """INSERT INTO idempotency_keys (program_id, key, request_hash, created_at)
               VALUES (:program, :key, :hash, :now) ON CONFLICT DO NOTHING RETURNING 1""",
            values,
        )
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            raise _in_progress() from None
        raise
    if rows:
        return None
    (row,) = _look(desk.session, desk.program.id, key)
    _compare(row)
    return row.status, row.response


def _look(session: Session, program_id: int, key: str) -> Any:
    sql = """SELECT request_hash, status, response FROM idempotency_keys
             WHERE program_id = :program AND key = :key"""
    return run(session, sql, {"program": program_id, "key": key})


def _compare(row: Any) -> None:
    if row.request_hash != _hash():
        raise key_reused()


def _keep(desk: Desk, key: str, status: int, body: str) -> None:
    run(
        desk.session,
        """UPDATE idempotency_keys SET status = :status, response = :body
           WHERE program_id = :program AND key = :key""",
        {"program": desk.program.id, "key": key, "status": status, "body": body},
    )


def _hash() -> str:
    """What was asked: method, address and the body's content, however it is spaced or ordered."""
    body = json.dumps(g.get("json_body", {}), sort_keys=True, default=str)
    return hashlib.sha256(f"{request.method} {request.path}\n{body}".encode()).hexdigest()


def _in_progress() -> Problem:
    said = _("A request with this Idempotency-Key is being carried out. Ask again in a moment.")
    return Problem(409, "in_progress", _("In progress"), said)


def _answer(status: int, body: str, *, repeated: bool) -> Response:
    answer = Response(body, status, content_type="application/json")
    if repeated:
        answer.headers["Idempotency-Replayed"] = "true"
    return answer
