"""`POST /api/v1/redemptions`: points are held, committed to a code or let go; or all of it at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from flask import Response, request
from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from hub.desk import rewards, tills
from hub.desk.place import Desk
from hub.desk.tills import CashierLimit, CodeNeeded, MustWait, NoContact, OwnAccount, WrongCode
from hub.i18n import gettext as _
from hub.ledger.commands import NotEnoughPoints
from hub.members import view
from hub.members.one_time import Try
from hub.redemption.cashiers import Act
from hub.redemption.limits import NotOffered
from hub.redemption.orders import (
    AlreadyCommitted,
    HoldEnded,
    KeyReused,
    NoSuchRedemption,
    NoSuchReward,
    NotPayable,
    Redeemed,
)
from hub.redemption.taking_back import AlreadyUsed
from hub.sending import NotSent
from hub.web.api.door import ApiBlueprint, Strict, runtime, transaction
from hub.web.api.once import given_key, key_reused, once, stored
from hub.web.api.redemptions import (
    Redemption,
    Wish,
    not_enough,
    not_offered,
    not_payable,
    payment_of,
    redeemed,
    shown,
)
from hub.web.keys import caller, requires
from hub.web.problems import Problem, not_found

_REDEMPTION = Redemption()
blueprint = ApiBlueprint("redeeming", __name__, url_prefix="/api/v1", description="Spending points")


class RedeemRequest(Wish):
    """Who buys which reward, or pays with how many points."""

    credit = fields.Integer(
        strict=True,
        validate=validate.Range(1, 2**53),
        metadata={"description": "store credit instead, in minor units of the currency"},
    )
    quantity = fields.Integer(
        strict=True,
        validate=validate.Range(1, 100),
        metadata={"description": "so many of the reward, each with a code of its own, or none"},
    )
    hold = fields.Boolean(
        load_default=False,
        metadata={"description": "only hold the points; commit them for a code, or void"},
    )
    one_time_code = fields.String(
        validate=validate.Regexp(r"^[0-9]{6}\Z"),
        metadata={"description": "six digits that the member was sent"},
    )
    cashier = fields.String(
        validate=validate.Length(1, 64), metadata={"description": "as the till names them"}
    )
    till = fields.String(validate=validate.Length(1, 64))

    @validates_schema
    def one_or_the_other(self, data: dict[str, Any], **_more: Any) -> None:
        """A reward has its price; points as money have no reward."""
        if sum(name in data for name in ("reward", "points", "credit")) != 1:
            raise ValidationError("name one of reward, points and credit", "reward")
        if "reward" in data and ("currency" in data or "bill" in data):
            raise ValidationError(
                "belongs to points, not to a reward", "currency" if "currency" in data else "bill"
            )
        if "reward" not in data and "quantity" in data:
            raise ValidationError("belongs to a reward, not to points", "quantity")
        if data["hold"] and "quantity" in data:
            raise ValidationError(_("holds are made one by one"), "quantity")


class CodeRequest(Strict):
    """How a member is told their code."""

    way = fields.String(
        validate=validate.OneOf(["sms", "email"]), metadata={"description": "a phone before an e-mail"}
    )
    till = fields.String(load_default="", validate=validate.Length(max=64))


class CodeSent(Schema):
    """A code that is on its way."""

    id = fields.String()
    way = fields.String()
    to = fields.String(metadata={"description": "enough of the address to know it again"})
    expires_at = fields.DateTime()


def _exists(route: Callable[..., Any]) -> Callable[..., Any]:
    """Who is not this program's member is a 404 before the body is read."""

    @wraps(route)
    def looked_up(member_id: str) -> Any:
        _member(member_id)
        return route(member_id=member_id)

    return looked_up


@blueprint.post("/members/<member_id>/one-time-codes")
@requires("redeem")
@_exists
@blueprint.arguments(CodeRequest)
@blueprint.response(201, CodeSent)
def send_code(wish: dict[str, Any], member_id: str) -> Any:
    """Send a member six digits that prove that they are there: good for one redemption, five minutes and five
    tries. A further request sends another code, and the one before is worth nothing; too many have to wait."""
    try:
        return tills.send_code(
            runtime(), caller().program, _member(member_id), wish.get("way"),
            actor=caller().actor, till=wish["till"], address=request.remote_addr or "",
        )  # fmt: skip
    except NoContact:
        said = _("This member has no phone or e-mail that the hub can send a code to.")
        raise Problem(409, "no_contact", _("Nowhere to send it"), said) from None
    except MustWait as refused:
        seconds = max(1, round(refused.wait.total_seconds()))
        said = _("Too many codes were sent. Wait {seconds} s.", seconds=seconds)
        problem = Problem(429, "too_many_codes", _("Too many requests"), said, retry_after=seconds)
        raise problem from None
    except NotSent as failure:
        said = _("The code could not be sent. Try again, or another way.")
        raise Problem(503, failure.code, _("Try again"), said) from None


