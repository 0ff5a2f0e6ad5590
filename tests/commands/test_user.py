"""Letting people in on the command line."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.cli import main
from hub.users import first, passwords, sessions, store
from tests.conftest import Clock
from tests.hubs import Hub, running_hub

Command = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path) as hub:
        yield hub


@pytest.fixture
def run(
    hub: Hub,
    database: str,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Run a command; returns its JSON lines, or what it refused with."""
    for name, value in (
        ("DATABASE_URL", database),
        ("REDIS_URL", redis_url),
        ("HUB_DATA", str(tmp_path)),
    ):
        monkeypatch.setenv(name, value)

    def run(*words: str, code: int = 0, typed: str = "") -> list[dict[str, Any]]:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        with pytest.raises(SystemExit) as ended:
            main(["user", *words, "--json"])
        shown = capsys.readouterr()
        assert ended.value.code == code, shown.err + shown.out
        return (
            [json.loads(line) for line in shown.out.splitlines()] if not code else [{"said": shown.err}]
        )

    return run


def test_somebody_is_let_in_with_a_password_that_is_shown_once(run: Command, hub: Hub) -> None:
    (made,) = run("add", "Linh@Example.com", "--name", "Linh", "--role", "support")
    assert (made["email"], made["program"], made["role"]) == ("linh@example.com", "corner", "support")
    with hub.runtime.sessions() as session:
        user = store.by_email(session, "linh@example.com")
    assert user is not None
    assert passwords.fits(made["password"], user.password_hash)
    (listed,) = run("list")
    assert (listed["email"], listed["state"], listed["roles"]) == (
        "linh@example.com",
        "active",
        "corner: support",
    )
    assert made["password"] not in str(listed)


def test_a_password_that_is_handed_in_is_not_shown(run: Command, hub: Hub) -> None:
    (made,) = run("add", "linh@example.com", "--password-stdin", typed="eight small brown tables\n")
    assert "password" not in made
    with hub.runtime.sessions() as session:
        user = store.by_email(session, "linh@example.com")
    assert user is not None
    assert passwords.fits("eight small brown tables", user.password_hash)


def test_nobody_is_let_in_twice_and_nonsense_never(run: Command) -> None:
    run("add", "linh@example.com")
    assert "linh@example.com already" in run("add", "LINH@example.com", code=1)[0]["said"]
    assert "no e-mail address" in run("add", "linh", code=1)[0]["said"]
    assert (
        "10 to 200" in run("add", "mai@example.com", "--password-stdin", code=1, typed="x\n")[0]["said"]
    )
    assert "no user" in run("password", "mai@example.com", code=1)[0]["said"]


def test_a_new_password_and_being_disabled_end_the_sessions(
    run: Command, hub: Hub, clock: Clock
) -> None:
    run("add", "linh@example.com")
    for words in (("password", "linh@example.com"), ("disable", "linh@example.com")):
        with hub.runtime.sessions.begin() as session:
            user = store.by_email(session, "linh@example.com")
            assert user is not None
            token = sessions.begin(session, user, clock())
        run(*words)
        with hub.runtime.sessions() as session:
            assert sessions.user_of(session, token, clock()) is None
    assert run("list")[0]["state"] == "disabled"
    run("disable", "linh@example.com", "--undo")
    assert run("list")[0]["state"] == "active"


def test_a_role_is_given_and_changed(run: Command) -> None:
    run("add", "linh@example.com", "--role", "viewer")
    run("role", "linh@example.com", "cashier", "-p", "corner")
    assert run("list")[0]["roles"] == "corner: cashier"


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
    run: Command, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    run("add", "gone@example.com")
    run("add", "linh@example.com")
    run("disable", "gone@example.com")
    with pytest.raises(SystemExit):
        main(["program", "add", "second", "--currency", "VND", "--json"])
    capsys.readouterr()
    roles = {row["email"]: row["roles"] for row in run("list") if row}
    assert "second: owner" in roles["linh@example.com"]
    assert "second" not in roles["gone@example.com"]
