"""`POST /api/v1/gift-cards/collect`: the money of a gift card becomes a member's store credit."""

from __future__ import annotations

from typing import Any

from flask import Response
from marshmallow import Schema, fields, validate

from hub import words
from hub.desk import gift_cards
from hub.desk.place import Desk
from hub.i18n import gettext as _
from hub.members import view
from hub.redemption.gift_cards import Collected, NoGiftCard, NotCollectable
from hub.web.api.door import ApiBlueprint, Strict
from hub.web.api.once import given_key, once
from hub.web.keys import requires
from hub.web.problems import Problem, not_found

blueprint = ApiBlueprint(
    "gift_cards", __name__, url_prefix="/api/v1/gift-cards", description="Gift cards"
)


class CollectRequest(Strict):
    """Whose store credit the money becomes."""

    code = fields.String(required=True, validate=validate.Length(1, 64))
    member = fields.String(required=True, validate=validate.Length(1, 64))


class CollectedAnswer(Schema):
    """What was in it."""

    voucher = fields.String()
    currency = fields.String()
    amount = fields.Integer(metadata={"description": "minor units"})


@blueprint.post("/collect")
@requires("redeem")
@blueprint.arguments(CollectRequest)
@blueprint.response(200, CollectedAnswer)
def collect(wish: dict[str, Any]) -> Response:
    """Make the money of a gift card a member's store credit, whoever bought it. A code is collected once:
    the same member again gets the same answer, another one a 409."""
    return once(lambda desk: _collect(desk, wish), CollectedAnswer(), key=given_key())


def _collect(desk: Desk, wish: dict[str, Any]) -> Collected:
    member = view.find(desk.session, desk.program.id, wish["member"])
    if member is None:
        raise not_found("member")
    try:
        return gift_cards.collect(desk, member.id, wish["code"])
    except NoGiftCard:
        raise not_found("gift_card") from None
    except NotCollectable as refused:
        raise Problem(409, refused.why, _("Not to be had"), words.of_code(refused.why)) from None
