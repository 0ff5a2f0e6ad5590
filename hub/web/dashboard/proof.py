"""A member's one-time code at the dashboard: sent to them, and typed in by whoever redeems for them."""

from __future__ import annotations

from flask import flash, redirect, request, url_for
from werkzeug.wrappers import Response

from hub.bulk import run
from hub.desk import tills
from hub.desk.tills import CodeNeeded, MustWait, NoContact, WrongCode
from hub.i18n import gettext as _
from hub.members.one_time import DIGITS, Try
from hub.sending import NotSent
from hub.web.dashboard.members import found_member
from hub.web.dashboard.visit import action, runtime, visit


@action("/members/<member_id>/one-time-code", "redeem")
def send_one_time_code(member_id: str) -> Response:
    """Send six digits to the member; too many have to wait."""
    with runtime().sessions() as session:
        found = found_member(session, member_id)
    try:
        sent = tills.send_code(
            runtime(), visit().program, found.id, None,
            actor=visit().actor, till="dashboard", address=request.remote_addr or "",
        )  # fmt: skip
    except NoContact:
        flash(_("This member has no phone or e-mail that the hub can send a code to."), "danger")
    except MustWait as refused:
        seconds = max(1, round(refused.wait.total_seconds()))
        flash(_("Too many codes were sent. Wait {seconds} s.", seconds=seconds), "danger")
    except NotSent:
        flash(_("The code could not be sent. Try again, or another way."), "danger")
    else:
        said = _(
            "A code was sent to {to}. It is valid for 5 minutes; ask the member for it.", to=sent.to
        )
        flash(said, "success")
    return redirect(url_for("dashboard.member_redeem", member_id=found.public_id), 303)


def given(member_id: int, key: str) -> Try | None:
    """The try at the member's code that this form is; None where it has no digits, or was carried out before: a
    repetition is no further try. Raises `tills.WrongCode`."""
    digits = "".join(request.form.get("one_time_code", "").split())
    if not digits or _is_done(key):
        return None
    if len(digits) != DIGITS or not digits.isascii() or not digits.isdigit():
        digits = ""  # it costs a try like any other wrong one
    return tills.prove(runtime(), visit().program, member_id, digits)


def why_not(refused: CodeNeeded | WrongCode) -> str:
    """What is wrong with the code, and what to do."""
    if isinstance(refused, CodeNeeded):
        return _("So many points need a one-time code: send one to the member and type it in.")
    if refused.left:
        return _("This is not the code. Tries left: {left}.", left=refused.left)
    return _("This is not the code, or it is not valid any more. Send another one.")


def _is_done(key: str) -> bool:
    sql = "SELECT 1 FROM redemptions WHERE program_id = :program AND idempotency_key = :key"
    with runtime().looks() as session:
        return bool(run(session, sql, {"program": visit().program.id, "key": key}))
