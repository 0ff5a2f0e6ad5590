"""`hub event`: what members do besides buying, and who brought whom."""

from __future__ import annotations

from datetime import datetime

import click

from hub.commands.ground import ACTOR, find_program, ground, program_option
from hub.commands.member import only_member
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.show import json_option, show_one

AT = click.DateTime(["%Y-%m-%dT%H:%M:%S%z"])


@click.group("event")
def command() -> None:
    """Events that earn points, and referrals."""


@command.command("record")
@click.argument("member")
@click.argument("event")
@click.option("--key", required=True, help="The same key does it once.")
@click.option("--at", type=AT, help="When it happened, with a zone; now when left out.")
@program_option
@json_option
def record(
    member: str, event: str, key: str, at: datetime | None, program: str | None, as_json: bool
) -> None:
    """Record that a MEMBER (phone, e-mail, card or id) did an EVENT of the programme's [[actions]]."""
    from hub import words
    from hub.actions.record import ActionKeyReused
    from hub.desk.actions import NotYet, act
    from hub.desk.place import carry_out

    with ground() as runtime:
        with runtime.sessions() as session:
            found = find_program(session, program)
            who = only_member(session, found, member).id
        try:
            done = carry_out(runtime, found, ACTOR, lambda desk: act(desk, who, event, key=key, at=at))
        except ActionKeyReused:
            raise Refusal(_("the key {key!r} was used for another event", key=key)) from None
        except NotYet:
            raise Refusal(_("--at lies in the future")) from None
    why = words.of_action(done.why) if done.why else None
    show_one(
        {
            "id": done.id,
            "event": done.action,
            "points": done.points,
            "why": why,
            "repeated": done.repeated,
        },
        as_json=as_json,
    )


@command.command("refer")
@click.argument("referrer")
@click.argument("friend")
@click.option("--at", type=AT, help="When it happened, with a zone; now when left out.")
@program_option
@json_option
def refer(referrer: str, friend: str, at: datetime | None, program: str | None, as_json: bool) -> None:
    """Note that one member (REFERRER) brought another (FRIEND)."""
    from hub.actions.referrals import NotReferable
    from hub.desk import actions
    from hub.desk.place import carry_out

    with ground() as runtime:
        with runtime.sessions() as session:
            found = find_program(session, program)
            who = [only_member(session, found, text).id for text in (referrer, friend)]
        try:
            told = carry_out(runtime, found, ACTOR, lambda desk: actions.refer(desk, *who, at=at))
        except NotReferable as refused:
            if refused.code == "own_friend":
                raise Refusal(_("nobody can bring themselves")) from None
            raise Refusal(_("this friend was brought by somebody else before")) from None
        except actions.NotYet:
            raise Refusal(_("--at lies in the future")) from None
    show_one(
        {"id": told.id, "referred_at": told.referred_at, "repeated": told.repeated}, as_json=as_json
    )
