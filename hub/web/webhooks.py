"""`POST /webhooks/<channel token>`: the address every channel sends to; `POST /webhooks/app/<kind>`: that of
an app, for platforms where one address serves all its shops.

A WSGI door of its own in front of the application: it is the one path that has to answer thousands
of times a second, and it needs neither routing nor sessions (they were half of its cost).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

from hub.connector import Reply
from hub.settings import Settings
from hub.sync import app_door
from hub.sync.receive import CannotStore, Reception, UnknownChannel
from hub.web.body import CutOff, TooLarge, read_stream

PREFIX = "/webhooks/"
APP = "app/"

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


class WebhookDoor:
    """WSGI middleware that answers webhooks itself and passes on everything else."""

    def __init__(self, application: Application, reception: Reception, settings: Settings) -> None:
        self.application = application
        self.reception = reception
        self.settings = settings

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path: str = environ.get("PATH_INFO", "")
        if not path.startswith(PREFIX):
            return self.application(environ, start_response)
        reply = self._reply(environ, path)
        headers = {"content-type": "text/plain", **reply.headers, "content-length": str(len(reply.body))}
        start_response(f"{reply.status} {_phrase(reply.status)}", list(headers.items()))
        return [reply.body]

    def _reply(self, environ: Environ, path: str) -> Reply:
        """The answer; see `Reception.receive` for what a channel gets to hear."""
        if environ.get("REQUEST_METHOD") != "POST":
            return Reply(405, b"send it with POST\n", {"allow": "POST"})
        try:
            body = read_stream(
                environ["wsgi.input"], environ.get("CONTENT_LENGTH"), self.settings.body_limit
            )
            return self._received(path.removeprefix(PREFIX), environ, body, self._url(environ, path))
        except TooLarge:
            return Reply(413, f"the body is larger than {self.settings.body_limit_mb} MB\n".encode())
        except CutOff:
            return Reply(400, b"the body ended before its announced length\n")
        except UnknownChannel:
            return Reply(404, b"there is no channel at this address\n")
        except CannotStore:
            return Reply(503, b"not stored; try again\n", {"retry-after": "10"})

    def _received(self, named: str, environ: Environ, body: bytes, url: str) -> Reply:
        headers = _headers(environ)
        if named.startswith(APP):
            return app_door.receive(self.reception, named.removeprefix(APP), headers, body, url)
        return self.reception.receive(named, headers, body, url)

    def _url(self, environ: Environ, path: str) -> str:
        """The address as the sender knows it: some platforms sign it."""
        query = environ.get("QUERY_STRING")
        return f"{self.settings.public_url}{path}{f'?{query}' if query else ''}"


def _headers(environ: Environ) -> Mapping[str, str]:
    """Lower-case names; WSGI upper-cases them and joins repeated ones with commas."""
    headers = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_") and isinstance(value, str)
    }
    if environ.get("CONTENT_TYPE"):
        headers["content-type"] = environ["CONTENT_TYPE"]
    return headers


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Status"
