"""What a member's points buy: the rewards, the code of one, and taking back one that nobody used."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from hub import words
from hub.desk import gift_cards, rewards, tills
from hub.desk.place import Desk, carry_out
from hub.desk.tills import CashierLimit, CodeNeeded, WrongCode
from hub.i18n import gettext as _
from hub.ids import new_id
from hub.ledger.commands import NotEnoughPoints
from hub.members import view
from hub.members.one_time import Try
from hub.program.rewards import ALL
from hub.redemption.cashiers import Act
from hub.redemption.gift_cards import NoGiftCard, NotCollectable
from hub.redemption.limits import NotOffered
from hub.redemption.orders import Redeemed
from hub.redemption.redeem import KeyReused, NoSuchReward
from hub.redemption.taking_back import AlreadyUsed
from hub.web.dashboard import proof
from hub.web.dashboard.members import LONGEST_KEY, VOUCHER_WORDS, found_member, ring, too_many
from hub.web.dashboard.visit import action, page, runtime, visit
from hub.web.qr import picture


@page("/members/<member_id>/redeem", "redeem")
def member_redeem(member_id: str) -> str:
    """What the points buy now, and what is missing for the rest."""
    with runtime().sessions() as session:
        found = found_member(session, member_id)
        balance = view.balance(session, found.id, runtime().clock())
        desk = Desk(runtime(), session, visit().program, visit().actor)
        offers = rewards.offers(desk, balance["available"], found.id)
        till, excused = desk.rules().till, visit().may("support")
    shown = [
        {
            "offer": offer, "worth": worth_of(offer.reward.terms()), "key": new_id("key"),
            "needs_code": not excused and not offer.missing and till.needs_code(offer.reward.cost),
        }
        for offer in offers
    ]  # fmt: skip
    return render_template("members/redeem.html", member=found, balance=balance, offers=shown)


def worth_of(terms: Mapping[str, Any]) -> str:
    """What a reward is worth: what is handed over or free, an amount per currency, or a percentage."""
    if terms.get("perk"):
        return str(terms["perk"])
    if terms.get("credit"):
        worth = ", ".join(words.money(amount, c) for c, amount in terms["credit"].items())
        return _("{amount} store credit", amount=worth)
    if terms.get("gift_card"):
        worth = ", ".join(words.money(amount, c) for c, amount in terms["gift_card"].items())
        return _("gift card of {amount}", amount=worth)
    if terms.get("free_shipping"):
        return _("free shipping")
    skus = ", ".join(terms.get("skus") or ())
    if skus and terms["percent"] == ALL and terms.get("pieces"):
        return _("{pieces} × {skus} free", pieces=words.number(terms["pieces"]), skus=skus)
    off = ", ".join(words.money(amount, currency) for currency, amount in terms["amounts"].items())
    if terms["percent"] is not None:
        percent = words.number((Decimal(terms["percent"]) / 100).normalize())
        off = _("{percent}% off", percent=percent)
    most = ", ".join(words.money(amount, c) for c, amount in (terms.get("most") or {}).items())
    off = _("{off}, at most {most}", off=off, most=most) if most else off
    return _("{off} on {skus}", off=off, skus=skus) if skus else off


@action("/members/<member_id>/redeem", "redeem")
def redeem_reward(member_id: str) -> Response:
    """Spend the points; the code is shown on a page of its own."""
    reward, key = request.form.get("reward", ""), request.form.get("key", "")[:LONGEST_KEY]
    with runtime().sessions() as session:
        found = found_member(session, member_id)
    back = redirect(url_for("dashboard.member_redeem", member_id=found.public_id), 303)
    if not key:
        return back
    try:
        tried = proof.given(found.id, key)
        done = carry_out(
            runtime(), visit().program, visit().actor, lambda desk: _bought(desk, found.id, reward, key, tried)
        )  # fmt: skip
    except REFUSALS as refused:
        flash(_why_not(refused), "danger")
        return back
    ring()
    there = url_for("dashboard.member_redemption", member_id=found.public_id, redemption_id=done.id)
    return redirect(there, 303)


REFUSALS = (NotEnoughPoints, NoSuchReward, NotOffered, KeyReused, CodeNeeded, WrongCode, CashierLimit)


def _why_not(refused: Exception) -> str:
    """A refusal in a sentence; the owner is told of a cashier who does too much."""
    if isinstance(refused, NotEnoughPoints):
        return too_many(refused)
    if isinstance(refused, NotOffered):
        return words.of_offer(refused.why)
    if isinstance(refused, CashierLimit):
        tills.tell(runtime(), visit().program, refused)
        return _("This cashier has reached the limit for an hour. The owner of the programme was told.")
    if isinstance(refused, CodeNeeded | WrongCode):
        return proof.why_not(refused)
    if isinstance(refused, NoSuchReward):
        return _("This reward is not offered any more.")
    return _("This form was sent before with other values; look at the history.")


def _bought(desk: Desk, member_id: int, reward: str, key: str, tried: Try | None) -> Redeemed:
    """As the programme asks of tills; support answers for large redemptions without a code."""
    (done,) = tills.redeeming(
        desk, Act("redeem", desk.actor), member_id,
        lambda: [rewards.redeem(desk, member_id, reward, key=key)],
        proof=tried, excused=visit().may("support"),
    )  # fmt: skip
    return done


@action("/members/<member_id>/collect", "redeem")
def collect_gift_card(member_id: str) -> Response:
    """The money of a gift card becomes the member's store credit."""
    code = request.form.get("code", "").strip()[:64]
    with runtime().sessions() as session:
        found = found_member(session, member_id)
    back = redirect(url_for("dashboard.member", member_id=found.public_id, tab="credit"), 303)
    if not code:
        flash(_("Type the code of the gift card."), "danger")
        return back
    try:
        done = carry_out(
            runtime(), visit().program, visit().actor, lambda desk: gift_cards.collect(desk, found.id, code)
        )  # fmt: skip
    except NoGiftCard:
        flash(_("There is no gift card with this code."), "danger")
    except NotCollectable as refused:
        flash(words.of_code(refused.why), "danger")
    else:
        amount = words.money(done.amount, done.currency)
        flash(_("{amount} of a gift card are store credit now.", amount=amount), "success")
        ring()
    return back


