"""`/api/v1/tiers` and `/members/<id>/tier`, `/tags`: where members stand, and decisions about it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from functools import wraps
from typing import Any, TypeVar, cast

from flask import request
from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from hub.desk import tiers
from hub.desk.place import Desk
from hub.desk.tiers import Decision, KeyConflict, TierRefused
from hub.i18n import gettext as _
from hub.members import view
from hub.money import NotMoney, to_minor_exact
from hub.program import store
from hub.program.ladder import Ladder
from hub.program.rules import in_force
from hub.web.api.door import ApiBlueprint, Strict, now, runtime, transaction
from hub.web.api.once import key_reused, once
from hub.web.keys import caller, requires
from hub.web.problems import Problem, not_found

blueprint = ApiBlueprint("tiers", __name__, url_prefix="/api/v1", description="Tiers, segments, tags")

MAX_KEY = 100
_NEEDS = {"set": "tier", "guarantee": "tier", "count": "amount"}


class Tier(Schema):
    """One tier."""

    id = fields.String()
    name = fields.String()
    discount = fields.String(metadata={"description": "percent that shops take off bills"})
    reward_discount = fields.String(metadata={"description": "percent fewer points for rewards"})
    free_shipping = fields.Boolean()
    perks = fields.List(fields.String())


class TierStep(Tier):
    """One tier of the ladder."""

    least = fields.String(data_key="from", allow_none=True, attribute="from")
    keep = fields.String(allow_none=True)


class LadderAnswer(Schema):
    """The tiers in force, from the lowest to the highest."""

    counts = fields.String(allow_none=True, metadata={"description": "spend, points_earned, ..."})
    currency = fields.String(allow_none=True, metadata={"description": "of counts of spend"})
    tiers = fields.List(fields.Nested(TierStep))


class NextTier(Tier):
    """The next tier, and how far it is."""

    least = fields.String(data_key="from", attribute="from")
    missing = fields.String()


class TierKeep(Schema):
    """What keeps the present tier."""

    least = fields.String(data_key="from", attribute="from", allow_none=True)
    review_at = fields.DateTime()


class TierChange(Schema):
    """From when on a member was in a tier, and why."""

    at = fields.DateTime(data_key="from")
    tier = fields.String(allow_none=True)
    why = fields.String()
    count = fields.String(allow_none=True)


class StandingAnswer(Schema):
    """Where a member stands. Counts are texts: money in whole units, else numbers."""

    tier = fields.Nested(Tier, allow_none=True)
    since = fields.DateTime(allow_none=True)
    counts = fields.String(allow_none=True)
    count = fields.String(allow_none=True)
    next = fields.Nested(NextTier, allow_none=True)
    keep = fields.Nested(TierKeep, allow_none=True)
    held = fields.Boolean(
        metadata={"description": "guaranteed or bought, above what the count leads to"}
    )
    held_until = fields.DateTime(allow_none=True)
    segments = fields.List(fields.String())
    tags = fields.List(fields.String())
    joined_at = fields.DateTime()
    history = fields.List(fields.Nested(TierChange))


class TierDecision(Strict):
    """What is decided about a member's tier, and why."""

    decision = fields.String(
        required=True, validate=validate.OneOf(["set", "guarantee", "release", "count", "review"])
    )
    tier = fields.String(load_default=None, validate=validate.Length(1, 63))
    until = fields.AwareDateTime(load_default=None)
    amount = fields.String(load_default=None, validate=validate.Length(1, 40))
    reason = fields.String(required=True, validate=validate.Length(1, tiers.LONGEST_REASON))

    @validates_schema
    def has_what_it_needs(self, data: dict[str, Any], **_more: Any) -> None:
        """Each decision has its own field, and no others."""
        wanted = _NEEDS.get(data["decision"])
        for name in ("tier", "amount"):
            if (data.get(name) is not None) != (name == wanted):
                said = _("is needed") if name == wanted else _("does not belong to this decision")
                raise ValidationError(said, name)
        if data.get("until") is not None and data["decision"] != "guarantee":
            raise ValidationError(_("does not belong to this decision"), "until")


class TierDecided(Schema):
    """The tier before and after."""

    before = fields.String(allow_none=True)
    tier = fields.String(allow_none=True)
    repeated = fields.Boolean()


class Tags(Schema):
    """The tags of a member."""

    tags = fields.List(fields.String())


