"""`POST /webhooks/<channel token>`: the address every channel sends to."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, request

from hub.connector import Reply
from hub.runtime import Runtime
from hub.sync.receive import CannotStore, Reception, UnknownChannel
from hub.web.body import CutOff, TooLarge, read

blueprint = Blueprint("webhooks", __name__)


@blueprint.post("/webhooks/<token>")
def webhook(token: str) -> Response:
    """Store one message and say so; see `Reception.receive` for the answers."""
    reception: Reception = current_app.extensions["reception"]
    runtime: Runtime = current_app.extensions["hub"]
    try:
        body = read(request, runtime.settings.body_limit)
        url = f"{runtime.settings.public_url}{request.full_path.removesuffix('?')}"
        return _answer(reception.receive(token, dict(request.headers), body, url))
    except TooLarge:
        return Response(f"the body is larger than {runtime.settings.body_limit_mb} MB\n", 413)
    except CutOff:
        return Response("the body ended before its announced length\n", 400)
    except UnknownChannel:
        return Response("there is no channel at this address\n", 404)
    except CannotStore:
        return Response("not stored; try again\n", 503, {"retry-after": "10"})


def _answer(reply: Reply) -> Response:
    return Response(reply.body, reply.status, dict(reply.headers), content_type="text/plain")
