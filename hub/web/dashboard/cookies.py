"""Cookies of the dashboard: the signed session, the language, the theme."""

from __future__ import annotations

from datetime import timedelta

from flask import Flask, Request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from werkzeug.wrappers import Response

from hub import i18n
from hub.runtime import Runtime
from hub.web.dashboard.headers import is_https

LANGUAGE, THEME = "hub_language", "hub_theme"
THEMES = ("auto", "light", "dark")
_YEAR = timedelta(days=365)
_WITHOUT = ("/api/", "/static/", "/docs/", "/healthz", "/readyz", "/metrics")
"""Where nobody has a session: what machines ask for."""


class Sessions(SecureCookieSessionInterface):
    """Flask's signed cookie. It holds the token of a `user_sessions` row and the CSRF token, and
    lasts as long as the browser; how long the login lasts is for the row to say."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        if request.path.startswith(_WITHOUT):
            return SecureCookieSession()
        return super().open_session(app, request)

    def get_cookie_secure(self, app: Flask) -> bool:
        runtime: Runtime = app.extensions["hub"]
        return is_https(runtime)


def install(app: Flask) -> None:
    """Keep the session in a signed cookie that scripts cannot read."""
    app.config |= {
        "SESSION_COOKIE_NAME": "hub_session",
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
    }
    app.session_interface = Sessions()


def sign(app: Flask, runtime: Runtime) -> None:
    """Sign with keys derived from the hub's own: every process has the same, and a restart logs
    nobody out."""
    first, *older = runtime.secrets.derived("session cookie")
    app.secret_key = first
    app.config["SECRET_KEY_FALLBACKS"] = older


def wished_language(request: Request) -> str | None:
    """The language chosen in this browser."""
    wish = request.cookies.get(LANGUAGE)
    return wish if wish in i18n.LANGUAGES else None


def theme(request: Request) -> str:
    """The theme chosen in this browser; auto follows the system."""
    wish = request.cookies.get(THEME, "auto")
    return wish if wish in THEMES else "auto"


def keep(answer: Response, name: str, value: str, *, secure: bool) -> None:
    """Remember a choice for a year; scripts do not need it."""
    answer.set_cookie(name, value, max_age=_YEAR, httponly=True, samesite="Lax", secure=secure)
