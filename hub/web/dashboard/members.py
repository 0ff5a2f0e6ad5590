"""Members: found by any scrap, their points and where they came from, and what staff do for them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from hub import words
from hub.audit import actor_names
from hub.desk import merging, points
from hub.desk.place import Desk, carry_out
from hub.i18n import gettext as _
from hub.ids import new_id
from hub.ledger.commands import NotEnoughPoints, ReferenceConflict
from hub.ledger.merging import NotMergeable, Shortfall
from hub.members import credit, search, view
from hub.program import store
from hub.program.rules import in_force
from hub.sync.doorbell import Doorbell
from hub.transactions import browse, story
from hub.web.dashboard import stands
from hub.web.dashboard.visit import action, page, runtime, visit

PAGE = 50
TAB_WORDS: Mapping[str, str] = {
    "history": "History",
    "tier": "Tier",
    "lots": "Lots",
    "orders": "Orders",
    "vouchers": "Codes",
    "credit": "Store credit",
    "identities": "Known as",
}
FOUND_WORDS: Mapping[str, str] = {
    "id": "by its id",
    "phone": "by phone",
    "email": "by e-mail",
    "card": "by card",
    "customer": "by customer id",
    "order": "by an order",
    "code": "by a code",
    "last_digits": "by the last digits of the phone",
    "phone_begins": "by the beginning of the phone",
    "email_begins": "by the beginning of the e-mail",
    "name": "by name",
}
KIND_WORDS: Mapping[str, str] = {
    "phone": "Phone",
    "email": "E-mail",
    "card": "Card",
    "customer": "Customer",
}
VOUCHER_WORDS: Mapping[str, str] = {
    "planned": "on its way",
    "live": "can be used",
    "used": "used",
    "used_late": "used too late",
    "expiring": "its day has passed",
    "expired": "expired",
    "revoked": "taken back",
    "revoking": "being taken back",
    "failed": "failed",
}
CONSENT_WORDS: Mapping[str, str] = {
    "email_marketing": "News by e-mail",
    "sms_marketing": "News by text message",
    "loyalty": "Taking part in the programme",
}
SUGGESTION_WORDS: Mapping[str, str] = {
    "merged_by_channel": "A shop has merged these two customers.",
    "phone_of_another": "One message named a phone of the one and a key of the other.",
    "email_of_another": "One message named an e-mail of the one and a key of the other.",
    "card_of_another": "One message named a card of the one and a key of the other.",
    "customer_of_another": "One message named a customer of the one and a key of the other.",
}
LONGEST_KEY = 100


# --- the list ------------------------------------------------------------------------------------


@page("/members", "members")
def members() -> str | Response:
    """Everybody, newest first; or whom a scrap may mean. One exact hit opens at once: a queue waits."""
    text = request.args.get("q", "").strip()
    program = visit().program
    with runtime().sessions() as session:
        if text:
            hits = search.search(session, program.id, program.region, text)
            cards = view.cards(session, [hit.member_id for hit in hits])
            if len(hits) == 1 and hits[0].by in search.EXACT:
                return redirect(url_for("dashboard.member", member_id=cards[0]["public_id"]), 303)
            by = {hit.member_id: _(FOUND_WORDS[hit.by]) for hit in hits}
            return render_template("members/list.html", q=text, cards=cards, by=by, older="", newer="")
        after = request.args.get("after", "")
        before = search.row_id(session, program.id, after) if after else None
        if after and before is None:
            abort(404)
        ids = search.newest(session, program.id, before=before, limit=PAGE + 1)
        cards = view.cards(session, ids[:PAGE])
    older = url_for("dashboard.members", after=cards[-1]["public_id"]) if len(ids) > PAGE else ""
    newer = url_for("dashboard.members") if after else ""
    return render_template("members/list.html", q="", cards=cards, by={}, older=older, newer=newer)


# --- one member ----------------------------------------------------------------------------------


@page("/members/<member_id>", "members")
def member(member_id: str) -> str | Response:
    """The head, and one of the tabs."""
    tab = request.args.get("tab", "history")
    if tab not in TAB_WORDS:
        abort(404)
    with runtime().sessions() as session:
        found = found_member(session, member_id)
        if found.public_id != member_id:
            return redirect(url_for("dashboard.member", member_id=found.public_id, tab=tab), 303)
        shown = {
            "member": found,
            "head": _head(session, found),
            "suggestions": _suggestions(session, found),
            "tab": tab,
            "tabs": {name: _(word) for name, word in TAB_WORDS.items()},
            **_TABS[tab](session, found),
        }
    return render_template("members/member.html", **shown)


def found_member(session: Session, member_id: str) -> Any:
    row = view.find(session, visit().program.id, member_id)
    if row is None:
        abort(404)
    return row


def _head(session: Session, found: Any) -> dict[str, Any]:
    now = runtime().clock()
    keys = view.identities(session, found.id)
    return {
        **view.balance(session, found.id, now),
        **view.outlook(session, found.id, now),
        "standing": stands.in_brief(session, found),
        "phones": [k["value"] for k in keys if k["kind"] == "phone"],
        "emails": [k["value"] for k in keys if k["kind"] == "email"],
    }


def _suggestions(session: Session, found: Any) -> list[dict[str, Any]]:
    return [
        {**row._mapping, "why": _(SUGGESTION_WORDS.get(row.reason, row.reason))}
        for row in view.suggestions(session, found.id)
    ]


def _history(session: Session, found: Any) -> dict[str, Any]:
    before = request.args.get("before", "")
    if before and not (before.isascii() and before.isdigit() and len(before) < 19):
        abort(404)
    rows = view.entries(session, found.id, before=int(before) if before else None, limit=PAGE + 1)
    names = actor_names(session, {row.actor for row in rows})
    entries = [
        {
            **row._mapping,
            "why": words.of_entry(row.counter, row.amount, _named(row.explanation, row.reward)),
            "who": names[row.actor],
        }
        for row in rows[:PAGE]
    ]
    here = {"member_id": found.public_id}
    older = url_for("dashboard.member", **here, before=rows[PAGE - 1].seq) if len(rows) > PAGE else ""
    return {
        "entries": entries,
        "older": older,
        "newer": url_for("dashboard.member", **here) if before else "",
    }


def _named(steps: list[dict[str, Any]], reward: str | None) -> list[dict[str, Any]]:
    """The steps with the reward's name where the ledger, which keeps no words, has its id."""
    return [{**step, "reward": reward} if reward and "reward" in step else step for step in steps]


