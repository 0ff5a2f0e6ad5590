"""The dashboard: pages for people, under /p/<program>."""

from __future__ import annotations

from flask import Flask, request
from flask_login import LoginManager
from flask_wtf.csrf import CSRFProtect

from hub import i18n
from hub.web.dashboard import (
    backfilling,
    channels,
    codes,
    connecting,
    cookies,
    deliveries,
    double_uses,
    drafts,
    errors,
    front,
    headers,
    home,
    keeping,
    login,
    looks,
    members,
    orders,
    privacy,
    programme,
    proof,
    quarantine,
    replays,
    rotating,
    staff,
    standing,
    static,
    visit,
)

AREAS = (
    backfilling,
    channels,
    codes,
    connecting,
    deliveries,
    double_uses,
    drafts,
    front,
    home,
    keeping,
    login,
    members,
    orders,
    privacy,
    programme,
    proof,
    quarantine,
    replays,
    rotating,
    staff,
    standing,
)
"""Modules whose views are registered by being imported."""

_csrf = CSRFProtect()


def install(app: Flask) -> None:
    """Register all pages on an application; call it after `problems.install`."""
    cookies.install(app)
    app.config |= {
        "WTF_CSRF_CHECK_DEFAULT": False,  # checked below, for pages alone: the API has no cookies
        "WTF_CSRF_TIME_LIMIT": 12 * 3600,
        "WTF_CSRF_SSL_STRICT": False,  # proxies rewrite hosts; the token and SameSite stand
    }
    _csrf.init_app(app)
    manager = LoginManager(app, add_context_processor=False)
    manager.session_protection = None  # phones change their address; the row can be revoked
    manager.user_loader(login.load)
    app.before_request(_speak)
    looks.install(app)
    headers.install(app)
    errors.install(app)
    app.register_blueprint(static.blueprint)
    app.register_blueprint(visit.blueprint)


def _speak() -> None:
    """The language chosen in this browser; without a choice what the browser asks for stays."""
    wish = cookies.wished_language(request)
    if wish:
        i18n.speak(wish)
