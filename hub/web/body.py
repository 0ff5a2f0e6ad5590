"""Request bodies, bounded: also chunked ones, whose length nobody announces."""

from __future__ import annotations

from typing import IO

from flask import Request


class TooLarge(Exception):
    """The body is longer than allowed."""


class CutOff(Exception):
    """The sender stopped before the end of the body it announced."""


def read(request: Request, limit: int) -> bytes:
    """The whole body of a request. Raises `TooLarge` and `CutOff`."""
    return read_stream(request.environ["wsgi.input"], request.environ.get("CONTENT_LENGTH"), limit)


def read_stream(stream: IO[bytes], content_length: str | None, limit: int) -> bytes:
    """The whole body, at most `limit` bytes. Raises `TooLarge` and `CutOff`.

    One byte more than the limit is asked for: the server's own limit would silently cut a chunked
    body, and a cut body that is stored is lost for good.
    """
    announced = int(content_length) if content_length and content_length.isdecimal() else None
    if announced is not None and announced > limit:
        raise TooLarge
    body = bytearray()
    while len(body) <= limit:
        wanted = limit + 1 - len(body) if announced is None else announced - len(body)
        if wanted <= 0:
            break
        chunk = stream.read(min(wanted, 1 << 20))
        if not chunk:
            break
        body += chunk
    if len(body) > limit:
        raise TooLarge
    if announced is not None and len(body) < announced:
        raise CutOff
    return bytes(body)
