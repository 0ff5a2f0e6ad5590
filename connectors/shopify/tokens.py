"""The access token of the Admin API: pasted, or granted for a day and kept in the channel's state.

https://shopify.dev/docs/apps/build/authentication-authorization/client-credentials-grant
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NoReturn
from urllib.parse import urlencode

from hub.connector import ChannelHandle
from hub.errors import BadPayload, ChannelDown, Misconfigured
from hub.http import Answer
from hub.payload import parse_json

_MARGIN = timedelta(minutes=5)
_LEASE_SECONDS = 45.0
_SHORTEST = 60
_LONGEST = 90 * 24 * 3600


def base_url(settings: Mapping[str, Any]) -> str:
    """Where the shop's Admin API is."""
    return settings.get("api_base") or f"https://{settings['shop']}"


def access_token(channel: ChannelHandle, refused: str | None = None) -> str:
    """A token that is not `refused` (the one Shopify has just answered 401 to).

    Raises `Misconfigured` when there is no other, `ChannelDown` when another worker is getting one.
    """
    pasted: str = channel.settings.get("access_token") or ""
    if pasted:
        return _refuse() if pasted == refused else pasted
    if not channel.settings.get("client_id"):
        raise Misconfigured(
            "no_api_access",
            "the Admin API cannot be used: set access_token, or client_id and client_secret",
        )
    return _kept(channel, refused) or _granted(channel, refused)


def _kept(channel: ChannelHandle, refused: str | None) -> str | None:
    token = channel.state()[0].get("token")
    if not isinstance(token, dict) or token.get("value") in (None, refused):
        return None
    fresh = datetime.fromisoformat(token["expires_at"]) - _MARGIN > channel.now()
    return token["value"] if fresh else None


def _granted(channel: ChannelHandle, refused: str | None) -> str:
    with channel.once("token", _LEASE_SECONDS) as lease:
        if lease is None:
            raise ChannelDown(
                "token_under_way",
                "another worker is asking Shopify for an access token",
                retry_at=channel.now() + timedelta(seconds=2),
            )
        if kept := _kept(channel, refused):
            return kept
        value, expires_at = _ask(channel)
        if value == refused:
            _refuse()
        _keep(channel, {"value": value, "expires_at": expires_at.isoformat()})
        return value


def _keep(channel: ChannelHandle, token: dict[str, str]) -> None:
    """Compare and set; when others keep saving, the token is used once and asked for again."""
    for _ in range(5):
        state, version = channel.state()
        if channel.save_state({**state, "token": token}, version):
            return


def _ask(channel: ChannelHandle) -> tuple[str, datetime]:
    settings, http = channel.settings, channel.http
    form = {
        "grant_type": "client_credentials",
        "client_id": settings["client_id"],
        "client_secret": settings.get("client_secret") or settings.get("webhook_secret") or "",
    }
    try:
        answer = http.request(
            "POST",
            f"{base_url(settings)}/admin/oauth/access_token",
            headers={"content-type": "application/x-www-form-urlencoded", "accept": "application/json"},
            body=urlencode(form).encode(),
        )
    finally:
        # The exchange is stored on the attempt: neither the secret nor the token may stay in it.
        for exchange in http.exchanges[-1:]:
            exchange.request = "grant_type=client_credentials&..."
            exchange.response = "..." if exchange.status == 200 else exchange.response
    return _token_of(answer, channel.now())


def _token_of(answer: Answer, now: datetime) -> tuple[str, datetime]:
    if answer.status != 200:
        raise Misconfigured(
            "client_refused",
            f"Shopify grants no token ({answer.status} {_reason(answer)}): check client_id and "
            "client_secret, and that the app is installed in a shop of the same organisation",
        )
    granted = answer.json()
    value = granted.get("access_token") if isinstance(granted, dict) else None
    if not isinstance(value, str) or not value:
        raise ChannelDown("bad_answer", "Shopify answered the token request without a token")
    seconds = granted.get("expires_in")
    lasts = seconds if isinstance(seconds, int) else 24 * 3600
    return value, now + timedelta(seconds=min(max(lasts, _SHORTEST), _LONGEST))


def _reason(answer: Answer) -> str:
    try:
        body = parse_json(answer.body)
    except BadPayload:
        return "without a reason"
    return str(body.get("error", ""))[:60] if isinstance(body, dict) else ""


def _refuse() -> NoReturn:
    raise Misconfigured(
        "token_refused",
        "Shopify refuses the access token: the app was removed or its token revoked; install the app "
        "again and set access_token, or client_id and client_secret",
    )
