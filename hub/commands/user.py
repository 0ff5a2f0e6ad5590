"""`hub user`: who may log in to the dashboard."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, cast

import click

from hub import i18n
from hub.commands.ground import ACTOR, find_program, ground, program_option
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.show import json_option, show, show_one
from hub.users.rights import ROLES, Role

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from hub.users.store import User

_password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input."
)


@click.group("user")
def command() -> None:
    """Who may log in to the dashboard, and with which role."""


@command.command("add")
@click.argument("email")
@click.option("--name", default="", help="As shown beside what the user does.")
@click.option("--role", type=click.Choice(ROLES), default="owner", show_default=True)
@click.option(
    "--locale", type=click.Choice(i18n.LANGUAGES), default=i18n.SOURCE, help="Language of the pages."
)
@program_option
@_password_option
@json_option
def add(
    email: str, name: str, role: str, locale: str, program: str | None, password_stdin: bool, as_json: bool
) -> None:  # fmt: skip
    """Let somebody in, with a role in a programme.

    Prints a password once, unless one is read from standard input. Without any programme the user
    waits for one.
    """
    from hub.program import store as programs
    from hub.users import passwords, store

    password = _given() if password_stdin else passwords.generated()
    stored = passwords.hashed(password)
    with ground() as runtime, runtime.sessions.begin() as session:
        user = store.add(
            session, email=email, name=name, password_hash=stored, locale=locale, actor=ACTOR
        )
        shown = {"id": user.public_id, "email": user.email}
        if program or programs.all_programs(session):
            found = find_program(session, program)
            store.give_role(session, user, found.id, cast(Role, role), actor=ACTOR)
            shown |= {"program": found.slug, "role": role}
    show_one(shown | _shown_once(password, given=password_stdin), as_json=as_json)


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Everybody who may log in, and where."""
    from hub.users import store

    with ground() as runtime, runtime.sessions() as session:
        rows = [
            {
                "id": user.public_id,
                "email": user.email,
                "name": user.name,
                "state": "disabled" if user.disabled_at else "active",
                "roles": ", ".join(f"{m.slug}: {m.role}" for m in store.memberships(session, user.id)),
            }
            for user in store.every(session)
        ]
    show(rows, as_json=as_json, empty=_("Nobody yet; let somebody in with `hub user add`."))


@command.command("role")
@click.argument("email")
@click.argument("role", type=click.Choice(ROLES))
@program_option
@json_option
def role_(email: str, role: str, program: str | None, as_json: bool) -> None:
    """Give a user (by e-mail) a ROLE in a programme, also in place of another."""
    from hub.users import store

    with ground() as runtime, runtime.sessions.begin() as session:
        user = _found(session, email)
        found = find_program(session, program)
        store.give_role(session, user, found.id, cast(Role, role), actor=ACTOR)
    show_one({"email": user.email, "program": found.slug, "role": role}, as_json=as_json)


@command.command("password")
@click.argument("email")
@_password_option
@json_option
def password_(email: str, password_stdin: bool, as_json: bool) -> None:
    """Give a user (by e-mail) a new password, and end all their sessions.

    Prints it once, unless one is read from standard input. Tries that were counted against the
    account are forgiven.
    """
    from hub.users import passwords, store, throttle

    password = _given() if password_stdin else passwords.generated()
    stored = passwords.hashed(password)
    with ground() as runtime, runtime.sessions.begin() as session:
        user = _found(session, email)
        store.set_password(session, user, stored, actor=ACTOR)
        throttle.forgive(session, throttle.account(user.email))
    shown = {"email": user.email} | _shown_once(password, given=password_stdin)
    show_one(shown, as_json=as_json)


@command.command("disable")
@click.argument("email")
@click.option("--undo", is_flag=True, help="Let the user in again.")
@json_option
def disable(email: str, undo: bool, as_json: bool) -> None:
    """Let a user (by e-mail) in no more, from the next click on."""
    from hub.users import store

    with ground() as runtime, runtime.sessions.begin() as session:
        user = _found(session, email)
        store.set_able(session, user, able=undo, actor=ACTOR)
    show_one({"email": user.email, "state": "active" if undo else "disabled"}, as_json=as_json)


def _found(session: Session, email: str) -> User:
    from hub.users import store

    user = store.by_email(session, email)
    if user is None:
        raise Refusal(_("there is no user {email!r:.80}; `hub user list` shows them", email=email))
    return user


def _given() -> str:
    """The first line of standard input."""
    return sys.stdin.readline().rstrip("\r\n")


def _shown_once(password: str, *, given: bool) -> dict[str, str]:
    return {} if given else {"password": password}
