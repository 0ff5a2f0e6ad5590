"""`/api/v1/program`: the programme's document, its versions, and putting a draft into force."""

from __future__ import annotations

from typing import Any

from flask import Response
from marshmallow import Schema, fields, validate

from hub.desk import drafts, programme
from hub.desk.drafts import Applied
from hub.desk.place import Desk
from hub.i18n import gettext as _
from hub.program.document import DocumentRefused
from hub.program.store import Overtaken, VersionRefused
from hub.program.terms import terms
from hub.web.api.door import ApiBlueprint, Strict, now, runtime, transaction
from hub.web.api.once import given_key, once
from hub.web.keys import caller, requires
from hub.web.problems import Problem, not_found

blueprint = ApiBlueprint("program", __name__, url_prefix="/api/v1/program", description="The programme")


class DraftRequest(Strict):
    """A draft of the rules."""

    document = fields.Dict(
        keys=fields.String(),
        required=True,
        metadata={"description": "the same structure as the TOML file"},
    )


class ApplyRequest(DraftRequest):
    """A draft that is to take effect."""

    effective_from = fields.AwareDateTime(
        metadata={"description": "left out: at once; never in the past"}
    )
    base = fields.Integer(
        strict=True,
        validate=validate.Range(0, 2**31),
        metadata={
            "description": "the newest version you know: 409 where somebody made another meanwhile"
        },
    )


class ChangeSchema(Schema):
    """One setting that differs; null: not set."""

    setting = fields.String()
    before = fields.String(allow_none=True)
    after = fields.String(allow_none=True)


class SectionSchema(Schema):
    """A part of the terms for customers, in the language asked for."""

    title = fields.String()
    lines = fields.List(fields.String())


class CheckAnswer(Schema):
    """What a draft would change against what is in force, and its terms."""

    changes = fields.List(fields.Nested(ChangeSchema))
    terms = fields.List(fields.Nested(SectionSchema))


class VersionRow(Schema):
    """One version."""

    number = fields.Integer()
    effective_from = fields.DateTime()
    created_at = fields.DateTime()
    actor = fields.String()


class VersionSchema(Schema):
    """One version as it is written."""

    number = fields.Integer()
    effective_from = fields.DateTime()
    newest = fields.Integer(metadata={"description": "the highest number of all versions"})
    document = fields.Dict(keys=fields.String())


class AppliedAnswer(Schema):
    """The new version."""

    number = fields.Integer()
    effective_from = fields.DateTime()


@blueprint.get("")
@requires("program")
@blueprint.response(200, VersionSchema)
def present() -> drafts.Written:
    """The version in force, with its document."""
    with transaction() as session:
        return drafts.in_force(session, caller().program.id, now())


@blueprint.get("/versions")
@requires("program")
@blueprint.response(200, VersionRow(many=True))
def versions() -> list[programme.Version]:
    """All versions, the newest first."""
    with transaction() as session:
        return programme.versions(session, caller().program.id)


@blueprint.get("/versions/<int:number>")
@requires("program")
@blueprint.response(200, VersionSchema)
def one(number: int) -> drafts.Written:
    """One version, with its document."""
    with transaction() as session:
        found = drafts.version(session, caller().program.id, number) if number < 2**31 else None
    if found is None:
        raise not_found("version")
    return found


@blueprint.post("/check")
@requires("program")
@blueprint.arguments(DraftRequest)
@blueprint.response(200, CheckAnswer)
def check(wish: dict[str, Any]) -> dict[str, Any]:
    """What a draft would change, setting by setting, and the terms by it. Changes nothing."""
    with transaction() as session:
        try:
            found = drafts.look(
                Desk(runtime(), session, caller().program, caller().actor), wish["document"]
            )
        except DocumentRefused as refused:
            raise _invalid(refused) from None
    return {"changes": found.changes, "terms": terms(found.rules)}


@blueprint.post("/versions")
@requires("program")
@blueprint.arguments(ApplyRequest)
@blueprint.response(201, AppliedAnswer)
def apply(wish: dict[str, Any]) -> Response:
    """Put a draft into force as a new version, at once or from a moment on. Orders placed before keep the
    rules they were sold under."""
    return once(lambda desk: _apply(desk, wish), AppliedAnswer(), 201, key=given_key())


def _apply(desk: Desk, wish: dict[str, Any]) -> Applied:
    try:
        return drafts.apply(desk, wish["document"], wish.get("effective_from"), wish.get("base"))
    except DocumentRefused as refused:
        raise _invalid(refused) from None
    except VersionRefused as refused:
        raise Problem(422, "in_the_past", _("Invalid programme"), str(refused)) from None
    except Overtaken as overtaken:
        said = _("There is a newer version, {number}: look at what it changed.", number=overtaken.number)
        raise Problem(409, "overtaken", _("Changed meanwhile"), said, newest=overtaken.number) from None


def _invalid(refused: DocumentRefused) -> Problem:
    return Problem(422, "invalid_program", _("Invalid programme"), str(refused), path=refused.path)
