"""Sessions of users: rows that expire and can be revoked; the token itself is stored nowhere."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.users.store import User

IDLE = timedelta(hours=12)
"""A session that was not used for this long is over: a working day with its lunch break fits."""
LONGEST = timedelta(days=7)
_NOTE = timedelta(minutes=1)
"""How exactly the last use is kept: a page must not cost a write."""
_KEPT = timedelta(days=30)
"""How long rows of ended sessions stay, for whoever asks who was logged in."""


def begin(session: Session, user: User, now: datetime) -> str:
    """A new session; returns its token, which is known to the browser alone."""
    token = secrets.token_urlsafe(32)
    run(session, "DELETE FROM user_sessions WHERE ends_at < :old", {"old": now - _KEPT})
    run(
        session,
        """INSERT INTO user_sessions (user_id, token_hash, created_at, seen_at, ends_at)
           VALUES (:user, :hash, :now, :now, :ends)""",
        {"user": user.id, "hash": _hash(token), "now": now, "ends": now + LONGEST},
    )
    return token


def user_of(session: Session, token: str, now: datetime) -> User | None:
    """Whose session this is, while it lasts and its user may log in."""
    rows = run(
        session,
        """SELECT s.id AS session_id, s.seen_at,
                  u.id, u.public_id, u.email, u.name, u.password_hash, u.locale, u.disabled_at
           FROM user_sessions s JOIN users u ON u.id = s.user_id
           WHERE s.token_hash = :hash AND s.revoked_at IS NULL AND s.ends_at > :now
             AND s.seen_at > :idle AND u.disabled_at IS NULL""",
        {"hash": _hash(token), "now": now, "idle": now - IDLE},
    )
    if not rows:
        return None
    found = dict(rows[0]._mapping)
    session_id, seen = found.pop("session_id"), found.pop("seen_at")
    if now - seen > _NOTE:
        run(
            session,
            "UPDATE user_sessions SET seen_at = :now WHERE id = :id",
            {"now": now, "id": session_id},
        )
    return User(**found)


def end(session: Session, token: str, now: datetime) -> None:
    """Revoke one session; nothing happens when it is over already."""
    run(
        session,
        "UPDATE user_sessions SET revoked_at = :now WHERE token_hash = :hash AND revoked_at IS NULL",
        {"hash": _hash(token), "now": now},
    )


def _hash(token: str) -> bytes:
    """The tokens are 256 random bits: a plain hash cannot be guessed back."""
    return hashlib.sha256(token.encode()).digest()
