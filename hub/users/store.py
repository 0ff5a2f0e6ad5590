"""Users and their memberships in programs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from hub.audit import record
from hub.bulk import run
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.ids import new_id
from hub.users.rights import Role

_EMAIL = re.compile(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+")


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may log in."""

    id: int
    public_id: str
    email: str
    name: str
    password_hash: str
    locale: str
    disabled_at: datetime | None

    @property
    def actor(self) -> str:
        """As noted on entries, replays and in the audit."""
        return f"user:{self.public_id}"


@dataclass(frozen=True, slots=True)
class Membership:
    """A role in one program."""

    program_id: int
    slug: str
    name: str
    role: Role


class EmailTaken(Refusal):
    """There is a user with this e-mail address; the message is a sentence."""


_COLUMNS = "id, public_id, email, name, password_hash, locale, disabled_at"


def normal_email(text: str) -> str:
    """As stored and looked up: without blanks, in lower case."""
    return text.strip().lower()


def add(session: Session, *, email: str, name: str, password_hash: str, locale: str, actor: str) -> User:
    """Make a user, who belongs to no program yet. Raises `EmailTaken` and `Refusal`."""
    email = normal_email(email)
    if not _EMAIL.fullmatch(email) or len(email) > 254:
        raise Refusal(_("{email!r:.80} is no e-mail address", email=email))
    rows = run(
        session,
        f"""INSERT INTO users (public_id, email, name, password_hash, locale)
            VALUES (:public_id, :email, :name, :hash, :locale)
            ON CONFLICT (email) DO NOTHING RETURNING {_COLUMNS}""",
        {
            "public_id": new_id("usr"),
            "email": email,
            "name": name.strip(),
            "hash": password_hash,
            "locale": locale,
        },
    )
    if not rows:
        raise EmailTaken(_("there is a user with the e-mail address {email} already", email=email))
    user = User(**rows[0]._mapping)
    record(session, None, actor, "user.added", user.public_id)
    return user


def by_email(session: Session, email: str) -> User | None:
    """The user of an e-mail address, disabled or not."""
    rows = run(
        session,
        f"SELECT {_COLUMNS} FROM users WHERE email = :email",
        {"email": normal_email(email)},
    )
    return User(**rows[0]._mapping) if rows else None


def every(session: Session) -> list[User]:
    """All users, the first one first."""
    return [User(**row._mapping) for row in run(session, f"SELECT {_COLUMNS} FROM users ORDER BY id")]


def first_able(session: Session) -> User | None:
    """The user who has been here longest and may log in: who a hub without programs belongs to."""
    rows = run(session, f"SELECT {_COLUMNS} FROM users WHERE disabled_at IS NULL ORDER BY id LIMIT 1")
    return User(**rows[0]._mapping) if rows else None


def set_password(session: Session, user: User, password_hash: str, *, actor: str) -> None:
    """Store another password and end every session of the user."""
    run(
        session,
        "UPDATE users SET password_hash = :hash WHERE id = :id",
        {"hash": password_hash, "id": user.id},
    )
    _end_sessions(session, user)
    record(session, None, actor, "user.password_changed", user.public_id)


def rehash(session: Session, user: User, password_hash: str) -> None:
    """The same password under stronger parameters; sessions go on. Only over the hash it was
    checked against: somebody may have changed the password meanwhile."""
    run(
        session,
        "UPDATE users SET password_hash = :hash WHERE id = :id AND password_hash = :old",
        {"hash": password_hash, "id": user.id, "old": user.password_hash},
    )


def set_able(session: Session, user: User, *, able: bool, actor: str) -> None:
    """Let a user in again, or no more; the latter ends every session."""
    run(
        session,
        "UPDATE users SET disabled_at = CASE WHEN :able THEN NULL ELSE now() END WHERE id = :id",
        {"able": able, "id": user.id},
    )
    if not able:
        _end_sessions(session, user)
    record(session, None, actor, "user.enabled" if able else "user.disabled", user.public_id)


def set_locale(session: Session, user_id: int, locale: str) -> None:
    """The language the user reads."""
    run(session, "UPDATE users SET locale = :locale WHERE id = :id", {"locale": locale, "id": user_id})


def give_role(session: Session, user: User, program_id: int, role: Role, *, actor: str) -> None:
    """The user's one role in a program, also in place of another."""
    run(
        session,
        """INSERT INTO memberships (program_id, user_id, role) VALUES (:program, :user, :role)
           ON CONFLICT (program_id, user_id) DO UPDATE SET role = excluded.role""",
        {"program": program_id, "user": user.id, "role": role},
    )
    record(session, program_id, actor, "user.role_given", user.public_id, {"role": role})


def memberships(session: Session, user_id: int) -> list[Membership]:
    """The programs a user belongs to, by name."""
    rows = run(
        session,
        """SELECT p.id AS program_id, p.slug, p.name, m.role FROM memberships m
           JOIN programs p ON p.id = m.program_id WHERE m.user_id = :user ORDER BY p.name, p.id""",
        {"user": user_id},
    )
    return [Membership(**row._mapping) for row in rows]


def _end_sessions(session: Session, user: User) -> None:
    run(
        session,
        "UPDATE user_sessions SET revoked_at = now() WHERE user_id = :id AND revoked_at IS NULL",
        {"id": user.id},
    )
