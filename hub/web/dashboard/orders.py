"""Orders: found by any scrap, each with its whole story; a guest's order is given to a member."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import abort, flash, redirect, render_template, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from hub import words
from hub.bulk import run
from hub.desk import claims, reviews
from hub.desk.claims import NotClaimable
from hub.desk.place import Desk, carry_out
from hub.i18n import gettext as _
from hub.members import search, view
from hub.registry import UnknownConnector
from hub.sync.doorbell import Doorbell
from hub.transactions import browse, story
from hub.transactions.browse import BadPlace, Place, Wish
from hub.web.dashboard.badges import Badge
from hub.web.dashboard.visit import action, page, runtime, visit

ORDER_WORDS: Mapping[str, str] = {
    "unknown": "Not seen yet",
    "draft": "Draft",
    "pending": "Not paid",
    "paid": "Paid",
    "fulfilled": "Handed over",
    "cancelled": "Cancelled",
    "refunded": "Refunded",
    "deleted": "Deleted",
}
_LOOKS: Mapping[str, tuple[str, str]] = {
    "unknown": ("blue", "hourglass"),
    "draft": ("grey", "pencil"),
    "pending": ("blue", "clock"),
    "paid": ("green", "circle-check"),
    "fulfilled": ("green", "package"),
    "cancelled": ("grey", "ban"),
    "refunded": ("grey", "receipt-refund"),
    "deleted": ("grey", "trash"),
}
FOUND_WORDS: Mapping[str, str] = {
    "id": "by its id",
    "number": "by number",
    "code": "by a code",
    "amount": "by amount",
    "about": "about this amount on that day",
    "customer": "by customer",
    "number_begins": "by the beginning of the number",
}
STEP_ICONS: Mapping[str, str] = {
    "received": "arrow-down-left",
    "understood": "eye",
    "failed": "alert-triangle",
    "posted": "coins",
    "claimed": "user-check",
    "shared": "ticket",
    "pushed": "arrow-up-right",
    "asked": "help-circle",
}
_CANDIDATES = 5


def badge(state: str) -> Badge:
    """The state of an order."""
    colour, icon = _LOOKS[state]
    return Badge(colour, icon, _(ORDER_WORDS[state]))


# --- the list ------------------------------------------------------------------------------------


@page("/orders", "look")
def orders() -> str | Response:
    """All orders, newest first, narrowed; or what a scrap may mean."""
    program = visit().program
    if not all(request.args.values()):
        return redirect(_address(), 303)  # a form sends its empty fields too; an address is short
    with runtime().sessions() as session:
        known = _channels(session)
        wish = _wish(session, known)
        shown: dict[str, Any] = {"found": None, "older": "", "looked_back_to": None}
        if wish.text:
            found = browse.find(session, program.id, program.region, program.currency, wish)
            rows = found.orders
            shown["found"] = found
            shown["messages"] = [_message(row) for row in found.messages]
        else:
            one = browse.page(session, program.id, wish, _place())
            rows = one.orders
            shown["older"] = _address(after=str(one.older)) if one.older else ""
            shown["looked_back_to"] = one.looked_back_to
        of_member = view.by_id(session, wish.member_id) if wish.member_id else None
    return render_template(
        "orders/list.html", orders=[_line(row) for row in rows], channels=known, states=_states(),
        args=request.args, narrowed=_narrowed(), of_member=of_member,
        newer=_address(after=None) if "after" in request.args else "", **shown,
    )  # fmt: skip


def _line(row: Mapping[str, Any]) -> dict[str, Any]:
    how = row.get("by")
    found = _(FOUND_WORDS[how]) if how else ""
    return {**row, "badge": badge(row["state"]), "short": story.in_short(row), "by": found}


def _message(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "told": words.of_delivery(row, own_words(row["kind"]))}


def own_words(kind: str) -> Mapping[str, str]:
    """What a kind of channel calls its own codes."""
    try:
        return runtime().connector_class(kind).words
    except UnknownConnector:
        return {}


def _wish(session: Session, known: list[Any]) -> Wish:
    """The filters of the address; what makes no sense is 404, not ignored."""
    get = request.args.get
    wish = Wish(text=get("q", "").strip(), nothing=get("nothing") == "1")
    if get("state"):
        wish = replace(wish, state=get("state", "") if get("state") in browse.STATES else abort(404))
    if get("channel"):
        ids = {c.public_id: c.id for c in known}
        wish = replace(wish, channel_id=ids.get(get("channel", "")) or abort(404))
    if get("member"):
        found = view.find(session, visit().program.id, get("member", ""))
        wish = replace(wish, member_id=found.id if found else abort(404))
    return replace(wish, since=_day("from", 0), until=_day("to", 1))


def _day(name: str, later: int) -> datetime | None:
    """The beginning of a day of the address in the program's time zone, or of the one after."""
    text = request.args.get(name, "")
    if not text:
        return None
    try:
        day = date.fromisoformat(text) + timedelta(days=later)
        return datetime.combine(day, time(), ZoneInfo(visit().program.time_zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        abort(404)


def _place() -> Place | None:
    text = request.args.get("after", "")
    try:
        return Place.read(text) if text else None
    except BadPlace:
        abort(404)


def _address(**changed: str | None) -> str:
    """The present address with something changed; None leaves it out."""
    kept = {name: value for name, value in request.args.items() if value and name not in changed}
    wanted: dict[str, Any] = kept | {name: value for name, value in changed.items() if value is not None}
    return url_for("dashboard.orders", **wanted)


def _narrowed() -> bool:
    return any(request.args.get(n) for n in ("q", "state", "channel", "from", "to", "nothing", "member"))


def _channels(session: Session) -> list[Any]:
    sql = "SELECT id, public_id, name FROM channels WHERE program_id = :program ORDER BY name"
    return list(run(session, sql, {"program": visit().program.id}))


def _states() -> dict[str, str]:
    return {state: _(ORDER_WORDS[state]) for state in browse.STATES}


# --- one order -----------------------------------------------------------------------------------


@page("/orders/<order_id>", "look")
def order(order_id: str) -> str:
    """The story on the left, the order as the shop shows it on the right."""
    with runtime().sessions() as session:
        row = _found(session, order_id)
        told = story.tell(runtime(), session, visit().program, row, own_words)
    stored = [
        {**one, "text": json.dumps(one["body"], indent=2, ensure_ascii=False)}
        for one in told.contributions
    ]
    return render_template(
        "orders/order.html", order=row, story=told, badge=badge(row["state"]), icons=STEP_ICONS,
        sale=told.sale, stored=stored,
    )  # fmt: skip


def _found(session: Session, order_id: str) -> Mapping[str, Any]:
    row = story.find(session, visit().program.id, order_id)
    if row is None:
        abort(404)
    return row


# --- giving it to a member -----------------------------------------------------------------------


@page("/orders/<order_id>/claim", "support")
def order_claim(order_id: str) -> str:
    """Whom the text means, and what giving them the order would come to."""
    text = request.args.get("q", "").strip()
    program = visit().program
    with runtime().sessions.begin() as session:
        row = _found(session, order_id)
        hits = search.search(session, program.id, program.region, text) if text else []
        desk = Desk(runtime(), session, program, visit().actor)
        cards = view.cards(session, [hit.member_id for hit in hits][:_CANDIDATES])
        candidates = [{**card, "preview": _preview(desk, order_id, card["id"])} for card in cards]
        known = any(hit.by in ("phone", "email") for hit in hits)
        makes_new = claims.is_contact(text, program.region) and not known
    return render_template(
        "orders/claim.html", order=row, q=text, candidates=candidates, makes_new=makes_new,
        more=len(hits) > _CANDIDATES,
    )  # fmt: skip


def _preview(desk: Desk, order_id: str, member_id: int) -> Any:
    try:
        return claims.preview(desk, order_id, member_id)
    except NotClaimable:
        return None


@action("/orders/<order_id>/claim", "support")
def claim_order(order_id: str) -> Response:
    """Give the order to the chosen member, or to a new one with this phone or e-mail."""
    with runtime().sessions() as session:
        row = _found(session, order_id)
        chosen = view.find(session, visit().program.id, request.form.get("member", ""))
    contact, name = request.form.get("contact", "").strip(), request.form.get("name", "")[:200]
    back = redirect(url_for("dashboard.order", order_id=row["public_id"]), 303)
    if chosen is None and not claims.is_contact(contact, visit().program.region):
        flash(
            _("Enter a phone number or an e-mail address as it would be dialled or written to."),
            "danger",
        )
        return back

    def deed(desk: Desk) -> claims.Claimed:
        member_id = chosen.id if chosen else claims.enrol(desk, contact, name)
        return claims.claim(desk, order_id, member_id)

    try:
        done = carry_out(runtime(), visit().program, visit().actor, deed)
    except NotClaimable as refused:
        flash(str(refused), "danger")
        return back
    Doorbell(runtime().settings.redis_url).ring("outbound")
    said = words.points(done.points)
    balance = words.number(done.balance)
    flash(
        _("Done: {points} given. The balance is now {balance}.", points=said, balance=balance), "success"
    )
    return back


@page("/orders/<order_id>/release", "support")
def order_release(order_id: str) -> str:
    """What taking the order back from its member would come to."""
    preview, refused = None, ""
    with runtime().sessions.begin() as session:
        row = _found(session, order_id)
        try:
            desk = Desk(runtime(), session, visit().program, visit().actor)
            preview = claims.preview_release(desk, order_id)
        except NotClaimable as error:
            refused = str(error)
    return render_template("orders/release.html", order=row, preview=preview, refused=refused)


@action("/orders/<order_id>/release", "support")
def release_order(order_id: str) -> Response:
    """Take it back."""
    with runtime().sessions() as session:
        row = _found(session, order_id)
    try:
        carry_out(runtime(), visit().program, visit().actor, lambda desk: claims.release(desk, order_id))
        flash(_("The order was taken back, with its points."), "success")
    except NotClaimable as refused:
        flash(str(refused), "danger")
    Doorbell(runtime().settings.redis_url).ring("outbound")
    return redirect(url_for("dashboard.order", order_id=row["public_id"]), 303)


@action("/orders/<order_id>/review", "support")
def review_order(order_id: str) -> Response:
    """Say whether an order that was told of late earns its points."""
    with runtime().sessions() as session:
        row = _found(session, order_id)
    decision = request.form.get("decision")
    back = redirect(url_for("dashboard.order", order_id=row["public_id"]), 303)
    if decision not in ("approve", "decline"):
        return back
    try:
        given = carry_out(
            runtime(), visit().program, visit().actor,
            lambda desk: reviews.decide(desk, row["public_id"], approve=decision == "approve"),
        )  # fmt: skip
        flash(_("Decided: {points}.", points=words.points(given)), "success")
    except reviews.NotWaiting:
        flash(_("This order needs no decision."), "danger")
    Doorbell(runtime().settings.redis_url).ring("outbound")
    return back