def _lots(session: Session, found: Any) -> dict[str, Any]:
    return {"lots": view.lots(session, found.id), "now": runtime().clock()}


def _orders(session: Session, found: Any) -> dict[str, Any]:
    wish = browse.Wish(member_id=found.id)
    orders = browse.page(session, visit().program.id, wish, limit=20)
    shown = [{**order, "short": story.in_short(order)} for order in orders.orders]
    return {"orders": shown, "more": orders.older is not None}


def _vouchers(session: Session, found: Any) -> dict[str, Any]:
    vouchers = view.vouchers(session, found.id)
    return {"vouchers": vouchers, "voucher_words": VOUCHER_WORDS}


def _identities(session: Session, found: Any) -> dict[str, Any]:
    return {
        "identities": view.identities(session, found.id),
        "kinds": KIND_WORDS,
        "aliases": view.aliases(session, found.id),
        "consents": view.consents(session, found.id),
        "consent_words": CONSENT_WORDS,
    }


def _credit(session: Session, found: Any) -> dict[str, Any]:
    rows = credit.movements(session, found.id)
    names = actor_names(session, {row.actor for row in rows})
    moved = [
        {
            **row._mapping,
            "why": words.of_entry(row.counter, row.amount, row.explanation),
            "who": names[row.actor],
        }
        for row in rows
    ]
    rules = in_force(store.versions(session, visit().program), runtime().clock())
    return {
        "held": credit.held(session, found.id, runtime().clock()),
        "moved": moved,
        "collects": rules.credit is not None,
    }


