"""`/api/v1/redemptions`, `/rewards`, `/vouchers`: spending points, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import wraps
from typing import Any

from flask import Response
from marshmallow import Schema, ValidationError, fields, validate, validates_schema
from sqlalchemy.orm import Session

from hub import words
from hub.bulk import run
from hub.desk import quotes
from hub.desk.place import Desk
from hub.desk.quotes import Quoted
from hub.i18n import gettext as _
from hub.ledger.commands import NotEnoughPoints
from hub.members import view
from hub.program import store
from hub.program.paying import Quote
from hub.program.pricing import Cart, CartLine
from hub.program.rewards import Reward
from hub.program.rules import in_force
from hub.redemption import limits
from hub.redemption import redeem as redemption
from hub.redemption.quoting import quote_code
from hub.redemption.redeem import NoSuchReward, Payment
from hub.redemption.uses import code_key, redemption_of
from hub.web.api.door import ApiBlueprint, Strict, now, runtime, transaction
from hub.web.keys import caller, requires
from hub.web.problems import Problem, not_found
from hub.web.qr import picture

blueprint = ApiBlueprint("redemptions", __name__, url_prefix="/api/v1", description="Redemptions")


class Wish(Strict):
    """Who would spend points, and on which bill."""

    member = fields.String(required=True, validate=validate.Length(1, 64))
    reward = fields.String(validate=validate.Length(1, 64))
    points = fields.Integer(strict=True, validate=validate.Range(1, 2**53))
    currency = fields.String(validate=validate.Length(3, 3))
    bill = fields.Integer(
        strict=True,
        validate=validate.Range(0, 2**53),
        metadata={"description": "minor units, with everything"},
    )


class QuoteRequest(Wish):
    """Who would pay with how many points, or have which reward."""

    @validates_schema
    def one_or_the_other(self, data: dict[str, Any], **_more: Any) -> None:
        """Points pay a bill; a reward has its price."""
        if ("reward" in data) == ("points" in data):
            raise ValidationError(_("name one of reward and points"), "points")
        if "reward" in data and "bill" in data:
            raise ValidationError("belongs to points, not to a reward", "bill")


class QuoteAnswer(Schema):
    """How many points may be used, and what they take off; 0 points where it would be refused."""

    points = fields.Integer()
    off = fields.Integer(metadata={"description": "minor units"})
    currency = fields.String()
    why = fields.String(
        allow_none=True,
        metadata={"description": "why none, or fewer than were asked for; a stable code"},
    )
    code_needed = fields.Boolean(metadata={"description": "spending them asks for a one-time code"})


class CartLineRequest(Strict):
    """One line of a cart: so many pieces for this amount together, minor units."""

    sku = fields.String(validate=validate.Length(1, 200))
    quantity = fields.Decimal(
        load_default=Decimal(1), validate=validate.Range(0, 10**6, min_inclusive=False)
    )
    amount = fields.Integer(strict=True, required=True, validate=validate.Range(0, 2**53))


class CartRequest(Strict):
    """What somebody is about to buy, after all other discounts."""

    lines = fields.List(fields.Nested(CartLineRequest), required=True, validate=validate.Length(1, 1000))
    shipping = fields.Integer(strict=True, load_default=0, validate=validate.Range(0, 2**53))
    currency = fields.String(validate=validate.Length(3, 3))
    member = fields.String(validate=validate.Length(1, 64))


class Priced(Schema):
    """What a code takes off, minor units."""

    off = fields.Integer(metadata={"description": "in all, with shipping"})
    lines = fields.List(fields.Integer(), metadata={"description": "of each line of the cart"})
    shipping_off = fields.Integer()
    left = fields.Integer(metadata={"description": "what remains to be paid"})
    currency = fields.String()
    why = fields.String(allow_none=True)
    said = fields.String(allow_none=True)


class Redemption(Schema):
    """A reward bought with points, and its code."""

    id = fields.String()
    state = fields.String(metadata={"description": "held, committed or released"})
    reward = fields.String()
    points = fields.Integer()
    hold_until = fields.DateTime(
        allow_none=True, metadata={"description": "points that are held are let go then"}
    )
    voucher = fields.String(allow_none=True, metadata={"description": "null while points are held"})
    code = fields.String(allow_none=True)
    voucher_state = fields.String(allow_none=True)
    expires_at = fields.DateTime(allow_none=True, metadata={"description": "of the code"})
    currency = fields.String(
        allow_none=True,
        metadata={"description": "of store credit that was spent: points are its minor units"},
    )
    also = fields.List(
        fields.Nested(lambda: Redemption(exclude=("also",))),
        metadata={"description": "the others, where several were bought at once"},
    )


class Voucher(Schema):
    """The code that carries a discount, and where it can be used."""

    id = fields.String()
    code = fields.String()
    state = fields.String()
    member = fields.String()
    reward = fields.String()
    amount = fields.Dict(keys=fields.String(), values=fields.Integer())
    percent = fields.Integer(allow_none=True, metadata={"description": "hundredths of a percent"})
    perk = fields.String(metadata={"description": "what staff hand over, without money"})
    free_shipping = fields.Boolean()
    skus = fields.List(fields.String(), metadata={"description": "the products it is about; none: all"})
    pieces = fields.Integer(allow_none=True, metadata={"description": "at most so many pieces of them"})
    at_most = fields.Dict(keys=fields.String(), values=fields.Integer())
    minimum = fields.Dict(keys=fields.String(), values=fields.Integer())
    gift_card = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        metadata={"description": "what whoever collects it gets as store credit"},
    )
    expires_at = fields.DateTime(allow_none=True)
    channels = fields.List(fields.Dict())


class RewardSchema(Schema):
    """What points buy."""

    id = fields.String()
    name = fields.String()
    cost = fields.Integer()
    amount = fields.Dict(keys=fields.String(), values=fields.Integer())
    percent = fields.Integer(allow_none=True, metadata={"description": "hundredths of a percent"})
    perk = fields.String(metadata={"description": "what staff hand over, without money"})
    free_shipping = fields.Boolean()
    skus = fields.List(fields.String())
    pieces = fields.Integer(allow_none=True)
    at_most = fields.Dict(keys=fields.String(), values=fields.Integer())
    minimum = fields.Dict(keys=fields.String(), values=fields.Integer())
    credit = fields.Dict(keys=fields.String(), values=fields.Integer())
    gift_card = fields.Dict(keys=fields.String(), values=fields.Integer())
    valid_days = fields.Integer(allow_none=True)
    left = fields.Integer(
        allow_none=True, metadata={"description": "of limited stock, so many are left"}
    )


@blueprint.get("/rewards")
@requires("vouchers:read")
@blueprint.response(200, RewardSchema(many=True))
def rewards() -> list[dict[str, Any]]:
    """The rewards of the program version in force."""
    with transaction() as session:
        rules = in_force(store.versions(session, caller().program), now())
        offered = [r for r in rules.rewards.values() if r.why_not_at(now()) is None]
        return [_reward(r, limits.left(session, caller().program.id, r)) for r in offered]


@blueprint.post("/redemptions/quote")
@requires("redeem")
@blueprint.arguments(QuoteRequest)
@blueprint.response(200, QuoteAnswer)
def quote(wish: dict[str, Any]) -> Quoted:
    """How many points a member may pay with now and what they take off, or what a reward costs them: by all that
    a hold would be refused for. Changes nothing."""
    program = caller().program
    with runtime().looks() as session:
        member = view.find_with_available(session, program.id, wish["member"], now())
        if member is None:
            raise not_found("member")
        currency = wish.get("currency") or program.currency
        if member.off:
            return Quoted(0, 0, currency, "account_disabled", code_needed=False)
        desk = Desk(runtime(), session, program, caller().actor)
        try:
            if "reward" in wish:
                return quotes.of_reward(desk, member.id, wish["reward"], currency)
            return quotes.of_payment(desk, member.id, payment_of(wish), available=member.available)
        except NoSuchReward:
            raise not_found("reward") from None


def payment_of(wish: dict[str, Any]) -> Payment:
    currency, bill = wish.get("currency") or caller().program.currency, wish.get("bill")
    if "credit" in wish:
        return Payment(wish["credit"], currency, bill, credit=True)
    return Payment(wish["points"], currency, bill)


def not_offered(why: str) -> Problem:
    return Problem(409, why, _("Not to be had"), words.of_offer(why))


def not_payable(found: Quote) -> Problem:
    """Which number of points could be used, and why not the one that was asked for."""
    detail = words.of_payment(found.why)
    return Problem(
        409, "not_payable", _("Points cannot be used"), detail, why=found.why, points=found.points
    )


@blueprint.get("/redemptions/<redemption_id>")
@requires("vouchers:read")
@blueprint.response(200, Redemption)
def one(redemption_id: str) -> dict[str, Any]:
    """One redemption."""
    with transaction() as session:
        return shown(session, redemption_id)


def shown(session: Session, redemption_id: str) -> dict[str, Any]:
    sql = "SELECT id FROM redemptions WHERE program_id = :program AND public_id = :id"
    rows = run(session, sql, {"program": caller().program.id, "id": redemption_id})
    if not rows:
        raise not_found("redemption")
    return redeemed(redemption.find(session, caller().program.id, redemption_id=rows[0].id))


@blueprint.get("/vouchers/<code>")
@requires("vouchers:read")
@blueprint.response(200, Voucher)
def voucher(code: str) -> dict[str, Any]:
    """A voucher by its code (in any case) or id: what a till asks before it gives the discount."""
    with transaction() as session:
        rows = run(
            session,
            """SELECT v.id AS row, v.public_id AS id, v.code, v.state, v.expires_at, m.public_id AS member,
                      r.reward, r.reward_terms
               FROM vouchers v JOIN members m ON m.id = v.member_id JOIN redemptions r ON r.id = v.redemption_id
               WHERE v.program_id = :program AND (v.code_key = :code OR v.public_id = :id)""",
            {
                "program": caller().program.id,
                "code": code_key(code),
                "id": code,
            },
        )
        if not rows:
            raise not_found("voucher")
        its = run(
            session,
            """SELECT c.public_id AS channel, c.name, vc.state FROM voucher_channels vc
               JOIN channels c ON c.id = vc.channel_id WHERE vc.voucher_id = :id ORDER BY c.id""",
            {"id": rows[0].row},
        )
    terms = rows[0].reward_terms
    return {
        **rows[0]._mapping,
        "amount": terms["amounts"],
        "percent": terms["percent"],
        "perk": terms.get("perk", ""),
        "free_shipping": terms.get("free_shipping", False),
        "skus": terms.get("skus", []),
        "pieces": terms.get("pieces"),
        "at_most": terms.get("most", {}),
        "minimum": terms.get("minimum", {}),
        "gift_card": terms.get("gift_card", {}),
        "channels": [dict(row._mapping) for row in its],
    }


@blueprint.get("/vouchers/<code>/qr")
@requires("vouchers:read")
@blueprint.response(200, {"type": "string"}, content_type="image/svg+xml", description="SVG")
def voucher_qr(code: str) -> Response:
    """The code of a voucher, by its code (in any case) or id, as a QR code for a scanner. It never changes: keep
    it as long as you like; whether it can be used, the voucher says."""
    with runtime().looks() as session:
        rows = run(
            session,
            "SELECT code FROM vouchers WHERE program_id = :program AND (code_key = :code OR public_id = :id)",
            {"program": caller().program.id, "code": code_key(code), "id": code},
        )
    if not rows:
        raise not_found("voucher")
    return picture(rows[0].code)


def _is_known(route: Callable[..., Any]) -> Callable[..., Any]:
    """A code that is not this program's is a 404 before the body is read."""

    @wraps(route)
    def looked_up(code: str) -> Any:
        with transaction() as session:
            if redemption_of(session, caller().program.id, code) is None:
                raise not_found("voucher")
        return route(code=code)

    return looked_up


