"""A request with an Idempotency-Key is carried out once: its answer is stored in the transaction of the deed.

What was refused changed nothing and is not stored: the same key may try again. While a first request is at
work, a second one with its key waits for it, and after the lock's time-out it is told to ask again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flask import Response, g, request
from marshmallow import Schema
from psycopg.errors import LockNotAvailable
from sqlalchemy.exc import OperationalError

from hub import answers
from hub.answers import Answer
from hub.desk.ending import Ending
from hub.desk.place import Desk, carry_out
from hub.i18n import gettext as _
from hub.web.api.door import now, runtime, transaction
from hub.web.keys import caller
from hub.web.problems import Problem

MAX_KEY = 200


def once(
    deed: Callable[[Desk], Any],
    schema: Schema,
    status: int = 200,
    *,
    key: str | None,
    fast: bool = False,
) -> Response:
    """Carry out a deed in a transaction of its own and answer with what it returns, dumped by `schema`; with
    a key the answer is stored, and the same request with the same key gets it again, byte for byte. Raises
    `Problem` 422 `key_reused` for another request with that key, 409 `in_progress` while one is at work, and
    whatever the deed refuses with. `fast`: a till waits for it, and it rehearses nothing: its notes and what
    channels are told are written with the answer, in one statement."""

    def kept(desk: Desk) -> Response:
        earlier = _claim(desk, key) if key else None
        if earlier is not None:
            return earlier
        ending = Ending(desk.program.id, desk.actor)
        body = schema.dumps(deed(replace(desk, ending=ending) if fast else desk))
        ending.answer = (key, status, body) if key else None
        ending.write(desk.session)
        return Response(body, status, content_type="application/json")

    return carry_out(runtime(), caller().program, caller().actor, kept)


def stored(key: str | None) -> Response | None:
    """The answer of this very request, when it was carried out before. Raises `Problem` as `once` does."""
    if key is None:
        return None
    with transaction() as session:
        found = answers.find(session, caller().program.id, key)
    return _again(found) if found else None


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


def _claim(desk: Desk, key: str) -> Response | None:
    """Make the key ours; the stored answer when it was somebody's before."""
    try:
        if answers.claim(desk.session, desk.program.id, key, _hash(), now()):
            return None
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            raise _in_progress() from None
        raise
    found = answers.find(desk.session, desk.program.id, key)
    if found is None:
        raise _in_progress()
    return _again(found)


def _again(found: Answer) -> Response:
    if found.request_hash != _hash():
        raise key_reused()
    answer = Response(found.response, found.status, content_type="application/json")
    answer.headers["Idempotency-Replayed"] = "true"
    return answer


def _hash() -> str:
    """What was asked: method, address and the body's content, however it is spaced or ordered."""
    body = json.dumps(g.get("json_body", {}), sort_keys=True, default=str)
    return hashlib.sha256(f"{request.method} {request.path}\n{body}".encode()).hexdigest()


def _in_progress() -> Problem:
    said = _("A request with this Idempotency-Key is being carried out. Ask again in a moment.")
    return Problem(409, "in_progress", _("In progress"), said)
