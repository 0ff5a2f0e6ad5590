"""Login, logout, the own password, and how the page looks: what concerns the user alone."""

from __future__ import annotations

import math
from datetime import timedelta
from urllib.parse import urlsplit

import structlog
from flask import flash, g, redirect, render_template, request, session, url_for
from flask_login import UserMixin, login_user, logout_user
from werkzeug.wrappers import Response

from hub import i18n
from hub.audit import record
from hub.i18n import gettext as _
from hub.i18n import ngettext
from hub.users import passwords, sessions, store, throttle
from hub.users.passwords import PasswordRefused
from hub.users.store import User
from hub.web.dashboard import cookies
from hub.web.dashboard.headers import is_https
from hub.web.dashboard.visit import everywhere, runtime, somebody

log = structlog.get_logger()

_LONGEST_FIELD = 300


class LoggedIn(UserMixin):  # type: ignore[misc]  # flask-login ships no types
    """What Flask-Login keeps: the user, and the token by which the cookie names the session."""

    def __init__(self, user: User, token: str) -> None:
        self.user, self.token = user, token

    def get_id(self) -> str:
        return self.token


def load(token: str) -> LoggedIn | None:
    """Whose session this is; asked once a request."""
    hub = runtime()
    with hub.sessions.begin() as database:
        user = sessions.user_of(database, token, hub.clock())
    return LoggedIn(user, token) if user else None


@everywhere("/login", "anybody")
def login() -> str | Response:
    """The form."""
    if somebody() is not None:
        return redirect(_back())
    return render_template("login.html", email="", back=request.args.get("back", ""), error="")


@everywhere("/login", "anybody", methods=("POST",))
def log_in() -> tuple[str, int] | Response:
    """Check e-mail and password. What is answered never tells whether the account exists."""
    email = request.form.get("email", "")[:_LONGEST_FIELD]
    password = request.form.get("password", "")[:_LONGEST_FIELD]
    wait = _throttled(email)
    if wait is not None:
        return _refused(email, _too_many(wait), 429)
    user = _checked(email, password)
    if user is None:
        log.warning("login refused")
        return _refused(email, _("E-mail address or password is wrong."), 401)
    _begin(user, password)
    return redirect(_back(), 303)


@everywhere("/logout", "anybody", methods=("POST",))
def log_out() -> Response:
    """End this session, here and in the database."""
    token = session.get("_user_id")
    hub = runtime()
    if isinstance(token, str):
        with hub.sessions.begin() as database:
            sessions.end(database, token, hub.clock())
    logout_user()
    session.clear()
    flash(_("You are logged out."), "info")
    return redirect(url_for("dashboard.login"), 303)


@everywhere("/password", "login")
def password() -> str:
    """The form for another password."""
    return render_template("password.html", error="", wrong="")


@everywhere("/password", "login", methods=("POST",))
def change_password() -> tuple[str, int] | Response:
    """Check the old one, store the new one, end all other sessions and go on in a new one."""
    user = somebody()
    assert user is not None
    old, new = (request.form.get(name, "")[:_LONGEST_FIELD] for name in ("old", "new"))
    wait = _throttled(user.email)
    if wait is not None:
        return render_template("password.html", error=_too_many(wait), wrong="old"), 429
    if not passwords.fits(old, user.password_hash):
        wrong = _("This is not your present password.")
        return render_template("password.html", error=wrong, wrong="old"), 422
    try:
        stored = passwords.hashed(new)
    except PasswordRefused as error:
        return render_template("password.html", error=str(error), wrong="new"), 422
    with runtime().sessions.begin() as database:
        store.set_password(database, user, stored, actor=user.actor)
    _begin(user, new)
    flash(_("Your password is changed. All other sessions of yours have ended."), "success")
    return redirect(url_for("dashboard.front"), 303)


@everywhere("/language", "anybody", methods=("POST",))
def choose_language() -> Response:
    """The language of this browser, and of the user who is logged in."""
    wish = request.form.get("language", "")
    answer = redirect(_back(), 303)
    if wish in i18n.LANGUAGES:
        cookies.keep(answer, cookies.LANGUAGE, wish, secure=is_https(runtime()))
        user = somebody()
        if user is not None:
            with runtime().sessions.begin() as database:
                store.set_locale(database, user.id, wish)
    return answer


@everywhere("/theme", "anybody", methods=("POST",))
def choose_theme() -> Response:
    """Light, dark, or as the system has it."""
    wish = request.form.get("theme", "")
    answer = redirect(_back(), 303)
    if wish in cookies.THEMES:
        cookies.keep(answer, cookies.THEME, wish, secure=is_https(runtime()))
    return answer


def _throttled(email: str) -> timedelta | None:
    hub = runtime()
    buckets = {
        throttle.account(email): throttle.ACCOUNT,
        throttle.address(request.remote_addr or ""): throttle.ADDRESS,
    }
    with hub.sessions.begin() as database:
        return throttle.admit(database, buckets, hub.clock())


def _checked(email: str, password: str) -> User | None:
    """The user, when the password is theirs and they may log in."""
    with runtime().sessions() as database:
        user = store.by_email(database, email) if "\x00" not in email else None
    able = user is not None and user.disabled_at is None
    right = passwords.fits(password, user.password_hash if user and able else None)
    return user if right else None


def _begin(user: User, password: str) -> None:
    """A new session under a new token; what an older one held is gone."""
    hub = runtime()
    outdated = passwords.is_outdated(user.password_hash)
    stronger = passwords.hashed(password) if outdated else None
    with hub.sessions.begin() as database:
        if stronger:
            store.rehash(database, user, stronger)
        throttle.forgive(database, throttle.account(user.email))
        throttle.give_back(database, throttle.address(request.remote_addr or ""), throttle.ADDRESS)
        token = sessions.begin(database, user, hub.clock())
        record(database, None, user.actor, "user.logged_in", user.public_id)
    session.clear()
    g.pop("csrf_token", None)
    login_user(LoggedIn(user, token))


def _refused(email: str, sentence: str, status: int) -> tuple[str, int]:
    back = request.form.get("back", "")
    return render_template("login.html", email=email, back=back, error=sentence), status


def _too_many(wait: timedelta) -> str:
    minutes = max(1, math.ceil(wait.total_seconds() / 60))
    return ngettext(
        "Too many tries. Please wait {n} minute and try again.",
        "Too many tries. Please wait {n} minutes and try again.",
        minutes,
        n=minutes,
    )


def _back() -> str:
    """Where to go on: an address of our own that the form or link names, else the front."""
    wish = request.values.get("back", "")
    parts = urlsplit(wish) if wish.startswith("/") and not wish.startswith(("//", "/\\")) else None
    if parts is None or parts.netloc or parts.scheme or "\\" in wish or any(ord(c) < 32 for c in wish):
        return url_for("dashboard.front")
    return wish