@blueprint.post("/vouchers/<code>/quote")
@requires("vouchers:read")
@_is_known
@blueprint.arguments(CartRequest)
@blueprint.response(200, Priced)
def quote_voucher(wish: dict[str, Any], code: str) -> dict[str, Any]:
    """What a code takes off a cart, line by line, for a till that does not compute it itself. Changes
    nothing; `why` and `said` tell why it takes nothing off."""
    program = caller().program
    lines = tuple(
        CartLine(line["amount"], Fraction(line["quantity"]), line.get("sku")) for line in wish["lines"]
    )
    cart = Cart(wish.get("currency") or program.currency, lines, wish["shipping"])
    with transaction() as session:
        member = view.find(session, program.id, wish["member"]) if "member" in wish else None
        if "member" in wish and member is None:
            raise not_found("member")
        found = quote_code(session, program.id, code, cart, now(), member.id if member else None)
    if found is None:
        raise not_found("voucher")
    said = words.of_code(found.why) if found.why else None
    return {
        "off": found.off + found.shipping_off, "lines": list(found.lines), "shipping_off": found.shipping_off,
        "left": found.left, "currency": cart.currency, "why": found.why, "said": said,
    }  # fmt: skip


def not_enough(refused: NotEnoughPoints) -> Problem:
    """The amounts, and when more becomes available."""
    said = {"needed": words.points(refused.needed), "available": words.number(refused.available)}
    if refused.pending and refused.vests_at:
        detail = _(
            "The reward costs {needed}; {available} are available, and {pending} more become available "
            "from {moment} on.",
            **said,
            pending=words.number(refused.pending),
            moment=words.moment(refused.vests_at, caller().program.time_zone),
        )
    else:
        detail = _("The reward costs {needed}; {available} are available.", **said)
    return Problem(
        409,
        "not_enough_points",
        _("Not enough points"),
        detail,
        available=refused.available,
        needed=refused.needed,
    )


def redeemed(done: redemption.Redeemed) -> dict[str, Any]:
    """As the API shows it; what is only held has no code yet."""
    shown = {name: getattr(done, name) for name in done.__slots__ if name != "repeated"}
    return shown | {name: shown[name] or None for name in ("voucher", "code", "voucher_state")}


def _reward(reward: Reward, left: int | None) -> dict[str, Any]:
    return {
        "id": reward.id,
        "name": reward.name,
        "cost": reward.cost,
        "amount": dict(reward.amounts),
        "percent": reward.percent,
        "perk": reward.perk,
        "free_shipping": reward.free_shipping,
        "skus": list(reward.skus),
        "pieces": reward.pieces,
        "at_most": dict(reward.most),
        "minimum": dict(reward.minimum),
        "credit": dict(reward.credit),
        "gift_card": dict(reward.gift_card),
        "valid_days": reward.valid_days,
        "left": left,
    }
