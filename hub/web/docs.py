"""Documents that integrators fetch: the JSON Schemas of messages our own connectors define."""

from __future__ import annotations

from flask import Blueprint, Response, abort, current_app

from hub.registry import CONNECTORS
from hub.runtime import Runtime

blueprint = Blueprint("docs", __name__, url_prefix="/docs")


@blueprint.get("/<name>.schema.json")
def schema(name: str) -> Response:
    """One schema, open to everybody."""
    runtime: Runtime = current_app.extensions["hub"]
    for kind in (*CONNECTORS, *runtime.settings.connectors):
        document = runtime.connector_class(kind).message_schemas().get(name)
        if document is not None:
            return Response(document, content_type="application/schema+json")
    return abort(404)
