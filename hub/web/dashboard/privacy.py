"""What a member may ask for: a file of everything that is kept of them, and to be forgotten."""

from __future__ import annotations

import json

from flask import abort, flash, redirect, render_template, url_for
from werkzeug.wrappers import Response

from hub.audit import record
from hub.desk import forgetting
from hub.desk.place import Desk, carry_out
from hub.i18n import gettext as _
from hub.members import report, view
from hub.web.dashboard.visit import action, page, runtime, visit


@action("/members/<member_id>/data", "support")
def member_data(member_id: str) -> Response:
    """The file to hand over; that it was made is written down."""
    hub, here = runtime(), visit()
    with hub.sessions.begin() as session:
        member = view.find(session, here.program.id, member_id)
        if member is None:
            abort(404)
        content = report.of_member(session, member.id, hub.clock())
        record(session, here.program.id, here.actor, "member.reported", member.public_id)
    answer = Response(
        json.dumps(content, ensure_ascii=False, indent=2, default=str), content_type="application/json"
    )
    answer.headers["Content-Disposition"] = f'attachment; filename="{member.public_id}.json"'
    answer.headers["Cache-Control"] = "no-store"
    return answer


@page("/members/<member_id>/forget", "own")
def member_forget(member_id: str) -> str:
    """What would go, before it goes."""
    hub, here = runtime(), visit()
    with hub.sessions() as session:
        member = view.find(session, here.program.id, member_id)
        if member is None:
            abort(404)
        balance = view.balance(session, member.id, hub.clock())["balance"]
        would = forgetting.preview(Desk(hub, session, here.program, here.actor), member.id)
        session.rollback()
    return render_template("members/forget.html", member=member, would=would, balance=balance)


@action("/members/<member_id>/forget", "own")
def member_forgotten(member_id: str) -> Response:
    """Forget them. There is no way back."""
    hub, here = runtime(), visit()
    with hub.sessions() as session:
        member = view.find(session, here.program.id, member_id)
    if member is None:
        abort(404)
    carry_out(hub, here.program, here.actor, lambda desk: forgetting.forget(desk, member.id))
    flash(
        _("The member is forgotten. Their orders and points stay, with nobody's name on them."),
        "success",
    )
    return redirect(url_for("dashboard.member", member_id=member.public_id), 303)
