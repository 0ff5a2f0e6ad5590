"""What the sandbox's shop knows of apps that were let in: codes, offline tokens, refresh tokens.

What Shopify does (offline-access-tokens, changelogs of 2025-12-10 and 2026-08-28):

- The authorize page names the app's scopes; agreeing sends the browser to `redirect_uri` with code, hmac,
  host, shop, state, timestamp. The hmac is hex, over the sorted query without it.
- A code is of use once. With `expiring=1` it gives an access token for 3,600 s and a refresh token for 90
  days; without it a token that never ends.
- A refresh gives another pair. The old refresh token may be tried again until the new one is used (the
  answer is the same pair here; what Shopify answers is not documented), at most for 30 days after its
  first use. Then it is refused, as is one that is unknown: 400 `invalid_grant`.
- A wrong client id or secret is 400 `application_cannot_be_found`.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

JSON = dict[str, Any]

_CODE_LASTS = timedelta(minutes=5)
_ACCESS_SECONDS, _REFRESH_SECONDS = 3_600, 90 * 24 * 3600
_AGAIN = timedelta(days=30)
_NEVER = timedelta(days=36_500)


class Refused(Exception):
    """The token endpoint says 400; the text is OAuth's error code."""


@dataclass(slots=True)
class Refresh:
    """One refresh token."""

    ends: datetime
    next: JSON | None = None
    """The pair it gave."""
    first_used: datetime | None = None
    over: bool = False
    """The one after it was used."""
    before: str = ""


@dataclass(slots=True)
class Grants:
    """Codes and refresh tokens of one app in one shop. Access tokens are the sandbox's own."""

    codes: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    refreshes: dict[str, Refresh] = field(default_factory=dict)
    asked: int = 0
    """Refreshes that were carried out, for tests."""

    def callback(self, shop: str, query: Mapping[str, str], secret: str, now: datetime) -> str:
        """The address the browser is sent to when the merchant agrees."""
        code = secrets.token_hex(16)
        self.codes[code] = (now + _CODE_LASTS, query.get("scope", ""))
        answer = {
            "code": code,
            "host": "YWRtaW4uc2hvcGlmeS5jb20vc3RvcmUvc2FuZGJveA",
            "shop": shop,
            "state": query.get("state", ""),
            "timestamp": str(int(now.timestamp())),
        }
        message = urlencode(sorted(answer.items()))
        signed = hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()
        return f"{query.get('redirect_uri', '')}?{urlencode({**answer, 'hmac': signed})}"

    def exchange(self, wish: Mapping[str, Any], access: dict[str, datetime], now: datetime) -> JSON:
        """A code for tokens. Raises `Refused`."""
        ends, scope = self.codes.pop(str(wish.get("code")), (now, ""))
        if ends <= now:
            raise Refused("invalid_request")
        if str(wish.get("expiring")) != "1":
            token = f"shpat_{secrets.token_hex(16)}"
            access[token] = now + _NEVER
            return {"access_token": token, "scope": scope}
        return self._pair(access, scope, now, before="")

    def refresh(self, wish: Mapping[str, Any], access: dict[str, datetime], now: datetime) -> JSON:
        """A refresh token for the next pair. Raises `Refused`."""
        found = self.refreshes.get(str(wish.get("refresh_token")))
        if found is None or found.over or found.ends <= now:
            raise Refused("invalid_grant")
        if found.first_used is not None and found.first_used + _AGAIN <= now:
            raise Refused("invalid_grant")
        if found.before:
            self.refreshes[found.before].over = True
        if found.next is None:
            found.first_used = now
            self.asked += 1
            found.next = self._pair(access, "", now, before=str(wish["refresh_token"]))
        return found.next

    def _pair(self, access: dict[str, datetime], scope: str, now: datetime, before: str) -> JSON:
        token, refresh = f"shpat_{secrets.token_hex(16)}", f"shprt_{secrets.token_hex(16)}"
        access[token] = now + timedelta(seconds=_ACCESS_SECONDS)
        self.refreshes[refresh] = Refresh(now + timedelta(seconds=_REFRESH_SECONDS), before=before)
        return {
            "access_token": token,
            "scope": scope,
            "expires_in": _ACCESS_SECONDS,
            "refresh_token": refresh,
            "refresh_token_expires_in": _REFRESH_SECONDS,
        }
