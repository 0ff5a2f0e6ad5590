"""The authorization code grant: the address where a merchant lets the app in, and what comes back.

https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/authorization-code-grant
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from connectors.shopify.endpoint import ask, base_url, reason
from connectors.shopify.offline import KEY, pair_of
from connectors.shopify.vocabulary import ASKED_SCOPES
from hub.connector import Brought, Granted, Handshake
from hub.errors import Misconfigured
from hub.http import Http

SHOP = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9-]*\.myshopify\.com")
_FRESH = timedelta(seconds=90)
"""How old a callback may be, and how far a clock may run ahead (Shopify's own library allows as much)."""
_LONGEST_CODE = 500


def address(handshake: Handshake) -> str:
    """Where the merchant says yes. Offline access, so no `grant_options[]`."""
    settings = handshake.settings
    query = {
        "client_id": settings["client_id"],
        "scope": ",".join(ASKED_SCOPES),
        "redirect_uri": handshake.return_url,
        "state": handshake.state,
    }
    return f"{base_url(settings)}/admin/oauth/authorize?{urlencode(query)}"


def signature(query: Iterable[tuple[str, str]], secret: str) -> str:
    """Hex HMAC-SHA256 over the sorted query without `hmac`. Shopify's test vector: secret `hush`."""
    message = urlencode(sorted((name, value) for name, value in query if name != "hmac"))
    return hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()


def exchange(handshake: Handshake, brought: Brought, http: Http) -> Granted:
    """Check the callback and turn its code into the first pair of tokens. Raises `Misconfigured` and
    `ChannelDown`; a code is of use once, so after either the merchant begins anew."""
    settings = handshake.settings
    query = dict(brought.query)
    _check(brought, query, settings)
    form = {
        "client_id": settings["client_id"],
        "client_secret": settings["webhook_secret"],
        "code": query["code"][:_LONGEST_CODE],
        "expiring": "1",
    }
    answer = ask(http, base_url(settings), form)
    if answer.status != 200:
        raise Misconfigured(
            "code_refused",
            f"Shopify does not take the code ({answer.status} {reason(answer)}): check the client ID and "
            "the client secret, then connect the shop again",
        )
    return Granted({"login": "code"}, {KEY: pair_of(answer, brought.at)})


def _check(brought: Brought, query: Mapping[str, str], settings: Mapping[str, Any]) -> None:
    if len(query) != len(brought.query) or not query.get("code"):
        raise Misconfigured("bad_callback", "the shop's answer lacks its code: connect the shop again")
    given = query.get("hmac", "").encode("utf-8", "replace")
    if not hmac.compare_digest(given, signature(brought.query, settings["webhook_secret"]).encode()):
        raise Misconfigured(
            "bad_callback_signature",
            "the shop's answer bears a wrong signature: the client secret is not the app's",
        )
    named = query.get("shop", "")
    if not SHOP.fullmatch(named) or named.lower() != settings["shop"]:
        raise Misconfigured(
            "other_shop", f"the answer is from {named!r:.80}, not from {settings['shop']}: check shop"
        )
    if not _is_fresh(query.get("timestamp", ""), brought.at):
        raise Misconfigured(
            "late_callback", "the shop's answer is older than 90 seconds: connect the shop again"
        )


def _is_fresh(timestamp: str, now: datetime) -> bool:
    if not re.fullmatch(r"[0-9]{1,11}", timestamp):
        return False
    return abs(now.timestamp() - int(timestamp)) <= _FRESH.total_seconds()