@page("/members/<member_id>/redemptions/<redemption_id>", "redeem")
def member_redemption(member_id: str, redemption_id: str) -> str:
    """The code, big: to be read out, copied or printed."""
    with runtime().sessions() as session:
        found = found_member(session, member_id)
        codes = [v for v in view.vouchers(session, found.id) if v["redemption"] == redemption_id]
        if not codes:
            abort(404)
        balance = view.balance(session, found.id, runtime().clock())
    terms = codes[0]["reward_terms"]
    worth = worth_of(terms)
    return render_template(
        "members/code.html", member=found, voucher=codes[0], name=terms["name"], worth=worth,
        balance=balance, voucher_words=VOUCHER_WORDS,
    )  # fmt: skip


@page("/members/<member_id>/redemptions/<redemption_id>/qr", "redeem")
def member_code_picture(member_id: str, redemption_id: str) -> Response:
    """The code as a QR code, for the member's phone or the scanner of a till."""
    with runtime().looks() as session:
        found = found_member(session, member_id)
        code = view.code_of(session, found.id, redemption_id)
    if code is None:
        abort(404)
    return picture(code)


@action("/members/<member_id>/redemptions/<redemption_id>/take-back", "support")
def take_code_back(member_id: str, redemption_id: str) -> Response:
    """Revoke a code everywhere; its points return once every channel has confirmed."""
    with runtime().sessions() as session:
        found = found_member(session, member_id)
        if redemption_id not in view.redemptions(session, found.id):
            abort(404)
    try:
        state = carry_out(
            runtime(), visit().program, visit().actor,
            lambda desk: rewards.take_back(desk, redemption_id),
        )  # fmt: skip
    except AlreadyUsed:
        flash(_("An order used this code; refund or cancel that order."), "danger")
    else:
        flash(_said(state), "success")
        ring()
    return redirect(url_for("dashboard.member", member_id=found.public_id, tab="vouchers"), 303)


def _said(state: str) -> str:
    if state == "revoked":
        return _("The code is taken back, and its points are there again.")
    return _("The code is being taken back; its points return once every channel has confirmed.")
