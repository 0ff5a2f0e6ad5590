"""Codes that were used more than once, or too late: what was done, and deciding otherwise."""

from __future__ import annotations

from flask import abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from hub import words
from hub.desk import double_uses as desk_
from hub.desk.place import carry_out
from hub.i18n import gettext as _
from hub.web.dashboard.visit import action, page, runtime, visit

_SHOWN = 50
_LONGEST = 19
"""Digits of the largest id there is."""


@page("/double-uses", "look")
def orders_double_uses() -> str:
    """The newest codes first, fifty at a time."""
    before = request.args.get("before", "")
    start = int(before) if before.isascii() and before.isdigit() and len(before) < _LONGEST else None
    with runtime().sessions() as session:
        found = desk_.listed(session, visit().program, before=start, limit=_SHOWN + 1)
    more = found[_SHOWN - 1].id if len(found) > _SHOWN else None
    shown = [(one, words.of_double_use(one.done)) for one in found[:_SHOWN]]
    return render_template("orders/double_uses.html", shown=shown, more=more)


@action("/double-uses/decide", "support")
def orders_decide_double_use() -> Response:
    """The member pays for further uses, or the shop does."""
    code, wish = request.form.get("code", "")[:200], request.form.get("decision", "")
    chosen = next((one for one in desk_.DECISIONS if one == wish), None)
    if chosen is None:
        abort(400)
    try:
        carry_out(
            runtime(), visit().program, visit().actor, lambda desk: desk_.decide(desk, code, chosen)
        )
    except LookupError:
        abort(404)
    except desk_.NotTwice:
        flash(_("This code was used once at most."), "danger")
    else:
        flash(_("Decided."), "success")
    return redirect(url_for("dashboard.orders_double_uses"), 303)
