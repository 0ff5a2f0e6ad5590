"""Whether this process lives, and whether it can serve."""

from __future__ import annotations

from flask import Blueprint, Response, current_app
from sqlalchemy.exc import SQLAlchemyError

from hub.bulk import run
from hub.runtime import Runtime

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """The process answers."""
    return Response("ok\n", content_type="text/plain")


@blueprint.get("/readyz")
def readyz() -> Response:
    """The database answers too."""
    runtime: Runtime = current_app.extensions["hub"]
    try:
        with runtime.sessions() as session:
            run(session, "SELECT 1")
    except SQLAlchemyError:
        return Response("the database does not answer\n", 503, content_type="text/plain")
    return Response("ok\n", content_type="text/plain")
