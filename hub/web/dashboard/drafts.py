"""Changing the rules: a draft is read, shown setting by setting and as terms, then put into force."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from hub.desk import drafts
from hub.desk.place import Desk, carry_out
from hub.i18n import gettext as _
from hub.program.document import DocumentRefused
from hub.program.store import Overtaken, VersionRefused
from hub.program.terms import terms
from hub.web.dashboard.visit import action, page, runtime, visit


@page("/programme/draft", "own")
def programme_draft() -> str:
    """The rules in force, to be changed."""
    with runtime().sessions() as session:
        found = drafts.in_force(session, visit().program.id, runtime().clock())
    return _page(text=drafts.toml(found.document), base=str(found.newest))


@action("/programme/draft/check", "own")
def programme_draft_check() -> str:
    """What the draft would change, before anything is changed."""
    text, base = _sent()
    try:
        document = drafts.read(text)
        with runtime().sessions() as session:
            desk = Desk(runtime(), session, visit().program, visit().actor)
            looked = drafts.look(desk, document)
    except DocumentRefused as refused:
        return _page(text=text, base=base, error=str(refused))
    return _page(text=text, base=base, looked=looked, sections=terms(looked.rules))


@action("/programme/draft/apply", "own")
def programme_draft_apply() -> Response | str:
    """Put it into force."""
    text, base = _sent()
    known = int(base) if base.isascii() and base.isdecimal() and len(base) < 10 else None
    try:
        document, begins = drafts.read(text), _moment(request.form.get("from", ""))
        done = carry_out(
            runtime(), visit().program, visit().actor,
            lambda desk: drafts.apply(desk, document, begins, known),
        )  # fmt: skip
    except (DocumentRefused, VersionRefused) as refused:
        return _page(text=text, base=base, error=str(refused))
    except Overtaken as overtaken:
        said = _(
            "Somebody made version {number} meanwhile. Look at what it changed, then check again.",
            number=overtaken.number,
        )
        return _page(text=text, base=str(overtaken.number), error=said, newer=overtaken.number)
    flash(
        _(
            "Version {number} is kept. Orders placed before it begins keep their rules.",
            number=done.number,
        ),
        "success",
    )
    return redirect(url_for("dashboard.programme_version", number=done.number), 303)


def _sent() -> tuple[str, str]:
    """The draft as it was typed, and what it is based on; browsers send their own ends of lines."""
    return request.form.get("document", "").replace("\r\n", "\n"), request.form.get("base", "")


def _moment(text: str) -> datetime | None:
    """A moment on the clocks of the programme; nothing: at once. Raises `VersionRefused`."""
    if not text:
        return None
    try:
        local = datetime.fromisoformat(text)
        return local.replace(tzinfo=ZoneInfo(visit().program.time_zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise VersionRefused(_("This is no date and time.")) from None


def _page(*, text: str, base: str, **more: Any) -> str:
    known = {"error": "", "looked": None, "sections": [], "newer": None, **more}
    return render_template("programme/draft.html", text=text, base=base, **known)
