"""`hub tier`: where members stand, and what staff decide about it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import click

from hub.commands.ground import ACTOR, find_program, ground, program_option
from hub.commands.member import only_member
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.show import json_option, show, show_one

reason_option = click.option("--reason", required=True, help="Kept with the decision; no personal data.")
key_option = click.option("--key", help="Makes it safe to repeat: the same key is carried out once.")


@click.group("tier")
def command() -> None:
    """Where members stand, and what staff decide about it."""


@command.command("list")
@program_option
@json_option
def list_(program: str | None, as_json: bool) -> None:
    """The tiers in force, and how many members are in each."""
    from hub.desk import tiers
    from hub.program import store
    from hub.program.rules import in_force
    from hub.transactions import standing

    with ground() as runtime, runtime.sessions() as session:
        found = find_program(session, program)
        ladder = in_force(store.versions(session, found), runtime.clock()).tiers
        members = standing.members_by_tier(session, found.id)
    rows = [
        {
            "tier": level.id,
            "name": level.name,
            "from": tiers.counted(ladder, level.least),
            "keep": tiers.counted(ladder, level.keep),
            "members": members.get(level.id, 0),
        }
        for level in (ladder.levels if ladder else ())
        if ladder is not None
    ]
    show(rows, as_json=as_json, empty=_("The programme has no tiers."))


@command.command("show")
@click.argument("text")
@program_option
@json_option
def show_(text: str, program: str | None, as_json: bool) -> None:
    """A member's tier, how far it is to the next, and how they came there.

    With --json the first line is the tier, then its history.
    """
    from hub.desk import tiers
    from hub.desk.place import Desk

    with ground() as runtime, runtime.sessions() as session:
        found = find_program(session, program)
        member = only_member(session, found, text)
        stands = tiers.of(Desk(runtime, session, found, ACTOR), member.id)
    head = {"member": member.public_id, **tiers.told(stands)}
    show_one(head if as_json else _flat(head), as_json=as_json)
    ladder = stands.ladder
    rows = [
        {
            "from": change.at,
            "tier": change.tier,
            "why": change.why,
            "count": tiers.counted(ladder, change.count) if ladder else None,
        }
        for change in reversed(stands.history)
    ]
    show(rows, as_json=as_json, empty=_("The member was never in a tier."))


@command.command("set")
@click.argument("text")
@click.argument("tier")
@reason_option
@key_option
@program_option
@json_option
def set_(text: str, tier: str, reason: str, key: str | None, program: str | None, as_json: bool) -> None:
    """Put a member into TIER as if reached now; the rules go on from there."""
    from hub.desk.tiers import Decision

    _decide(text, Decision("set", tier=tier), reason, key, program, as_json=as_json)


@command.command("guarantee")
@click.argument("text")
@click.argument("tier")
@click.option("--until", type=click.DateTime(), help="When it ends (UTC); for good when left out.")
@reason_option
@key_option
@program_option
@json_option
def guarantee(
    text: str,
    tier: str,
    until: datetime | None,
    reason: str,
    key: str | None,
    program: str | None,
    as_json: bool,
) -> None:
    """Keep a member in TIER at least, whatever they buy."""
    from hub.desk.tiers import Decision

    ends = until.replace(tzinfo=UTC) if until else None
    decision = Decision("guarantee", tier=tier, until=ends)
    _decide(text, decision, reason, key, program, as_json=as_json)


@command.command("release")
@click.argument("text")
@reason_option
@key_option
@program_option
@json_option
def release(text: str, reason: str, key: str | None, program: str | None, as_json: bool) -> None:
    """End what was guaranteed: the rules alone decide."""
    from hub.desk.tiers import Decision

    _decide(text, Decision("release"), reason, key, program, as_json=as_json)


@command.command("count")
@click.argument("text")
@click.argument("amount")
@reason_option
@key_option
@program_option
@json_option
def count(
    text: str, amount: str, reason: str, key: str | None, program: str | None, as_json: bool
) -> None:
    """State what counts for a member's tier now: AMOUNT, with what was bought before the programme.

    Money in whole units of the ladder's currency; else points, orders or visits.
    """
    from hub.desk.tiers import Decision
    from hub.program import store
    from hub.program.rules import in_force

    with ground() as runtime, runtime.sessions() as session:
        versions = store.versions(session, find_program(session, program))
        ladder = in_force(versions, runtime.clock()).tiers
    decision = Decision("count", amount=_amount(amount, ladder))
    _decide(text, decision, reason, key, program, as_json=as_json)


@command.command("review")
@click.argument("text")
@reason_option
@key_option
@program_option
@json_option
def review(text: str, reason: str, key: str | None, program: str | None, as_json: bool) -> None:
    """Hold the review of a member's tier now."""
    from hub.desk.tiers import Decision

    _decide(text, Decision("review"), reason, key, program, as_json=as_json)


