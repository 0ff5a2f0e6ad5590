"""Decisions about a member's tier, and tags: shown first, carried out once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import cast
from zoneinfo import ZoneInfo

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from hub.desk import tiers
from hub.desk.place import carry_out
from hub.desk.tiers import Decision, KeyConflict, TierRefused
from hub.i18n import gettext as _
from hub.ids import new_id
from hub.money import NotMoney, to_minor_exact
from hub.program.history import ActKind
from hub.program.ladder import Ladder
from hub.web.dashboard.members import LONGEST_KEY, found_member, ring
from hub.web.dashboard.stands import DECISION_WORDS, desk_of, ladder_of, level_of, told
from hub.web.dashboard.visit import action, page, runtime, visit

# --- deciding ------------------------------------------------------------------------------------


@page("/members/<member_id>/tier", "support")
def member_tier(member_id: str) -> str:
    """The form, and once it is filled in what would happen."""
    error, preview, reason = "", None, request.args.get("reason", "").strip()
    with runtime().sessions.begin() as session:
        found = found_member(session, member_id)
        ladder = ladder_of(session)
        if "decision" in request.args:
            try:
                decision = _read(request.args, ladder)
                preview = tiers.preview(desk_of(session), found.id, decision) if reason else None
            except TierRefused as refused:
                error = str(refused)
        stands = told(tiers.of(desk_of(session), found.id))
    key = request.args.get("key", "")[:LONGEST_KEY] or new_id("act")
    return render_template(
        "members/decide.html", member=found, standing=stands, ladder=ladder, error=error, key=key,
        preview=preview and {"before": level_of(ladder, preview.before), "after": told(preview.standing)},
        reason=reason, wish=request.args, decision_words=DECISION_WORDS,
    )  # fmt: skip


@action("/members/<member_id>/tier", "support")
def decide_tier(member_id: str) -> Response:
    """Carry a decision out; a form that is sent twice does it once."""
    reason, key = request.form.get("reason", "").strip(), request.form.get("key", "")[:LONGEST_KEY]
    with runtime().sessions() as session:
        found = found_member(session, member_id)
        ladder = ladder_of(session)
    there = url_for("dashboard.member", member_id=found.public_id, tab="tier")
    if not reason or not key:
        return redirect(url_for("dashboard.member_tier", member_id=found.public_id), 303)
    try:
        decision = _read(request.form, ladder)
        done = carry_out(
            runtime(), visit().program, visit().actor,
            lambda desk: tiers.decide(desk, found.id, decision, reason=reason, key=key),
        )  # fmt: skip
    except TierRefused as refused:
        flash(str(refused), "danger")
        return redirect(there, 303)
    except KeyConflict:
        flash(_("This form was sent before with other values; look at the history."), "danger")
        return redirect(there, 303)
    ring()
    level = level_of(done.standing.ladder, done.tier)
    name = level.name if level else _("none")
    flash(_("Done. The tier is now: {tier}.", tier=name), "success")
    return redirect(there, 303)


@action("/members/<member_id>/tags", "support")
def tag_member(member_id: str) -> Response:
    """Put a tag on a member, or take it off."""
    with runtime().sessions() as session:
        found = found_member(session, member_id)
    name, off = request.form.get("tag", ""), "off" in request.form
    try:
        carry_out(
            runtime(), visit().program, visit().actor, lambda desk: tiers.tag(desk, found.id, name, on=not off)
        )  # fmt: skip
    except TierRefused as refused:
        flash(str(refused), "danger")
    return redirect(url_for("dashboard.member", member_id=found.public_id, tab="tier"), 303)


def _read(form: Mapping[str, str], ladder: Ladder | None) -> Decision:
    """What a form asks for. Raises `TierRefused`."""
    kind = form.get("decision", "")
    if kind not in DECISION_WORDS:
        raise TierRefused(_("Choose what to decide."))
    amount = _amount(form.get("amount", ""), ladder) if kind == "count" else 0
    tier = form.get("tier") or None if kind in {"set", "guarantee"} else None
    until = _until(form.get("until", "")) if kind == "guarantee" else None
    return Decision(cast("ActKind", kind), tier=tier, until=until, amount=amount)


def _amount(text: str, ladder: Ladder | None) -> int:
    try:
        amount = Decimal(text.strip())
        if ladder is not None and ladder.by == "spend":
            return to_minor_exact(amount, ladder.currency)
        if amount == int(amount):
            return int(amount)
    except (InvalidOperation, NotMoney, ValueError, OverflowError):
        pass
    raise TierRefused(_("Enter a number without separators, like 1500000."))


def _until(text: str) -> datetime | None:
    """The end of a day in the program's zone."""
    if not text:
        return None
    try:
        after = date.fromisoformat(text) + timedelta(days=1)
    except (ValueError, OverflowError):
        raise TierRefused(_("Enter a day like 2027-01-31.")) from None
    zone = ZoneInfo(visit().program.time_zone)
    return datetime(after.year, after.month, after.day, tzinfo=zone)