_TABS = {
    "history": _history,
    "tier": stands.tab,
    "lots": _lots,
    "orders": _orders,
    "vouchers": _vouchers,
    "credit": _credit,
    "identities": _identities,
}


# --- points by hand ------------------------------------------------------------------------------


@page("/members/<member_id>/adjust", "support")
def member_adjust(member_id: str) -> str:
    """The form, and once it is filled in what would happen."""
    wanted, reason = _read_points(request.args), request.args.get("reason", "").strip()
    shown: dict[str, Any] = {"wanted": wanted, "reason": reason, "error": "", "preview": None}
    asked = "points" in request.args
    with runtime().sessions.begin() as session:
        found = found_member(session, member_id)
        if asked and wanted is None:
            shown["error"] = _("Enter a whole number of points, not 0.")
        elif asked and reason and wanted is not None:
            try:
                desk = Desk(runtime(), session, visit().program, visit().actor)
                shown["preview"] = points.preview(desk, found.id, wanted)
            except NotEnoughPoints as refused:
                shown["error"] = too_many(refused)
        balance = view.balance(session, found.id, runtime().clock())
    key = request.args.get("key", "")[:LONGEST_KEY] or new_id("adj")  # the same after going back
    return render_template(
        "members/adjust.html", member=found, balance=balance, asked=asked, key=key, **shown
    )


@action("/members/<member_id>/adjust", "support")
def adjust_points(member_id: str) -> Response:
    """Give or take; a form that is sent twice does it once."""
    wanted, reason = _read_points(request.form), request.form.get("reason", "").strip()
    key = request.form.get("key", "")[:LONGEST_KEY]
    with runtime().sessions() as session:
        found = found_member(session, member_id)
    there = url_for("dashboard.member", member_id=found.public_id)
    if wanted is None or not reason or not key:
        return redirect(url_for("dashboard.member_adjust", member_id=found.public_id), 303)
    try:
        done = carry_out(
            runtime(), visit().program, visit().actor,
            lambda desk: points.adjust(desk, found.id, wanted, reason=reason, key=key),
        )  # fmt: skip
    except NotEnoughPoints as refused:
        flash(too_many(refused), "danger")
        return redirect(there, 303)
    except ReferenceConflict:
        flash(_("This form was sent before with other values; look at the history."), "danger")
        return redirect(there, 303)
    ring()
    flash(_given(wanted, done.balance), "success")
    return redirect(there, 303)


_WHOLE = re.compile(r"[+-]?(\d{1,16}|\d{1,3}([., \N{NO-BREAK SPACE}]\d{3}){1,5})", re.ASCII)
"""Digits, or groups of three: "1.5" is not fifteen."""


def _read_points(form: Mapping[str, str]) -> int | None:
    """A whole number within limits, taken away where the form says so; None: it is none."""
    text = form.get("points", "").strip().replace("\N{MINUS SIGN}", "-")
    if not _WHOLE.fullmatch(text):
        return None
    number = int(re.sub(r"[+., \N{NO-BREAK SPACE}]", "", text))
    if form.get("way") == "take":
        number = -abs(number)
    return number if number and abs(number) <= points.MOST else None


def too_many(refused: NotEnoughPoints) -> str:
    """Why points cannot be taken, with the numbers, and from when on more is there."""
    needed, available = words.points(refused.needed), words.number(refused.available)
    if refused.pending and refused.vests_at:
        return _(
            "{needed} are needed; {available} are available, and {pending} more from {moment} on.",
            needed=needed,
            available=available,
            pending=words.number(refused.pending),
            moment=words.moment(refused.vests_at, visit().program.time_zone),
        )
    return _("{needed} are needed; {available} are available.", needed=needed, available=available)


def _given(wanted: int, balance: int) -> str:
    said = words.points(abs(wanted))
    if wanted > 0:
        return _(
            "{points} given. The balance is now {balance}.", points=said, balance=words.number(balance)
        )
    return _("{points} taken. The balance is now {balance}.", points=said, balance=words.number(balance))


