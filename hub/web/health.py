"""Whether this process lives, and whether it can serve."""

from __future__ import annotations

from functools import cache

from flask import Blueprint, Response, current_app
from sqlalchemy.exc import SQLAlchemyError

from hub import migrate
from hub.bulk import run
from hub.runtime import Runtime

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """The process answers."""
    return Response("ok\n", content_type="text/plain")


@blueprint.get("/readyz")
def readyz() -> Response:
    """The database answers, can be written, and has the schema of this code."""
    runtime: Runtime = current_app.extensions["hub"]
    missing = _missing(runtime)
    return Response(f"{missing or 'ok'}\n", 503 if missing else 200, content_type="text/plain")


def _missing(runtime: Runtime) -> str:
    """What keeps this process from serving; "" when nothing does."""
    try:
        with runtime.sessions() as session:
            row = run(
                session,
                """SELECT current_setting('transaction_read_only') = 'on' AS only_reads,
                          (SELECT version_num FROM alembic_version) AS revision""",
            )[0]
    except SQLAlchemyError:
        return "the database does not answer"
    if row.only_reads:
        return "the database only reads"
    if row.revision != _revision():
        return "the database has another schema than this code: run hub migrate"
    return ""


@cache
def _revision() -> str:
    return migrate.known_revisions()[-1]
