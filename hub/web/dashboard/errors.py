"""What goes wrong on a page, as a page: what happened and what to press. The API keeps its problems."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Flask, Response, g, render_template, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from hub.db import AWAY
from hub.i18n import gettext as _
from hub.web import problems
from hub.web.dashboard.visit import blueprint

ERROR_WORDS: Mapping[int, tuple[str, str]] = {
    400: ("This cannot be understood", "The request is not as it should be. Go back and try again."),
    403: ("Not allowed", "Your role in this programme does not include this. Ask its owner."),
    404: ("Nothing here", "There is nothing at this address, or it belongs to a programme that is not yours."),
    405: ("Not like this", "This address takes another kind of request. Go back and try again."),
    413: ("Too large", "What was sent is too large."),
    419: ("This page was open for too long", "Nothing was changed. Go back, load the page anew and try again."),
    500: ("The hub failed", "It is noted in the hub's log. Nothing was half done; try again, or report it."),
    503: ("Try again in a moment", "The database did not answer in time. Nothing was changed."),
}  # fmt: skip
"""Status -> title and sentence."""

_MACHINES = ("/api/", "/docs/", "/static/", "/healthz", "/readyz", "/metrics")


def install(app: Flask) -> None:
    """Answer errors of pages as pages; call it after `problems.install`. What is raised inside a
    view of the dashboard is caught by its blueprint, the rest (no such address) here."""
    for status in (404, 405, 500):
        app.register_error_handler(status, _http)


def page(status: int) -> Response:
    """The page of one status."""
    title, sentence = ERROR_WORDS.get(status, ERROR_WORDS[400 if status < 500 else 500])
    number = g.get("request_id", "") if status >= 500 else ""
    text = render_template(
        "error.html", status=status, title=_(title), sentence=_(sentence), number=number
    )
    return Response(text, 400 if status == 419 else status, content_type="text/html; charset=utf-8")


@blueprint.errorhandler(HTTPException)
def _http(error: HTTPException) -> AnyResponse | HTTPException:
    if request.path.startswith(_MACHINES):
        return problems.http(error)
    if error.code is not None and error.code < 400:
        return error
    return page(error.code or 500)


@blueprint.errorhandler(CSRFError)
def _expired(_error: CSRFError) -> Response:
    """The token is missing, of another login, or too old."""
    return page(419)


@blueprint.errorhandler(AWAY[0])
@blueprint.errorhandler(AWAY[1])
def _away(_error: Exception) -> Response:
    answer = page(503)
    answer.headers["Retry-After"] = "5"
    return answer
