"""Logs: one line an event, JSON or for people, with a request id and without secrets or people.

What is logged are ids and codes. The processor here is the second line of defence: values under
keys that hold secrets or personal data are replaced, whatever a caller passes.
"""

from __future__ import annotations

import logging
import re
import secrets
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars, merge_contextvars
from structlog.typing import Processor

MASKED = "[masked]"

_CONFIDENTIAL_KEYS = """
    password passwd passphrase secret secrets webhook_secret previous_webhook_secret client_secret
    consumer_secret consumer_key token access_token refresh_token bearer authorization api_key
    apikey key keys private_key signature hmac cookie set_cookie session csrf_token otp pin
    database_url redis_url dsn settings headers
"""
_PERSONAL_KEYS = """
    name first_name last_name full_name display_name customer_name email emails phone phones
    mobile address addresses address1 address2 street city postcode zip birthday date_of_birth card
    cards ip ip_address remote_addr user_agent body payload raw request_body response_body customer
    identities identity
"""
_HIDDEN = frozenset((_CONFIDENTIAL_KEYS + _PERSONAL_KEYS).split())
_URL_PASSWORD = re.compile(r"(://[^:/@\s]*):[^@\s/]*@")
_CONTROL = {n: f"\\x{n:02x}" for n in (*range(32), 127) if chr(n) not in "\n\t"}
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_QUIET = {"alembic": logging.WARNING, "rq": logging.WARNING, "urllib3": logging.WARNING}


def configure(
    level: str = "info", style: str = "auto", *, process: str = "hub", stream: TextIO | None = None
) -> None:
    """Send everything (structlog and the standard library's loggers) to `stream` (stderr).

    `style` is json, console or auto (console on a terminal); `process` is put on every line."""
    stream = stream or sys.stderr
    people = style == "console" or (style == "auto" and stream.isatty())
    shared: list[Processor] = [
        merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _adder(process),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=_last(people, stream.isatty()),
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(quiet)


def beside() -> None:
    """What a command logs goes to standard error, for people: standard output is what was asked for, and may be
    JSON. Nothing where logs were configured before."""
    if not structlog.is_configured():
        structlog.configure(
            processors=[
                merge_contextvars,
                structlog.processors.add_log_level,
                _mask_processor,
                *_for_people(sys.stderr.isatty()),
            ],
            logger_factory=lambda *_names: structlog.PrintLogger(sys.stderr),
            cache_logger_on_first_use=False,
        )


def begin_request(given: str | None = None) -> str:
    """Start a request's (or job's) context and return its id: the caller's X-Request-Id when it is
    a harmless word of 8 to 64 characters, else a new one. All lines until the next carry it."""
    sound = given is not None and _REQUEST_ID.fullmatch(given) is not None
    request_id = given if given is not None and sound else f"req_{secrets.token_hex(8)}"
    clear_contextvars()
    bind_contextvars(request_id=request_id)
    return request_id


def mask(event: Any) -> Any:
    """A copy in which values under telling keys, and passwords inside URLs, are replaced."""
    if isinstance(event, Mapping):
        return {
            key: MASKED if _is_hidden(key) and value not in (None, "") else mask(value)
            for key, value in event.items()
        }
    if isinstance(event, list | tuple):
        return [mask(item) for item in event]
    if isinstance(event, str):
        return _URL_PASSWORD.sub(r"\1:***@", event)
    return event


def _is_hidden(key: object) -> bool:
    return str(key).lower().replace("-", "_").removeprefix("x_") in _HIDDEN


def _mask_processor(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    own = {name: event.pop(name) for name in ("_record", "_from_structlog", "exc_info") if name in event}
    return {**mask(event), **own}


def _escape(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """No event may write a line of its own or move the cursor of whoever reads the log."""
    return {k: v.translate(_CONTROL) if isinstance(v, str) else v for k, v in event.items()}


def _adder(process: str) -> Processor:
    def add(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.setdefault("process", process)
        return event

    return add


def _last(people: bool, colours: bool) -> list[Processor]:
    steps: list[Processor] = [
        _mask_processor,
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
    ]
    if people:
        return [*steps, *_for_people(colours)]
    return [*steps, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


def _for_people(colours: bool) -> list[Processor]:
    # plain: the renderer's own tracebacks show the values of variables, which are people's data
    plain = structlog.dev.plain_traceback
    return [_escape, structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=plain)]