@blueprint.post("/redemptions")
@requires("redeem")
@blueprint.arguments(RedeemRequest)
@blueprint.response(201, Redemption)
def create(wish: dict[str, Any]) -> Any:
    """Spend points on a reward, or as money off a bill; with `hold` only hold them, until they are committed or
    the hold ends. The header `Idempotency-Key` makes it safe to repeat: the same request gets the same
    answer, another one with this key a 422."""
    key = given_key()
    earlier = stored(key) if "one_time_code" in wish else None
    if earlier is not None:
        return earlier  # a repetition is no further try at the code
    try:
        proof = _proof(wish)
        return once(lambda desk: _bought(desk, wish, key, proof), _REDEMPTION, 201, key=key, fast=True)
    except CodeNeeded:
        said = _("So many points need a one-time code: POST /members/<id>/one-time-codes sends one.")
        raise Problem(409, "code_needed", _("Code needed"), said) from None
    except WrongCode as wrong:
        raise _wrong(wrong.left) from None
    except CashierLimit as refused:
        tills.tell(runtime(), caller().program, refused)
        raise cashier_limit() from None
    except OwnAccount as refused:
        tills.tell(runtime(), caller().program, refused)
        said = _("Nobody redeems for themselves here. The owner of the programme was told.")
        raise Problem(409, "own_account", _("Not allowed"), said) from None


def cashier_limit() -> Problem:
    """A cashier did enough for an hour."""
    said = _("This cashier has reached the limit for an hour. The owner of the programme was told.")
    return Problem(409, "cashier_limit", _("Limit reached"), said)


def _wrong(left: int) -> Problem:
    said = _("This is not the code, or it is not valid any more. Send another one.")
    if left:
        said = _("This is not the code. Tries left: {left}.", left=left)
    return Problem(409, "wrong_code", _("Wrong code"), said, tries_left=left)


def _proof(wish: dict[str, Any]) -> Try | None:
    if "one_time_code" not in wish:
        return None
    return tills.prove(runtime(), caller().program, _member(wish["member"]), wish["one_time_code"])


def _member(member_id: str) -> int:
    with transaction() as session:
        found = view.find(session, caller().program.id, member_id)
    if found is None:
        raise not_found("member")
    return int(found.id)


def _bought(desk: Desk, wish: dict[str, Any], key: str | None, proof: Try | None) -> dict[str, Any]:
    member = view.find(desk.session, desk.program.id, wish["member"])
    if member is None:
        raise not_found("member")
    act = Act("redeem", wish.get("cashier") or desk.actor, wish.get("till"))
    try:
        done = tills.redeeming(
            desk, act, member.id, lambda: _spent(desk, member.id, wish, key),
            proof=proof, named="cashier" in wish, credit="credit" in wish,
        )  # fmt: skip
    except NoSuchReward:
        raise not_found("reward") from None
    except NotOffered as refused:
        raise not_offered(refused.why) from None
    except NotPayable as refused:
        raise not_payable(refused.quote) from None
    except NotEnoughPoints as refused:
        raise not_enough(refused) from None
    except KeyReused:
        raise key_reused() from None
    first, *others = map(redeemed, done)
    return {**first, "also": others} if others else first


def _spent(desk: Desk, member: int, wish: dict[str, Any], key: str | None) -> Sequence[Redeemed]:
    if "reward" in wish and wish["hold"]:
        return [rewards.hold(desk, member, wish["reward"], key=key)]
    if "reward" in wish:
        return rewards.redeem_several(desk, member, wish["reward"], wish.get("quantity", 1), key=key)
    way = rewards.hold_payment if wish["hold"] else rewards.pay
    return [way(desk, member, payment_of(wish), key=key)]


@blueprint.post("/redemptions/<redemption_id>/commit")
@requires("redeem")
@blueprint.response(200, Redemption)
def commit(redemption_id: str) -> Response:
    """Turn points that are held into a code, in every channel of the member. Safe to repeat. 409 when they are
    not held any more."""

    def deed(desk: Desk) -> dict[str, Any]:
        try:
            return redeemed(rewards.commit(desk, redemption_id))
        except HoldEnded as ended:
            raise Problem(409, ended.why, _("Not held any more"), _(HOLD_WORDS[ended.why])) from None

    return _decided(deed)


HOLD_WORDS = {
    "hold_released": "The points were let go; begin again.",
    "hold_expired": "The points were held for too long and are the member's again; begin again.",
}


@blueprint.post("/redemptions/<redemption_id>/void")
@requires("redeem")
@blueprint.response(200, Redemption)
def void(redemption_id: str) -> Response:
    """Let points go that are held: back to where they came from. Safe to repeat. 409 when they are a code
    already, which can be taken back."""

    def deed(desk: Desk) -> dict[str, Any]:
        try:
            return redeemed(rewards.release(desk, redemption_id))
        except AlreadyCommitted:
            said = _("The code is out. Take it back: POST /redemptions/<id>/take-back.")
            raise Problem(409, "already_committed", _("Already committed"), said) from None

    return _decided(deed)


def _decided(deed: Callable[[Desk], dict[str, Any]]) -> Response:
    def found(desk: Desk) -> dict[str, Any]:
        try:
            return deed(desk)
        except NoSuchRedemption:
            raise not_found("redemption") from None

    return once(found, _REDEMPTION, key=given_key(), fast=True)


@blueprint.post("/redemptions/<redemption_id>/take-back")
@requires("redeem")
@blueprint.response(200, Redemption)
def take_back_one(redemption_id: str) -> Response:
    """Take an unused code back. Its points return once every channel has confirmed that the code is gone
    (`voucher_state` is `revoking` until then, `revoked` after). Safe to repeat. 409 when an order used it."""

    def deed(desk: Desk) -> dict[str, Any]:
        try:
            rewards.take_back(desk, redemption_id)
        except LookupError:
            raise not_found("redemption") from None
        except AlreadyUsed:
            said = _("An order used this code; refund or cancel that order.")
            raise Problem(409, "already_used", _("Already used"), said) from None
        return shown(desk.session, redemption_id)

    return once(deed, _REDEMPTION, key=given_key())
