"""Shopify's token endpoint: how it is asked, and what its answers hold."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from hub.errors import BadPayload, ChannelDown
from hub.http import Answer, Http
from hub.payload import parse_json

UNCLEAR = frozenset({"timeout", "unreachable", "cut_off", "too_long", "not_json", "bad_answer"})
"""Codes of `ChannelDown` after which what was asked for may have been done all the same; so may every
`http_5xx`. A throttled mutation did not run."""
_SHORTEST = 60
_LONGEST = 90 * 24 * 3600


def base_url(settings: Mapping[str, Any]) -> str:
    """Where the shop's Admin API is."""
    return settings.get("api_base") or f"https://{settings['shop']}"


def ask(http: Http, base: str, form: Mapping[str, str]) -> Answer:
    """POST to the token endpoint. Raises `ChannelDown`; every other answer is returned."""
    try:
        return http.request(
            "POST",
            f"{base}/admin/oauth/access_token",
            headers={"content-type": "application/x-www-form-urlencoded", "accept": "application/json"},
            body=urlencode(form).encode(),
        )
    finally:
        # The exchange is stored on the attempt: neither secrets nor tokens may stay in it.
        for exchange in http.exchanges[-1:]:
            exchange.request = f"grant_type={form.get('grant_type', 'code')}&..."
            exchange.response = "..." if exchange.status == 200 else exchange.response


def is_unclear(error: ChannelDown) -> bool:
    """Whether what was asked for may have been done although no answer came."""
    return error.code in UNCLEAR or error.code.startswith("http_5")


def text_in(answer: Answer, name: str) -> str:
    """A text of a good answer. Raises `ChannelDown` when it is not there."""
    body = answer.json()
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, str) or not value:
        raise ChannelDown("bad_answer", f"Shopify answered the token request without {name}")
    return value


def token_lasts(answer: Answer, name: str, otherwise: int) -> timedelta:
    """The seconds in a good answer, as far as they are sensible: 1 minute to 90 days."""
    body = answer.json()
    seconds = body.get(name) if isinstance(body, dict) else None
    lasts = seconds if isinstance(seconds, int) else otherwise
    return timedelta(seconds=min(max(lasts, _SHORTEST), _LONGEST))


def reason(answer: Answer) -> str:
    """OAuth's error code in a refusal, for people."""
    try:
        body = parse_json(answer.body)
    except BadPayload:
        return "without a reason"
    return str(body.get("error", ""))[:60] if isinstance(body, dict) else ""
