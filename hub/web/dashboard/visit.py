"""Who looks at which program, and what they may do there: every page says what it needs.

A page is registered with `page` or `action`, which name a right; there is no other way onto the
dashboard, and a view that was smuggled past them is refused (`_guard`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from flask import Blueprint, Response, abort, current_app, g, redirect, request, url_for
from flask_login import current_user
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as AnyResponse

from hub import i18n
from hub.program import store as programs
from hub.program.store import Program
from hub.runtime import Runtime
from hub.users import rights
from hub.users import store as users
from hub.users.rights import Right, Role
from hub.users.store import User
from hub.web.dashboard import cookies

blueprint = Blueprint("dashboard", __name__)

Need = Right | Literal["anybody", "login"]
"""What a view needs: nothing, somebody logged in, or a right in the program of its address."""

NEEDS: dict[str, Need] = {}
"""Endpoint -> what it needs. What is not here is refused."""

View = Callable[..., Any]

_LONGEST_FORM = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Visit:
    """One user in one program, for one request."""

    user: User
    program: Program
    role: Role

    @property
    def actor(self) -> str:
        """As noted on entries, replays and in the audit."""
        return self.user.actor

    def may(self, right: Right) -> bool:
        """Whether this user may do that here."""
        return rights.may(self.role, right)


def page(path: str, needs: Right, *, methods: tuple[str, ...] = ("GET",)) -> Callable[[View], View]:
    """A view under /p/<program>, which changes nothing. It is called without the program:
    `visit()` knows it, and `url_for` fills it in."""
    return _route(f"/p/<program>{path}", needs, methods)


def action(path: str, needs: Right) -> Callable[[View], View]:
    """A POST under /p/<program>: it changes something, so it has a CSRF token."""
    return _route(f"/p/<program>{path}", needs, ("POST",))


def everywhere(path: str, needs: Need, *, methods: tuple[str, ...] = ("GET",)) -> Callable[[View], View]:
    """A view that belongs to no program."""
    return _route(path, needs, methods)


def visit() -> Visit:
    """Who is here, inside a view of a program."""
    found: Visit = g.visit
    return found


def runtime() -> Runtime:
    """This process's means."""
    found: Runtime = current_app.extensions["hub"]
    return found


def somebody() -> User | None:
    """Who is logged in."""
    user = getattr(current_user, "user", None)
    return user if isinstance(user, User) else None


def find_visit(session: Session, user: User, slug: str) -> Visit | None:
    """The user's visit to a program; None when there is none of that name, or it is not theirs."""
    found = next((m for m in users.memberships(session, user.id) if m.slug == slug), None)
    return Visit(user, programs.by_id(session, found.program_id), found.role) if found else None


def _route(path: str, needs: Need, methods: tuple[str, ...]) -> Callable[[View], View]:
    def register(view: View) -> View:
        endpoint = view.__name__
        if endpoint in NEEDS:
            raise ValueError(f"two views are called {endpoint}")
        NEEDS[endpoint] = needs
        blueprint.add_url_rule(path, endpoint, view, methods=list(methods))
        return view

    return register


@blueprint.url_value_preprocessor
def _take_program(_endpoint: str | None, values: dict[str, Any] | None) -> None:
    g.program_slug = values.pop("program", None) if values else None


@blueprint.url_defaults
def _give_program(endpoint: str, values: dict[str, Any]) -> None:
    if "program" not in values and current_app.url_map.is_endpoint_expecting(endpoint, "program"):
        slug = g.get("program_slug")
        if slug is not None:
            values["program"] = slug


@blueprint.before_request
def _check() -> None:
    """A form of a page is small, and carries its token."""
    request.max_content_length = _LONGEST_FORM
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        current_app.extensions["csrf"].protect()


@blueprint.before_request
def _speak() -> None:
    """The user's own language, unless this browser has chosen one."""
    if cookies.wished_language(request) is None:
        user = somebody()
        if user is not None:
            i18n.speak(user.locale)


@blueprint.before_request
def _guard() -> AnyResponse | None:
    """Nobody gets further than the view they asked for lets them."""
    needs = NEEDS.get((request.endpoint or "").removeprefix("dashboard."))
    if needs is None:
        abort(403)
    if needs == "anybody":
        return None
    user = somebody()
    if user is None:
        return to_login()
    if needs != "login":
        with runtime().sessions() as session:
            found = find_visit(session, user, g.program_slug)
        if found is None:
            abort(404)
        if not found.may(needs):
            abort(403)
        g.visit = found
    return None


def to_login() -> AnyResponse:
    """To the login, and back here afterwards; a fragment is not swapped in, the whole page goes."""
    back = request.full_path.rstrip("?") if request.method == "GET" else ""
    there = url_for("dashboard.login", back=back or None)
    if request.headers.get("HX-Request"):
        return Response(status=204, headers={"HX-Redirect": url_for("dashboard.login")})
    return redirect(there, 303)
