"""`hub member`: members, their identities and balances."""

from __future__ import annotations

from typing import Any

import click

from hub.commands.ground import ACTOR, find_program, ground, program_option
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.show import json_option, show, show_one

SHOWN = 50


@click.group("member")
def command() -> None:
    """Members, their identities and balances."""


@command.command("find")
@click.argument("text")
@program_option
@json_option
def find(text: str, program: str | None, as_json: bool) -> None:
    """Find members by phone, e-mail, card, customer id or mem_ id.

    A phone may be spelled in any way.
    """
    with ground() as runtime, runtime.sessions() as session:
        found = find_program(session, program)
        rows = [_row(session, member, runtime.clock()) for member in _search(session, found, text)]
    show(rows, as_json=as_json, empty=_("No member is known as {text!r}.", text=text))


@command.command("show")
@click.argument("text")
@program_option
@json_option
def show_(text: str, program: str | None, as_json: bool) -> None:
    """A member's movements with running balance, newest first."""
    from hub import words
    from hub.members import view

    with ground() as runtime, runtime.sessions() as session:
        member = only_member(session, find_program(session, program), text)
        rows = [
            {
                "seq": e.seq,
                "points": e.amount,
                "balance": e.balance_after,
                "what": e.counter,
                "codes": ", ".join(step["code"] for step in e.explanation),
                "why": words.of_entry(e.counter, e.amount, e.explanation),
                "sale": e.transaction,
                "when": e.recorded_at,
            }
            for e in view.entries(session, member.id, before=None, limit=SHOWN)
        ]
        head = _row(session, member, runtime.clock())
    if not as_json:
        show_one(head, as_json=False)
    show(rows, as_json=as_json, empty=_("No movement of points yet."))


@command.command("adjust")
@click.argument("text")
@click.argument("points", type=int)
@click.option("--reason", required=True, help="Kept with the entry; no personal data.")
@click.option("--key", help="Makes it safe to repeat: the same key is carried out once.")
@program_option
@json_option
def adjust(
    text: str, points: int, reason: str, key: str | None, program: str | None, as_json: bool
) -> None:
    """Give (+) or take (-) POINTS by hand.

    Put -- before a negative number: hub member adjust --reason "..." MEMBER -- -50
    """
    from hub.audit import record
    from hub.ids import new_id
    from hub.ledger import commands
    from hub.ledger.commands import Command, NotEnoughPoints, ReferenceConflict

    if points == 0 or abs(points) > 2**53:
        raise click.UsageError(_("POINTS must not be 0, and at most 2^53"))
    with ground() as runtime, runtime.sessions.begin() as session:
        found = find_program(session, program)
        member = only_member(session, found, text)
        steps = ({"code": "adjusted", "points": str(points), "reason": reason[:200]},)
        order = Command(
            found.id,
            member.id,
            f"adjust:{key or new_id('adj')}",
            ACTOR,
            runtime.chain_key,
            explanation=steps,
        )
        try:
            done = commands.adjust(session, order, points)
        except NotEnoughPoints as refused:
            raise Refusal(
                _("only {available} points are available", available=refused.available)
            ) from None
        except ReferenceConflict:
            raise Refusal(_("the key {key!r} was used for another adjustment", key=key)) from None
        record(session, found.id, ACTOR, "member.adjusted", member.public_id, {"points": points})
    show_one(
        {"member": member.public_id, "balance": done.balance, "repeated": done.repeated}, as_json=as_json
    )


@command.command("merge")
@click.argument("gone")
@click.argument("kept")
@program_option
@json_option
def merge(gone: str, kept: str, program: str | None, as_json: bool) -> None:
    """Make GONE an alias of KEPT: one person, one balance.

    `hub member unmerge` is the way back.
    """
    from hub.audit import record
    from hub.ledger import merging

    with ground() as runtime, runtime.sessions.begin() as session:
        found = find_program(session, program)
        one, other = only_member(session, found, gone), only_member(session, found, kept)
        try:
            order = merging.Merge(found.id, one.id, other.id, ACTOR, runtime.chain_key)
            merging.merge(session, order)
        except merging.NotMergeable as error:
            raise Refusal(str(error)) from None
        record(session, found.id, ACTOR, "member.merged", one.public_id, {"into": other.public_id})
        row = _row(session, other, runtime.clock())
    show_one(row, as_json=as_json)


@command.command("unmerge")
@click.argument("gone")
@click.argument("kept")
@click.option("--accept-debt", is_flag=True, help="Let KEPT owe what its spends are not covered for.")
@program_option
@json_option
def unmerge(gone: str, kept: str, accept_debt: bool, program: str | None, as_json: bool) -> None:
    """Take GONE (its mem_ id) out of KEPT again.

    Each has the sales attributed to it again.
    """
    from hub.audit import record
    from hub.bulk import run
    from hub.ledger import merging

    with ground() as runtime, runtime.sessions.begin() as session:
        found = find_program(session, program)
        other = only_member(session, found, kept)
        rows = run(
            session,
            "SELECT id FROM members WHERE program_id = :program AND public_id = :id",
            {"program": found.id, "id": gone},
        )
        if not rows:
            raise Refusal(_("there is no member {gone!r}", gone=gone))
        order = merging.Merge(found.id, rows[0].id, other.id, ACTOR, runtime.chain_key)
        try:
            merging.unmerge(session, order, accept_shortfall=accept_debt)
        except merging.NotMergeable as error:
            raise Refusal(str(error)) from None
        except merging.Shortfall as short:
            raise Refusal(
                _(
                    "{kept} has spent points that were the other's and would owe {points}; "
                    "give --accept-debt to let it",
                    kept=other.public_id,
                    points=short.points,
                )
            ) from None
        record(session, found.id, ACTOR, "member.unmerged", gone, {"from": other.public_id})
        row = _row(session, other, runtime.clock())
    show_one(row, as_json=as_json)


def only_member(session: Any, program: Any, text: str) -> Any:
    """The one member a text names. Raises `Refusal` for none and for several."""
    found = _search(session, program, text)
    if not found:
        raise Refusal(_("no member is known as {text!r}", text=text))
    if len(found) > 1:
        several = ", ".join(m.public_id for m in found)
        raise Refusal(_("{text!r} names several members: {several}", text=text, several=several))
    return found[0]


def _search(session: Any, program: Any, text: str) -> list[Any]:
    from hub.members import view

    if text.startswith("mem_"):
        member = view.find(session, program.id, text)
        return [member] if member else []
    found = {}
    for kind in ("phone", "email", "card", "customer"):
        for row in view.search(session, program.id, program.region, kind=kind, text=text):
            found[row.id] = row
    return list(found.values())


def _row(session: Any, member: Any, now: Any) -> dict[str, Any]:
    from hub.members import view

    keys = view.identities(session, member.id)
    return {
        "id": member.public_id,
        "name": member.name,
        **view.balance(session, member.id, now),
        "known_as": ", ".join(f"{k['kind']} {k['value']}" for k in keys),
    }
