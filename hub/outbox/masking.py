"""What of a stored message may be shown: signatures, tokens and secrets are not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

MASKED = "•••"
_SECRET_HEADERS = re.compile(
    r"signature|hmac|authorization|cookie|token|secret|api-?key|password", re.IGNORECASE
)
_SECRET_PAIRS = re.compile(
    r"""(?ix)
    (["']? \b (?: [a-z_]*secret | [a-z_]*token | password | consumer_key | api_?key | oauth_signature ) ["']?
       \s* [:=] \s*)          # "access_token": or access_token=
    (?: "[^"]*" | '[^']*' | [^\s&,;}"']+ )
    """
)
_LEAST = 8
"""A secret shorter than this is no secret, and its letters stand in other words."""


def headers(given: Mapping[str, str]) -> dict[str, str]:
    """The headers with what signs or opens something masked; its length still tells a cut."""
    return {
        name: f"{MASKED} ({len(value)})" if _SECRET_HEADERS.search(name) else value
        for name, value in given.items()
    }


def text(given: str, secrets: Iterable[str] = ()) -> str:
    """A request or an answer without the channel's own secrets, and without the values of fields
    that are named like one."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= _LEAST:
            given = given.replace(secret, MASKED)
    return _SECRET_PAIRS.sub(lambda found: f"{found[1]}{MASKED}", given)
