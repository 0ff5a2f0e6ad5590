"""Expiring offline tokens: an access token for an hour and a refresh token that gets the next pair.

https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/offline-access-tokens
Both rotate with each refresh. An old refresh token may be tried again until the new one is used (since
2026-08-28), so an answer that was lost costs nothing as long as no pair is used that is not stored.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from connectors.shopify.credentials import under_way
from connectors.shopify.endpoint import ask, base_url, is_unclear, reason, text_in, token_lasts
from hub.connector import ChannelHandle, JSONObject
from hub.errors import ChannelDown, Misconfigured
from hub.http import Answer

KEY = "offline"
_MARGIN = timedelta(minutes=5)
_HOUR, _QUARTER_YEAR = 3600, 90 * 24 * 3600
_LEASE_SECONDS = 75.0
"""Longer than two tries of the token endpoint may take (`hub.http.DEADLINE_SECONDS`)."""
_SAVES = 5


def token(channel: ChannelHandle, refused: str | None) -> str | None:
    """An access token that is not `refused` and lasts five minutes more: the stored one, else that of
    a new pair. None when Shopify's new one is the refused one. Raises `Misconfigured` when the shop
    has to be connected again, and `ChannelDown`."""
    return _fresh(channel, refused) or _refreshed(channel, refused)


def pair_of(answer: Answer, now: datetime) -> JSONObject:
    """The pair in a good answer of the token endpoint, as it is stored. Raises `ChannelDown`."""
    return {
        "access": text_in(answer, "access_token"),
        "expires_at": (now + token_lasts(answer, "expires_in", _HOUR)).isoformat(),
        "refresh": text_in(answer, "refresh_token"),
        "refresh_expires_at": (
            now + token_lasts(answer, "refresh_token_expires_in", _QUARTER_YEAR)
        ).isoformat(),
    }


def _pair(channel: ChannelHandle) -> tuple[JSONObject, JSONObject, int]:
    """The stored pair, the state it stands in, and that state's version."""
    state, version = channel.state()
    pair = state.get(KEY)
    if not isinstance(pair, dict):
        raise Misconfigured("not_connected", "the hub holds no tokens of the shop: connect it again")
    return pair, state, version


def _fresh(channel: ChannelHandle, refused: str | None) -> str | None:
    pair = _pair(channel)[0]
    if (
        pair["access"] == refused
        or datetime.fromisoformat(pair["expires_at"]) - _MARGIN <= channel.now()
    ):
        return None
    return str(pair["access"])


def _refreshed(channel: ChannelHandle, refused: str | None) -> str | None:
    """Under a lease, so that one worker refreshes; the others are told to come back."""
    with channel.once("token", _LEASE_SECONDS) as lease:
        if lease is None:
            raise under_way(channel)
        if fresh := _fresh(channel, refused):
            return fresh
        old = _pair(channel)[0]
        new = pair_of(_asked(channel, str(old["refresh"])), channel.now())
        kept = _store(channel, old, new)
        return None if kept["access"] == refused else str(kept["access"])


def _asked(channel: ChannelHandle, refresh: str) -> Answer:
    """Ask with this refresh token, a second time when the first answer was lost."""
    settings = channel.settings
    form = {
        "grant_type": "refresh_token",
        "client_id": settings["client_id"],
        "client_secret": settings.get("client_secret") or settings["webhook_secret"],
        "refresh_token": refresh,
    }
    try:
        answer = ask(channel.http, base_url(settings), form)
    except ChannelDown as lost:
        if not is_unclear(lost):
            raise
        answer = ask(channel.http, base_url(settings), form)
    if answer.status != 200:
        raise Misconfigured(
            "refresh_refused",
            f"Shopify renews the token no more ({answer.status} {reason(answer)}): the app was removed, "
            "its secret changed, or nothing was asked for 90 days; connect the shop again",
        )
    return answer


def _store(channel: ChannelHandle, old: JSONObject, new: JSONObject) -> JSONObject:
    """The pair that is stored in the end: the new one, or that of whoever was faster. Raises
    `ChannelDown` when it cannot be stored: then it is not used, and the old refresh token still goes."""
    for _ in range(_SAVES):
        present, state, version = _pair(channel)
        if present["refresh"] != old["refresh"]:
            return present  # our lease ran out, and another worker has refreshed meanwhile
        if channel.save_state({**state, KEY: new}, version):
            return new
    raise ChannelDown("token_not_kept", "the new access token could not be stored; tried again soon")
