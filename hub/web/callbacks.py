"""`POST /connect/<kind>/callback`: where a shop's own server brings what it grants the hub.

Nobody is logged in here. What proves the caller is the state of a handshake that a person began, of use
once; the connector proves the rest by asking the shop. The answer is 200 or the platform takes its
grant back.
"""

from __future__ import annotations

import structlog
from flask import Blueprint, Response, current_app, request

from hub import handshakes
from hub.connector import Brought
from hub.db import AWAY
from hub.errors import ChannelDown, Fault
from hub.handshakes import Unknown
from hub.registry import UnknownConnector
from hub.runtime import Runtime
from hub.web.body import CutOff, TooLarge, read

log = structlog.get_logger()
blueprint = Blueprint("callbacks", __name__)

_LONGEST = 16 * 1024


@blueprint.post("/connect/<kind>/callback")
def called_back(kind: str) -> Response:
    """Take what was brought and connect the channel. 404 for a state that is not (any more) good."""
    runtime: Runtime = current_app.extensions["hub"]
    try:
        brought = Brought((), read(request, _LONGEST), runtime.clock())
        added = handshakes.finish(runtime, kind, brought)
    except (Unknown, UnknownConnector, NotImplementedError):
        return _said(404, "nobody waits for this")
    except TooLarge:
        return _said(413, "too long")
    except CutOff:
        return _said(400, "cut off")
    except AWAY:
        return _said(503, "not stored")
    except Fault as fault:
        log.info("a shop's grant was not taken", kind=kind, code=fault.code)
        return _said(502 if isinstance(fault, ChannelDown) else 422, fault.detail)
    log.info("a shop was connected", kind=kind, channel=added.public_id)
    return _said(200, "connected")


def _said(status: int, sentence: str) -> Response:
    return Response(f"{sentence}\n", status, content_type="text/plain; charset=utf-8")
