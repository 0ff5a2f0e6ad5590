"""A member's codes: taking back one that nobody used, so that its points return."""

from __future__ import annotations

from flask import abort, flash, redirect, url_for
from werkzeug.wrappers import Response

from hub.desk.place import carry_out
from hub.desk.rewards import take_back
from hub.i18n import gettext as _
from hub.members import view
from hub.redemption.taking_back import AlreadyUsed
from hub.sync.doorbell import Doorbell
from hub.web.dashboard.visit import action, runtime, visit


@action("/members/<member_id>/redemptions/<redemption_id>/take-back", "support")
def take_code_back(member_id: str, redemption_id: str) -> Response:
    """Revoke a code everywhere; its points return once every channel has confirmed."""
    with runtime().sessions() as session:
        found = view.find(session, visit().program.id, member_id)
        if found is None or redemption_id not in view.redemptions(session, found.id):
            abort(404)
    try:
        state = carry_out(
            runtime(), visit().program, visit().actor, lambda desk: take_back(desk, redemption_id)
        )
    except AlreadyUsed:
        flash(_("An order used this code; refund or cancel that order."), "danger")
    else:
        flash(_said(state), "success")
        Doorbell(runtime().settings.redis_url).ring("outbound")
    return redirect(url_for("dashboard.member", member_id=found.public_id, tab="vouchers"), 303)


def _said(state: str) -> str:
    if state == "revoked":
        return _("The code is taken back, and its points are there again.")
    return _("The code is being taken back; its points return once every channel has confirmed.")
