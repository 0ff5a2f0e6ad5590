"""Errors as RFC 9457 problem JSON: a stable code for machines, a sentence for people.

Title and detail are in the language the caller asks for (Accept-Language); code and type never
change with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, NotFound

from hub import i18n, words
from hub.db import AWAY
from hub.errors import BadPayload
from hub.i18n import gettext as _
from hub.payload import first_error
from hub.web.body import CutOff, TooLarge

HTTP_WORDS: Mapping[int, tuple[str, str]] = {
    400: ("Bad request", "The request cannot be understood."),
    404: ("Not found", "There is nothing at this address."),
    405: ("Method not allowed", "This address does not take this method."),
    406: ("Not acceptable", "This API answers in JSON."),
    413: ("Too large", "The body is larger than this API takes."),
    415: ("Unsupported media type", "This API takes JSON: send Content-Type: application/json."),
    500: ("Internal error", "The hub failed; its log says how."),
}
"""Status -> title and detail, for what Flask and the schemas refuse by themselves."""

NOT_FOUND_WORDS: Mapping[str, str] = {
    "channel": "There is no such channel.",
    "gift_card": "There is no such gift card.",
    "member": "There is no such member.",
    "redemption": "There is no such redemption.",
    "reward": "There is no such reward.",
    "staff": "Nobody of the staff is called so.",
    "transaction": "There is no such transaction.",
    "version": "There is no such version.",
    "voucher": "There is no such voucher.",
}


class Problem(Exception):
    """An answer that is an error. `code` is stable snake_case; more members tell the numbers."""

    def __init__(self, status: int, code: str, title: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.code, self.title, self.detail, self.more = status, code, title, detail, more

    def response(self) -> Response:
        """As `application/problem+json`."""
        content = {
            "type": f"/problems/{self.code.replace('_', '-')}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            **self.more,
        }
        answer = Response(json.dumps(content), self.status, content_type="application/problem+json")
        answer.headers["Content-Language"] = i18n.language()
        answer.vary.add("Accept-Language")
        if self.status == 503:
            answer.headers["Retry-After"] = "5"
        if "retry_after" in self.more:
            answer.headers["Retry-After"] = str(self.more["retry_after"])
        if self.status == 401:
            answer.headers["WWW-Authenticate"] = "Bearer"
        return answer


def not_found(what: str) -> Problem:
    """Also what belongs to another program: its existence is nobody's business."""
    return Problem(404, "not_found", _("Not found"), _(NOT_FOUND_WORDS[what]))


def install(app: Flask) -> None:
    """Answer every error of the API as a problem, in the caller's language; other pages keep plain
    text."""
    app.before_request(_listen)
    app.before_request(_refuse_nul)
    app.register_error_handler(Problem, lambda problem: problem.response())
    app.register_error_handler(HTTPException, http)
    for error in AWAY:
        app.register_error_handler(error, _away)
    app.register_error_handler(BadPayload, _payload)
    app.register_error_handler(TooLarge, _too_large)
    app.register_error_handler(CutOff, _cut_off)


def _listen() -> None:
    """Each request says its language anew: the thread it runs in served others before."""
    wishes = (wish.partition("-")[0].lower() for wish, quality in request.accept_languages if quality)
    i18n.speak(next((wish for wish in wishes if wish in i18n.LANGUAGES), i18n.SOURCE))


def _refuse_nul() -> None:
    """No text in PostgreSQL holds U+0000: what such an address names does not exist."""
    if "\x00" in request.path:
        raise NotFound
    if any("\x00" in text for _, text in request.args.items(multi=True)):
        raise BadPayload("bad_character", "the query holds the character U+0000")


def http(error: HTTPException) -> Response | HTTPException:
    """An error that Flask or the schemas raise, as a problem; other pages than the API keep plain text."""
    if not request.path.startswith("/api/"):
        return error
    status = error.code or 500
    if status == 422:
        return _invalid(error)
    code = (error.name or "error").lower().replace(" ", "_").replace("-", "_")
    title, detail = HTTP_WORDS.get(status, (error.name, error.description or error.name))
    answer = Problem(status, code, _(title), _(detail)).response()
    if status == 405 and "Allow" in error.get_response().headers:
        answer.headers["Allow"] = error.get_response().headers["Allow"]
    return answer


def _invalid(error: HTTPException) -> Response:
    """What webargs found, as one sentence and the whole list."""
    messages = _worded(getattr(error, "data", {}).get("messages", {}))
    path, sentence = first_error(messages, "$")
    named = path.removeprefix("$").lstrip(".").partition(".")[2]  # without "json" or "query"
    detail = f"{named}: {sentence}" if named else sentence
    return Problem(422, "invalid_request", _("Invalid request"), detail, errors=messages).response()


def _worded(messages: Any) -> Any:
    """The schemas' nested messages, each sentence in the language in force."""
    if isinstance(messages, Mapping):
        return {key: _worded(inner) for key, inner in messages.items()}
    if isinstance(messages, list):
        return [_worded(inner) for inner in messages]
    return words.of_field(messages) if isinstance(messages, str) else messages


def _payload(error: BadPayload) -> Response:
    """The detail as it was found is English; other languages get the code's sentence and the path."""
    detail = error.detail
    if i18n.language() != i18n.SOURCE:
        detail = f"{error.path}: {words.of_fault(error.code, error.fault, error.detail)}"
    return Problem(400, error.code, _("Bad request"), detail).response()


def _too_large(_error: TooLarge) -> Response:
    title, detail = HTTP_WORDS[413]
    return Problem(413, "too_large", _(title), _(detail)).response()


def _cut_off(_error: CutOff) -> Response:
    detail = _("The body ended before its announced length.")
    return Problem(400, "cut_off", _("Bad request"), detail).response()


def _away(_error: Exception) -> Response:
    detail = _("The database did not answer in time; nothing was changed. Try again.")
    return Problem(503, "database_away", _("Try again"), detail).response()
