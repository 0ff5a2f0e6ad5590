"""Letting people in on the command line."""

from __future__ import annotations

from functools import partial

import pytest

from hub.cli import main
from hub.users import first, passwords, sessions, store
from tests.commands.conftest import Command
from tests.conftest import Clock
from tests.hubs import Hub


@pytest.fixture
def hub_user(run: Command) -> Command:
    """`hub user ...`."""
    return partial(run, "user")


def test_somebody_is_let_in_with_a_password_that_is_shown_once(hub_user: Command, hub: Hub) -> None:
    (made,) = hub_user("add", "Linh@Example.com", "--name", "Linh", "--role", "support")
    assert (made["email"], made["program"], made["role"]) == ("linh@example.com", "corner", "support")
    with hub.runtime.sessions() as session:
        user = store.by_email(session, "linh@example.com")
    assert user is not None
    assert passwords.fits(made["password"], user.password_hash)
    (listed,) = hub_user("list")
    assert (listed["email"], listed["state"], listed["roles"]) == (
        "linh@example.com",
        "active",
        "corner: support",
    )
    assert made["password"] not in str(listed)


def test_a_password_that_is_handed_in_is_not_shown(hub_user: Command, hub: Hub) -> None:
    (made,) = hub_user("add", "linh@example.com", "--password-stdin", typed="eight small brown tables\n")
    assert "password" not in made
    with hub.runtime.sessions() as session:
        user = store.by_email(session, "linh@example.com")
    assert user is not None
    assert passwords.fits("eight small brown tables", user.password_hash)


def test_nobody_is_let_in_twice_and_nonsense_never(hub_user: Command) -> None:
    hub_user("add", "linh@example.com")
    assert "linh@example.com already" in hub_user("add", "LINH@example.com", code=1)[0]["said"]
    assert "no e-mail address" in hub_user("add", "linh", code=1)[0]["said"]
    assert (
        "10 to 200"
        in hub_user("add", "mai@example.com", "--password-stdin", code=1, typed="x\n")[0]["said"]
    )
    assert "no user" in hub_user("password", "mai@example.com", code=1)[0]["said"]


def test_a_new_password_and_being_disabled_end_the_sessions(
    hub_user: Command, hub: Hub, clock: Clock
) -> None:
    hub_user("add", "linh@example.com")
    for words in (("password", "linh@example.com"), ("disable", "linh@example.com")):
        with hub.runtime.sessions.begin() as session:
            user = store.by_email(session, "linh@example.com")
            assert user is not None
            token = sessions.begin(session, user, clock())
        hub_user(*words)
        with hub.runtime.sessions() as session:
            assert sessions.user_of(session, token, clock()) is None
    assert hub_user("list")[0]["state"] == "disabled"
    hub_user("disable", "linh@example.com", "--undo")
    assert hub_user("list")[0]["state"] == "active"


def test_a_role_is_given_and_changed(hub_user: Command) -> None:
    hub_user("add", "linh@example.com", "--role", "viewer")
    hub_user("role", "linh@example.com", "cashier", "-p", "corner")
    assert hub_user("list")[0]["roles"] == "corner: cashier"


# --- the first one -------------------------------------------------------------------------------


def test_an_empty_hub_gets_one_first_owner_who_owns_every_program(hub: Hub) -> None:
    with hub.runtime.sessions.begin() as session:
        made = first.first_owner(session, locale="vi", actor="test")
        assert made is not None
        user, password = made
        assert passwords.fits(password, user.password_hash)
        assert [m.role for m in store.memberships(session, user.id)] == ["owner"]
        assert user.locale == "vi"
    with hub.runtime.sessions.begin() as session:
        assert first.first_owner(session, locale="vi", actor="test") is None


def test_a_new_program_belongs_to_the_first_who_may_log_in(
    hub_user: Command, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub_user("add", "gone@example.com")
    hub_user("add", "linh@example.com")
    hub_user("disable", "gone@example.com")
    with pytest.raises(SystemExit):
        main(["program", "add", "second", "--currency", "VND", "--json"])
    capsys.readouterr()
    roles = {row["email"]: row["roles"] for row in hub_user("list") if row}
    assert "second: owner" in roles["linh@example.com"]
    assert "second" not in roles["gone@example.com"]