View = TypeVar("View", bound=Callable[..., Any])


def _exists(view_function: View) -> View:
    """Whether the member is of this program is said before the body is read."""

    @wraps(view_function)
    def checked(*args: Any, **more: Any) -> Any:
        with transaction() as session:
            _found(session, more["member_id"])
        return view_function(*args, **more)

    return cast("View", checked)


@blueprint.get("/tiers")
@requires("members:read")
@blueprint.response(200, LadderAnswer)
def ladder() -> dict[str, Any]:
    """The tiers in force and what leads to them."""
    with transaction() as session:
        found = in_force(store.versions(session, caller().program), now()).tiers
    if found is None:
        return {"counts": None, "currency": None, "tiers": []}
    steps = [
        {
            **(tiers.level_told(found, one.id) or {}),
            "from": tiers.counted(found, one.least),
            "keep": tiers.counted(found, one.keep),
        }
        for one in found.levels
    ]
    return {"counts": found.by, "currency": found.currency or None, "tiers": steps}


@blueprint.get("/members/<member_id>/tier")
@requires("members:read")
@blueprint.response(200, StandingAnswer)
def standing(member_id: str) -> dict[str, Any]:
    """Where a member stands now: tier, how far it is to the next, what keeps it, segments and tags."""
    with transaction() as session:
        desk = _desk(session)
        stands = tiers.of(desk, _found(session, member_id))
    one = stands.ladder
    history = [
        {
            "at": change.at,
            "tier": change.tier,
            "why": change.why,
            "count": tiers.counted(one, change.count) if one else None,
        }
        for change in stands.history
    ]
    return {**tiers.told(stands), "history": history}


@blueprint.post("/members/<member_id>/tier/decisions")
@requires("tiers")
@_exists
@blueprint.arguments(TierDecision)
@blueprint.response(200, TierDecided)
def decide(wish: dict[str, Any], member_id: str) -> Any:
    """Decide about a member's tier. The header `Idempotency-Key` is needed: the same key decides once."""
    key = _key()
    with transaction() as session:
        member = _found(session, member_id)
        found = in_force(store.versions(session, caller().program), now()).tiers
    amount = 0 if wish["amount"] is None else _amount(wish["amount"], found)
    decision = Decision(wish["decision"], tier=wish["tier"], until=wish["until"], amount=amount)

    def deed(desk: Desk) -> Any:
        try:
            return tiers.decide(desk, member, decision, reason=wish["reason"], key=key)
        except TierRefused as refused:
            raise Problem(422, "tier_refused", _("Not possible"), str(refused)) from None
        except KeyConflict:
            raise key_reused() from None

    return once(deed, TierDecided(), key=key)


@blueprint.route("/members/<member_id>/tags/<tag>", methods=["PUT", "DELETE"])
@requires("tiers")
@blueprint.response(200, Tags)
def one_tag(member_id: str, tag: str) -> dict[str, list[str]]:
    """Put a tag on a member, or take it off; again changes nothing. Answers with the tags they have."""
    with transaction() as session:
        member = _found(session, member_id)
        try:
            tags = tiers.tag(_desk(session), member, tag, on=request.method == "PUT")
        except TierRefused as refused:
            raise Problem(422, "invalid_tag", _("Invalid request"), str(refused)) from None
    return {"tags": sorted(tags)}


def _desk(session: Any) -> Desk:
    return Desk(runtime(), session, caller().program, caller().actor)


def _found(session: Any, member_id: str) -> int:
    row = view.find(session, caller().program.id, member_id)
    if row is None:
        raise not_found("member")
    return int(row.id)


def _amount(text: str, one: Ladder | None) -> int:
    try:
        amount = Decimal(text)
        if one is not None and one.by == "spend":
            return to_minor_exact(amount, one.currency)
        if amount == int(amount):
            return int(amount)
    except (InvalidOperation, NotMoney, ValueError, OverflowError):
        pass
    raise Problem(
        422, "invalid_amount", _("Invalid request"), _("amount: no number this can be counted in")
    )


def _key() -> str:
    key = request.headers.get("Idempotency-Key", "")
    if not 0 < len(key) <= MAX_KEY:
        said = _("Send a header Idempotency-Key of 1 to {most} characters.", most=MAX_KEY)
        raise Problem(400, "no_key", _("Bad request"), said)
    return key
