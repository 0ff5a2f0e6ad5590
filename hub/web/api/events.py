"""`/api/v1/events` and `/referrals`: what members do besides buying, and who brought whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response
from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from hub.actions.record import ActionKeyReused
from hub.actions.referrals import NotReferable
from hub.desk import actions
from hub.desk.actions import PERSON, NotYet
from hub.desk.place import Desk
from hub.i18n import gettext as _
from hub.members import view
from hub.web.api.door import ApiBlueprint, Strict
from hub.web.api.once import given_key, key_reused, once
from hub.web.keys import requires
from hub.web.problems import Problem, not_found

blueprint = ApiBlueprint("events", __name__, url_prefix="/api/v1", description="Events and referrals")

WHO = ("member", *PERSON)


class PersonRequest(Strict):
    """A member by id, or whoever has this phone, e-mail or card, made when nobody has."""

    member = fields.String(validate=validate.Length(1, 64))
    phone = fields.String(validate=validate.Length(1, 40), metadata={"description": "in any spelling"})
    email = fields.String(validate=validate.Length(1, 200))
    card = fields.String(validate=validate.Length(1, 200))

    @validates_schema
    def one(self, data: dict[str, Any], **_more: Any) -> None:
        """Exactly one key of a person."""
        if len(data.keys() & set(WHO)) != 1:
            raise ValidationError(_("give exactly one of member, phone, email, card"))


class EventRequest(PersonRequest):
    """Who did what, and when."""

    event = fields.String(required=True, validate=validate.Length(1, 64))
    occurred_at = fields.AwareDateTime(load_default=None)


class EventAnswer(Schema):
    """A recorded event and what it gave."""

    id = fields.String()
    event = fields.String(attribute="action")
    points = fields.Integer()
    why = fields.String(allow_none=True, metadata={"description": "why it gave nothing"})
    occurred_at = fields.DateTime()


class ReferralRequest(Strict):
    """Who brought whom, and when."""

    referrer = fields.Nested(PersonRequest, required=True)
    friend = fields.Nested(PersonRequest, required=True)
    occurred_at = fields.AwareDateTime(load_default=None)


class ReferralAnswer(Schema):
    """A stored referral; what it gives follows from the friend's orders."""

    id = fields.String()
    referrer = fields.String()
    friend = fields.String()
    referred_at = fields.DateTime()


@blueprint.post("/events")
@requires("events")
@blueprint.arguments(EventRequest)
@blueprint.response(201, EventAnswer)
def event(wish: dict[str, Any]) -> Response:
    """Record what a member did; its points follow from the programme's `[[actions]]`. The header
    `Idempotency-Key` is needed: the same key answers with the first event."""
    key = given_key(needed=True)

    def deed(desk: Desk) -> Any:
        member_id = _person(desk, wish)
        try:
            return actions.act(desk, member_id, wish["event"], key=key or "", at=wish["occurred_at"])
        except ActionKeyReused:
            raise key_reused() from None
        except NotYet:
            raise _in_the_future() from None

    return once(deed, EventAnswer(), 201, key=key)


@blueprint.post("/referrals")
@requires("events")
@blueprint.arguments(ReferralRequest)
@blueprint.response(201, ReferralAnswer)
def referral(wish: dict[str, Any]) -> Response:
    """Note who brought a friend. Repeating it changes nothing; a friend is brought by one member."""

    def deed(desk: Desk) -> dict[str, Any]:
        people = [_person(desk, wish[side]) for side in ("referrer", "friend")]
        try:
            told = actions.refer(desk, *people, at=wish["occurred_at"])
        except NotReferable as refused:
            raise Problem(409, refused.code, _("Not possible"), _why(refused.code)) from None
        except NotYet:
            raise _in_the_future() from None
        referrer, friend = (view.by_id(desk.session, person).public_id for person in people)
        return {"id": told.id, "referrer": referrer, "friend": friend, "referred_at": told.referred_at}

    return once(deed, ReferralAnswer(), 201, key=given_key())


def _why(code: str) -> str:
    if code == "own_friend":
        return _("Nobody can bring themselves.")
    return _("This friend was brought by somebody else before.")


def _in_the_future() -> Problem:
    said = _("occurred_at lies in the future.")
    return Problem(422, "in_the_future", _("Invalid request"), said)


def _person(desk: Desk, wish: Mapping[str, Any]) -> int:
    if "member" in wish:
        found = view.find(desk.session, desk.program.id, wish["member"])
        if found is None:
            raise not_found("member")
        return int(found.id)
    try:
        return actions.person(desk, {name: wish[name] for name in PERSON if name in wish})
    except ValueError:
        said = _("This is no valid phone number, e-mail address or card.")
        raise Problem(422, "invalid_contact", _("Invalid request"), said) from None
