"""The dashboard: pages for people, under /p/<program>."""

from __future__ import annotations

from flask import Flask, request
from flask_login import LoginManager
from flask_wtf.csrf import CSRFProtect

from hub import i18n
from hub.runtime import Runtime
from hub.web.dashboard import (
    channels,
    codes,
    cookies,
    deliveries,
    double_uses,
    errors,
    front,
    headers,
    home,
    login,
    looks,
    members,
    orders,
    programme,
    quarantine,
    replays,
    standing,
    static,
    visit,
)

AREAS = (
    channels,
    codes,
    deliveries,
    double_uses,
    front,
    home,
    login,
    members,
    orders,
    programme,
    quarantine,
    replays,
    standing,
)
"""Modules whose views are registered by being imported."""

_csrf = CSRFProtect()


def install(app: Flask, runtime: Runtime) -> None:
    """Register all pages on an application; call it after `problems.install`."""
    cookies.install(app, runtime)
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
