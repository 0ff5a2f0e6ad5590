"""Standard Webhooks: https://github.com/standard-webhooks/standard-webhooks (spec/)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from secrets import token_bytes

from hub.errors import BadSignature, Misconfigured

TOLERANCE_SECONDS = 300
_PREFIX = "whsec_"
_MAX_ID = 200


def key_of(secret: str) -> bytes:
    """The key inside `whsec_<base64>`, the prefix may be missing. Raises `Misconfigured`."""
    try:
        key = base64.b64decode(secret.strip().removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise Misconfigured("bad_secret", "the secret must be whsec_ followed by a key in base64")
    return key


def new_secret() -> str:
    """A fresh secret of 32 random bytes."""
    return _PREFIX + base64.b64encode(token_bytes(32)).decode()


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """One `v1,<base64>` signature over id, Unix seconds and the raw body."""
    content = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(key_of(secret), content, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def signed_headers(secret: str, message_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """The three headers of a message we send."""
    timestamp = int(now.timestamp())
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secret, message_id, timestamp, body),
    }


def sent_at(headers: Mapping[str, str]) -> datetime | None:
    """The signed time of a message (aware UTC); None when it says none that makes sense."""
    text = headers.get("webhook-timestamp", "")
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        return None
    try:
        return datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def check(
    headers: Mapping[str, str], body: bytes, secrets: Sequence[str], received_at: datetime
) -> None:
    """Raise `BadSignature` unless one of the signatures is right under one of the secrets, and the
    message was sent within five minutes of `received_at`."""
    message_id = headers.get("webhook-id", "")
    timestamp = sent_at(headers)
    if not message_id or len(message_id) > _MAX_ID:
        raise BadSignature("no_id", "the message has no webhook-id of at most 200 characters")
    if timestamp is None:
        raise BadSignature("no_timestamp", "webhook-timestamp must be whole Unix seconds")
    if abs((received_at - timestamp).total_seconds()) > TOLERANCE_SECONDS:
        raise BadSignature(
            "too_old",
            "webhook-timestamp is over five minutes off: sign each attempt anew, set the clock",
        )
    wanted = [sign(secret, message_id, int(timestamp.timestamp()), body) for secret in secrets]
    given = headers.get("webhook-signature", "").split()
    matches = [
        hmac.compare_digest(g.encode("utf-8", "replace"), w.encode()) for g in given for w in wanted
    ]
    if not any(matches):
        raise BadSignature("bad_signature", "no signature of the message fits webhook_secret")