# --- merging -------------------------------------------------------------------------------------


@page("/members/<member_id>/merge", "support")
def member_merge(member_id: str) -> str:
    """What merging another member into this one would come to."""
    preview, refused = None, ""
    with runtime().sessions.begin() as session:
        kept, other = (
            found_member(session, member_id),
            found_member(session, request.args.get("other", "")),
        )
        try:
            desk = Desk(runtime(), session, visit().program, visit().actor)
            preview = merging.preview(desk, other.id, kept.id)
        except NotMergeable as error:
            refused = str(error)
        cards = view.cards(session, [kept.id, other.id])
    return render_template(
        "members/merge.html", member=kept, other=other, cards=cards, preview=preview, refused=refused
    )


@action("/members/<member_id>/merge", "support")
def merge_members(member_id: str) -> Response:
    """Make the other one an alias of this one."""
    with runtime().sessions() as session:
        kept, other = (
            found_member(session, member_id),
            found_member(session, request.form.get("other", "")),
        )
    try:
        carry_out(
            runtime(), visit().program, visit().actor,
            lambda desk: merging.merge(desk, other.id, kept.id),
        )  # fmt: skip
        flash(_("The two are one member now. It can be undone under “Known as”."), "success")
    except NotMergeable as error:
        flash(_("They were not merged: {why}.", why=error), "danger")
    ring()
    return redirect(url_for("dashboard.member", member_id=kept.public_id), 303)


@action("/members/<member_id>/apart", "support")
def dismiss_suggestion(member_id: str) -> Response:
    """They are two people: the suggestion is set aside."""
    with runtime().sessions() as session:
        kept, other = (
            found_member(session, member_id),
            found_member(session, request.form.get("other", "")),
        )
    carry_out(
        runtime(), visit().program, visit().actor, lambda desk: merging.dismiss(desk, kept.id, other.id)
    )
    flash(_("They stay two members; this is not suggested again."), "success")
    return redirect(url_for("dashboard.member", member_id=kept.public_id), 303)


@page("/members/<member_id>/unmerge", "support")
def member_unmerge(member_id: str) -> str:
    """What taking a merged member out again would come to, a debt included."""
    preview, refused = None, ""
    with runtime().sessions.begin() as session:
        kept, gone = found_member(session, member_id), _alias(session, request.args.get("gone", ""))
        try:
            desk = Desk(runtime(), session, visit().program, visit().actor)
            preview = merging.preview_unmerge(desk, gone.id, kept.id)
        except NotMergeable as error:
            refused = str(error)
    return render_template(
        "members/unmerge.html", member=kept, gone=gone, preview=preview, refused=refused
    )


@action("/members/<member_id>/unmerge", "support")
def unmerge_members(member_id: str) -> Response:
    """Take them apart; a debt only when it was accepted."""
    with runtime().sessions() as session:
        kept, gone = found_member(session, member_id), _alias(session, request.form.get("gone", ""))
    accept = request.form.get("accept") == "yes"
    there = url_for("dashboard.member", member_id=kept.public_id)
    try:
        carry_out(
            runtime(), visit().program, visit().actor,
            lambda desk: merging.unmerge(desk, gone.id, kept.id, accept_shortfall=accept),
        )  # fmt: skip
        flash(_("They are two members again."), "success")
    except NotMergeable as error:
        flash(_("They were not taken apart: {why}.", why=error), "danger")
    except Shortfall as short:
        owed = words.points(short.points)
        flash(_("They were not taken apart: {points} would be owed.", points=owed), "danger")
        there = url_for("dashboard.member_unmerge", member_id=kept.public_id, gone=gone.public_id)
    ring()
    return redirect(there, 303)


def _alias(session: Session, public_id: str) -> Any:
    """The very row of a member that was merged."""
    found = search.row_id(session, visit().program.id, public_id)
    if found is None:
        abort(404)
    return view.row(session, found)


def ring() -> None:
    Doorbell(runtime().settings.redis_url).ring("outbound")
