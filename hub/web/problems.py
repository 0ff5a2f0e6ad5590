"""Errors as RFC 9457 problem JSON: a stable code for machines, a sentence for people."""

from __future__ import annotations

import json
from typing import Any

from flask import Flask, Response, request
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from hub.errors import BadPayload
from hub.payload import first_error
from hub.web.body import CutOff, TooLarge


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
        if self.status == 503:
            answer.headers["Retry-After"] = "5"
        if self.status == 401:
            answer.headers["WWW-Authenticate"] = "Bearer"
        return answer


def not_found(what: str) -> Problem:
    """Also what belongs to another program: its existence is nobody's business."""
    return Problem(404, "not_found", "Not found", f"There is no such {what}.")


def install(app: Flask) -> None:
    """Answer every error of the API as a problem; other pages keep plain text."""
    app.register_error_handler(Problem, lambda problem: problem.response())
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(OperationalError, _away)
    app.register_error_handler(PoolTimeout, _away)
    app.register_error_handler(BadPayload, _payload)
    app.register_error_handler(TooLarge, _too_large)
    app.register_error_handler(CutOff, _cut_off)


def _http(error: HTTPException) -> Response | HTTPException:
    if not request.path.startswith("/api/"):
        return error
    status = error.code or 500
    if status == 422:
        return _invalid(error)
    code = (error.name or "error").lower().replace(" ", "_").replace("-", "_")
    answer = Problem(status, code, error.name, (error.description or error.name)).response()
    if status == 405 and "Allow" in error.get_response().headers:
        answer.headers["Allow"] = error.get_response().headers["Allow"]
    return answer


def _invalid(error: HTTPException) -> Response:
    """What webargs found, as one sentence and the whole list."""
    messages = getattr(error, "data", {}).get("messages", {})
    path, sentence = first_error(messages, "$")
    detail = f"{path.removeprefix('$.')}: {sentence}"
    return Problem(422, "invalid_request", "Invalid request", detail, errors=messages).response()


def _payload(error: BadPayload) -> Response:
    return Problem(400, error.code, "Bad request", error.detail).response()


def _too_large(_: TooLarge) -> Response:
    return Problem(413, "too_large", "Too large", "The body is larger than this API takes.").response()


def _cut_off(_: CutOff) -> Response:
    detail = "The body ended before its announced length."
    return Problem(400, "cut_off", "Bad request", detail).response()


def _away(_: Exception) -> Response:
    detail = "The database did not answer in time; nothing was changed. Try again."
    return Problem(503, "database_away", "Try again", detail).response()
