"""Desks: somebody with a role who is logged in to the dashboard, without a browser."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from hub.program import store as programs
from hub.program.store import Program
from hub.runtime import Runtime
from hub.users import sessions, store
from hub.users.rights import ROLES, Role
from tests.apps import an_app
from tests.hubs import START

_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


@dataclass
class Desk:
    """A browser without scripts, logged in."""

    client: FlaskClient
    program: Program
    role: Role

    def get(self, path: str, language: str = "en", **more: Any) -> TestResponse:
        """A page; a path that begins with a dot is below the program's own address."""
        headers = {"Accept-Language": language, **more.pop("headers", {})}
        self.client.set_cookie("hub_language", language)
        return self.client.get(self._at(path), headers=headers, **more)

    def post(self, path: str, data: Mapping[str, Any] | None = None, **more: Any) -> TestResponse:
        """A form, with the token of this session."""
        return self.client.post(
            self._at(path), data={**(data or {}), "csrf_token": self.token()}, **more
        )

    def token(self) -> str:
        """The CSRF token, read from a page that everybody may see."""
        found = _TOKEN.search(self.client.get("/password").text)
        assert found is not None
        return found[1]

    def _at(self, path: str) -> str:
        return f"/p/{self.program.slug}{path[1:]}" if path.startswith(".") else path


@dataclass
class Office:
    """Two programs on one hub, with somebody for every role in each."""

    runtime: Runtime
    app: Flask
    ours: Program
    theirs: Program

    @classmethod
    def new(cls, runtime: Runtime, document: Mapping[str, Any] | None = None) -> Office:
        """Two fresh programs, `ours` and `theirs`."""
        with runtime.sessions.begin() as session:
            ours, theirs = (
                programs.create(
                    session, slug=slug, name=slug.title(), currency="VND", time_zone="Asia/Ho_Chi_Minh",
                    region="VN", starts_at=START, document=document, actor="test",
                )
                for slug in ("ours", "theirs")
            )  # fmt: skip
            for program in (ours, theirs):
                for role in ROLES:
                    user = store.add(
                        session, email=f"{role}@{program.slug}.example", name=role.title(),
                        password_hash="no password fits", locale="en", actor="test",
                    )  # fmt: skip
                    store.give_role(session, user, program.id, role, actor="test")
        return cls(runtime, an_app(runtime), ours, theirs)

    def desk(self, role: Role = "owner", program: Program | None = None) -> Desk:
        """Somebody with that role, logged in."""
        program = program or self.ours
        with self.runtime.sessions.begin() as session:
            user = store.by_email(session, f"{role}@{program.slug}.example")
            assert user is not None
            token = sessions.begin(session, user, self.runtime.clock())
        client = self.app.test_client()
        with client.session_transaction() as cookie:
            cookie["_user_id"], cookie["_fresh"] = token, True
        return Desk(client, program, role)
