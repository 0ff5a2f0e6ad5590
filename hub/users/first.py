"""The first user of an empty hub: somebody must be able to log in and let others in."""

from __future__ import annotations

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.users import passwords, store
from hub.users.store import User

EMAIL = "owner@hub.local"


def first_owner(session: Session, *, locale: str, actor: str) -> tuple[User, str] | None:
    """Make the first user, who owns every program there is; None when there are users. The password
    is returned once and stored hashed."""
    session.connection().exec_driver_sql("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE")
    if store.every(session):
        return None
    password = passwords.generated()
    user = store.add(
        session,
        email=EMAIL,
        name="",
        password_hash=passwords.hashed(password),
        locale=locale,
        actor=actor,
    )
    for row in run(session, "SELECT id FROM programs ORDER BY id"):
        store.give_role(session, user, row.id, "owner", actor=actor)
    return user, password


def give_to_first(session: Session, program_id: int, *, actor: str) -> None:
    """A new program belongs to whoever has been here longest; they let others in. Nothing happens
    in a hub without users."""
    user = store.first_able(session)
    if user is not None:
        store.give_role(session, user, program_id, "owner", actor=actor)