@command.command("joined")
@click.argument("text")
@click.argument("day", type=click.DateTime(formats=["%Y-%m-%d"]))
@program_option
@json_option
def joined(text: str, day: datetime, program: str | None, as_json: bool) -> None:
    """State on which DAY a member joined, for membership years."""
    from zoneinfo import ZoneInfo

    from hub.desk import tiers
    from hub.desk.place import carry_out
    from hub.desk.tiers import TierRefused

    with ground() as runtime:
        with runtime.sessions() as session:
            found = find_program(session, program)
            member = only_member(session, found, text)
        at = day.replace(tzinfo=ZoneInfo(found.time_zone))
        try:
            carry_out(runtime, found, ACTOR, lambda desk: tiers.join(desk, member.id, at))
        except TierRefused as refused:
            raise Refusal(str(refused)) from None
    show_one({"member": member.public_id, "joined_at": at}, as_json=as_json)


def _decide(
    text: str, decision: Any, reason: str, key: str | None, program: str | None, *, as_json: bool
) -> None:
    from hub.desk import tiers
    from hub.desk.place import carry_out
    from hub.desk.tiers import KeyConflict, TierRefused
    from hub.ids import new_id

    with ground() as runtime:
        with runtime.sessions() as session:
            found = find_program(session, program)
            member = only_member(session, found, text)
        once = key or new_id("act")
        try:
            done = carry_out(
                runtime,
                found,
                ACTOR,
                lambda desk: tiers.decide(desk, member.id, decision, reason=reason, key=once),
            )
        except TierRefused as refused:
            raise Refusal(str(refused)) from None
        except KeyConflict:
            raise Refusal(_("the key {key!r} was used for another decision", key=key)) from None
    shown = {"member": member.public_id, "before": done.before, "tier": done.tier}
    show_one({**shown, "repeated": done.repeated}, as_json=as_json)


def _amount(text: str, ladder: Any) -> int:
    from hub.money import NotMoney, to_minor_exact

    try:
        amount = Decimal(text)
        if ladder is not None and ladder.by == "spend":
            return to_minor_exact(amount, ladder.currency)
        if amount == int(amount):
            return int(amount)
    except (InvalidOperation, NotMoney, ValueError, OverflowError):
        pass
    raise click.UsageError(_("AMOUNT must be a number, like 1500000"))


def _flat(head: dict[str, Any]) -> dict[str, Any]:
    """For people: one line each, nothing that is not there."""
    tier, following, keep = head["tier"], head["next"], head["keep"]
    return {
        "member": head["member"],
        "tier": f"{tier['name']} ({tier['id']})" if tier else "",
        "since": head["since"],
        "counts": head["counts"] or "",
        "count": head["count"] or "",
        "next": f"{following['name']}: {following['missing']}" if following else "",
        "keep": f"{keep['from'] or 0}, {keep['review_at']:%Y-%m-%d}" if keep else "",
        "segments": ", ".join(head["segments"]),
        "tags": ", ".join(head["tags"]),
    }
