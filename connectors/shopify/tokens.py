"""The access token of the Admin API, whichever way the shop was connected.

Three ways: a token that was pasted, the client credentials grant (`credentials`), and the authorization
code grant with its expiring pairs (`offline`).
"""

from __future__ import annotations

from connectors.shopify import credentials, offline
from connectors.shopify.endpoint import base_url
from hub.connector import ChannelHandle
from hub.errors import Misconfigured

__all__ = ["access_token", "base_url"]


def access_token(channel: ChannelHandle, refused: str | None = None) -> str:
    """A token that is not `refused` (the one Shopify has just answered 401 to).

    Raises `Misconfigured` when there is no other, `ChannelDown` when another worker is getting one.
    """
    found = _token(channel, refused)
    if found is None or found == refused:
        raise Misconfigured(
            "token_refused",
            "Shopify refuses the access token: the app was removed or its token revoked; install the "
            "app again, then connect the shop again or set access_token, or client_id and client_secret",
        )
    return found


def _token(channel: ChannelHandle, refused: str | None) -> str | None:
    settings = channel.settings
    if pasted := str(settings.get("access_token") or ""):
        return pasted
    if not settings.get("client_id"):
        raise Misconfigured(
            "no_api_access",
            "the Admin API cannot be used: set access_token, or client_id and client_secret",
        )
    if settings.get("login") == "code":
        return offline.token(channel, refused)
    return credentials.token(channel, refused)
