"""Tokens of the client credentials grant: for an app and a shop of one organisation, good for a day.

https://shopify.dev/docs/apps/build/authentication-authorization/client-credentials-grant
"""

from __future__ import annotations

from datetime import datetime, timedelta

from connectors.shopify.endpoint import ask, base_url, reason, text_in, token_lasts
from hub.connector import ChannelHandle
from hub.errors import ChannelDown, Misconfigured

_MARGIN = timedelta(minutes=5)
_DAY = 24 * 3600
_LEASE_SECONDS = 45.0


def token(channel: ChannelHandle, refused: str | None) -> str | None:
    """A token that is not `refused`: the kept one, else a new one. None when Shopify grants the
    refused one again. Raises `Misconfigured`, and `ChannelDown` while another worker asks."""
    return _kept(channel, refused) or _granted(channel, refused)


def _kept(channel: ChannelHandle, refused: str | None) -> str | None:
    kept = channel.state()[0].get("token")
    if not isinstance(kept, dict) or kept.get("value") in (None, refused):
        return None
    fresh = datetime.fromisoformat(kept["expires_at"]) - _MARGIN > channel.now()
    return str(kept["value"]) if fresh else None


def _granted(channel: ChannelHandle, refused: str | None) -> str | None:
    with channel.once("token", _LEASE_SECONDS) as lease:
        if lease is None:
            raise under_way(channel)
        if kept := _kept(channel, refused):
            return kept
        value, expires_at = _ask(channel)
        if value == refused:
            return None
        _keep(channel, {"value": value, "expires_at": expires_at.isoformat()})
        return value


def under_way(channel: ChannelHandle) -> ChannelDown:
    """Another worker is asking for the token that is needed."""
    return ChannelDown(
        "token_under_way",
        "another worker is asking Shopify for an access token",
        retry_at=channel.now() + timedelta(seconds=2),
    )


def _keep(channel: ChannelHandle, token: dict[str, str]) -> None:
    """Compare and set; when others keep saving, the token is used once and asked for again."""
    for _ in range(5):
        state, version = channel.state()
        if channel.save_state({**state, "token": token}, version):
            return


def _ask(channel: ChannelHandle) -> tuple[str, datetime]:
    settings = channel.settings
    form = {
        "grant_type": "client_credentials",
        "client_id": settings["client_id"],
        "client_secret": settings.get("client_secret") or settings.get("webhook_secret") or "",
    }
    answer = ask(channel.http, base_url(settings), form)
    if answer.status != 200:
        raise Misconfigured(
            "client_refused",
            f"Shopify grants no token ({answer.status} {reason(answer)}): check client_id and "
            "client_secret, and that the app is installed in a shop of the same organisation",
        )
    return text_in(answer, "access_token"), channel.now() + token_lasts(answer, "expires_in", _DAY)
