"""`hub member`: members, their identities and balances."""

from __future__ import annotations

from typing import Any

import click

from hub.commands.bringing import bring
from hub.commands.ground import ACTOR, find_program, ground, program_option
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.show import json_option, show, show_one

SHOWN = 50


@click.group("member")
def command() -> None:
    """Members, their identities and balances."""


command.add_command(bring)


@command.command("find")
@click.argument("text")
@program_option
@json_option
def find(text: str, program: str | None, as_json: bool) -> None:
    """Find members by any scrap: phone, name, e-mail, card, customer id, order number, code, mem_ id.

    A phone may be spelled in any way, or be its last digits; a name needs no accents.
    """
    from hub.members import view
    from hub.members.search import search

    with ground() as runtime, runtime.sessions() as session:
        found = find_program(session, program)
        hits = search(session, found.id, found.region, text)
        rows = [
            {**_row(session, view.by_id(session, hit.member_id), runtime.clock()), "found_by": hit.by}
            for hit in hits
        ]
    show(rows, as_json=as_json, empty=_("No member is known as {text!r}.", text=text))


@command.command("show")
@click.argument("text")
@click.option("--all", "everything", is_flag=True, help="All movements, not only the newest 50.")
@program_option
@json_option
def show_(text: str, everything: bool, program: str | None, as_json: bool) -> None:
    """A member, and the movements of their points with running balance, newest first.

    With --json the first line is the member.
    """
    from hub.members import view

    with ground() as runtime, runtime.sessions() as session:
        member = only_member(session, find_program(session, program), text)
        total = view.count_entries(session, member.id)
        limit = max(total, 1) if everything else SHOWN
        rows = [_movement(entry) for entry in view.entries(session, member.id, before=None, limit=limit)]
        head = {**_row(session, member, runtime.clock()), "movements": total}
    show_one(head, as_json=as_json)
    show(rows, as_json=as_json, empty=_("No movement of points yet."))
    if not as_json and len(rows) < total:
        click.echo(_("{shown} of {total} movements; --all shows all.", shown=len(rows), total=total))


@command.command("lots")
@click.argument("text")
@program_option
@json_option
def lots(text: str, program: str | None, as_json: bool) -> None:
    """What is left of what a member earned, soonest expiry first."""
    from hub.ledger.lots import payer_of
    from hub.members import view

    with ground() as runtime, runtime.sessions() as session:
        member = only_member(session, find_program(session, program), text)
        rows = [
            {
                "remaining": lot["remaining"],
                "granted": lot["granted"],
                "sale": lot["transaction"],
                "number": lot["number"],
                "placed_at": lot["placed_at"],
                "available_at": lot["available_at"],
                "expires_at": lot["expires_at"],
                "payer": payer_of(lot["key"]),
            }
            for lot in view.lots(session, member.id)
        ]
    show(rows, as_json=as_json, empty=_("No points are left."))


def _movement(entry: Any) -> dict[str, Any]:
    from hub import words

    return {
        "seq": entry.seq,
        "points": entry.amount,
        "balance": entry.balance_after,
        "what": entry.counter,
        "codes": ", ".join(step["code"] for step in entry.explanation),
        "why": words.of_entry(entry.counter, entry.amount, entry.explanation),
        "sale": entry.transaction,
        "when": entry.recorded_at,
    }


@command.command("adjust")
@click.argument("text")
@click.argument("points", type=int)
@click.option("--reason", required=True, help="Kept with the entry; no personal data.")
@click.option("--key", help="Makes it safe to repeat: the same key is carried out once.")
@click.option("--payer", help="The partner who pays for these points, and takes back no others.")
@program_option
@json_option
def adjust(
    text: str, points: int, reason: str, key: str | None, payer: str | None, program: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Give (+) or take (-) POINTS by hand.

    Put -- before a negative number: hub member adjust --reason "..." MEMBER -- -50
    """
    from hub.desk import points as desk_points
    from hub.desk.place import carry_out
    from hub.ids import new_id
    from hub.ledger.commands import NotEnoughPoints, ReferenceConflict

    if points == 0 or abs(points) > desk_points.MOST:
        raise click.UsageError(_("POINTS must not be 0, and at most 2^53"))
    if payer is not None and not desk_points.is_payer(payer):
        raise click.UsageError(_("a payer's name has 1 to 60 characters and no colon"))
    with ground() as runtime:
        with runtime.sessions() as session:
            found = find_program(session, program)
            member = only_member(session, found, text)
        try:
            done = carry_out(
                runtime,
                found,
                ACTOR,
                lambda desk: desk_points.adjust(
                    desk, member.id, points, reason=reason, key=key or new_id("adj"), payer=payer
                ),
            )
        except NotEnoughPoints as refused:
            raise Refusal(
                _("only {available} points are available", available=refused.available)
            ) from None
        except ReferenceConflict:
            raise Refusal(_("the key {key!r} was used for another adjustment", key=key)) from None
    show_one(
        {"member": member.public_id, "balance": done.balance, "repeated": done.repeated}, as_json=as_json
    )


@command.command("bring-to")
@click.argument("text")
@click.argument("balance", type=int)
@click.option("--reason", required=True, help="Kept with the entry; no personal data.")
@program_option
@json_option
def bring_to(text: str, balance: int, reason: str, program: str | None, as_json: bool) -> None:
    """Give or take what is missing to a BALANCE that somebody has counted."""
    from hub.desk import points as desk_points
    from hub.desk.place import carry_out
    from hub.ids import new_id
    from hub.ledger.commands import NotEnoughPoints

    if not 0 <= balance <= desk_points.MOST:
        raise click.UsageError(_("BALANCE must be from 0 to 2^53"))
    with ground() as runtime:
        with runtime.sessions() as session:
            found = find_program(session, program)
            member = only_member(session, found, text)
        try:
            done = carry_out(
                runtime,
                found,
                ACTOR,
                lambda desk: desk_points.bring_to(
                    desk, member.id, balance, reason=reason, key=new_id("adj")
                ),
            )
        except NotEnoughPoints as refused:
            raise Refusal(
                _("only {available} points are available", available=refused.available)
            ) from None
    show_one(
        {"member": member.public_id, "before": done.before, "balance": done.balance}, as_json=as_json
    )


@command.command("off")
@click.argument("text")
@click.option("--reason", required=True, help="Kept with the deed; no personal data.")
@program_option
@json_option
def off(text: str, reason: str, program: str | None, as_json: bool) -> None:
    """Switch an account off: nothing is spent and events give nothing; orders count."""
    _switch(text, program, on=False, reason=reason, as_json=as_json)


@command.command("on")
@click.argument("text")
@program_option
@json_option
def on(text: str, program: str | None, as_json: bool) -> None:
    """Switch an account on again."""
    _switch(text, program, on=True, reason="", as_json=as_json)


def _switch(text: str, program: str | None, *, on: bool, reason: str, as_json: bool) -> None:
    from hub.desk.place import carry_out
    from hub.desk.switching import switch

    with ground() as runtime:
        with runtime.sessions() as session:
            found = find_program(session, program)
            member = only_member(session, found, text)
        changed = carry_out(
            runtime, found, ACTOR, lambda desk: switch(desk, member.id, on=on, reason=reason)
        )
    show_one({"member": member.public_id, "on": on, "changed": changed}, as_json=as_json)


@command.command("credit")
@click.argument("text")
@click.argument("amount", required=False)
@click.option("--currency", help="The programme's own when left out.")
@click.option("--reason", default="", help="Kept with the entry; no personal data.")
@click.option("--key", help="Makes it safe to repeat: the same key is carried out once.")
@program_option
@json_option
def credit(
    text: str, amount: str | None, currency: str | None, reason: str, key: str | None, program: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Store credit of a member; with an AMOUNT, give (+) or take (-) so much by hand.

    Put -- before a negative amount: hub member credit --reason "..." MEMBER -- -50000
    """
    from hub.commands.credit import give, show_held

    if amount is None:
        show_held(text, program, as_json=as_json)
        return
    if not reason:
        raise click.UsageError(_("say why: --reason"))
    give(text, amount, currency, reason, key, program, as_json=as_json)


@command.command("collect")
@click.argument("text")
@click.argument("code")
@program_option
@json_option
def collect(text: str, code: str, program: str | None, as_json: bool) -> None:
    """Make the money of the gift card CODE a member's store credit, whoever bought it; once."""
    from hub.commands.credit import collect_card

    collect_card(text, code, program, as_json=as_json)


@command.command("merge")
@click.argument("gone")
@click.argument("kept")
@program_option
@json_option
def merge(gone: str, kept: str, program: str | None, as_json: bool) -> None:
    """Make GONE an alias of KEPT: one person, one balance.

    `hub member unmerge` is the way back.
    """
    from hub.desk import merging
    from hub.desk.place import carry_out
    from hub.ledger.merging import NotMergeable

    with ground() as runtime:
        with runtime.sessions() as session:
            found = find_program(session, program)
            one, other = only_member(session, found, gone), only_member(session, found, kept)
        try:
            carry_out(runtime, found, ACTOR, lambda desk: merging.merge(desk, one.id, other.id))
        except NotMergeable as error:
            raise Refusal(str(error)) from None
        with runtime.sessions() as session:
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
    from hub.desk import merging
    from hub.desk.place import carry_out
    from hub.ledger.merging import NotMergeable, Shortfall
    from hub.members.search import row_id

    with ground() as runtime:
        with runtime.sessions() as session:
            found = find_program(session, program)
            other = only_member(session, found, kept)
            one = row_id(session, found.id, gone)
        if one is None:
            raise Refusal(_("there is no member {gone!r}", gone=gone))
        try:
            carry_out(
                runtime,
                found,
                ACTOR,
                lambda desk: merging.unmerge(desk, one, other.id, accept_shortfall=accept_debt),
            )
        except NotMergeable as error:
            raise Refusal(str(error)) from None
        except Shortfall as short:
            raise Refusal(
                _(
                    "{kept} has spent points that were the other's and would owe {points}; "
                    "give --accept-debt to let it",
                    kept=other.public_id,
                    points=short.points,
                )
            ) from None
        with runtime.sessions() as session:
            row = _row(session, other, runtime.clock())
    show_one(row, as_json=as_json)


@command.command("tag")
@click.argument("text")
@click.argument("name")
@click.option("--off", is_flag=True, help="Take it off.")
@program_option
@json_option
def tag(text: str, name: str, off: bool, program: str | None, as_json: bool) -> None:
    """Put the tag NAME on a member: segments may ask for it."""
    from hub.desk import tiers
    from hub.desk.place import carry_out

    with ground() as runtime:
        with runtime.sessions() as session:
            found = find_program(session, program)
            member = only_member(session, found, text)
        try:
            tags = carry_out(
                runtime, found, ACTOR, lambda desk: tiers.tag(desk, member.id, name, on=not off)
            )
        except tiers.TierRefused as refused:
            raise Refusal(str(refused)) from None
    show_one({"member": member.public_id, "tags": ", ".join(sorted(tags))}, as_json=as_json)


@command.command("data")
@click.argument("text")
@program_option
def data(text: str, program: str | None) -> None:
    """All that is kept of a member, as JSON to hand over."""
    import json

    from hub.audit import record
    from hub.members import report

    with ground() as runtime, runtime.sessions.begin() as session:
        found = find_program(session, program)
        member = only_member(session, found, text)
        content = report.of_member(session, member.id, runtime.clock())
        record(session, found.id, ACTOR, "member.reported", member.public_id)
    click.echo(json.dumps(content, ensure_ascii=False, indent=2, default=str))


@command.command("forget")
@click.argument("text")
@click.option("--yes", is_flag=True, help="Do it; without this it only says what would happen.")
@program_option
@json_option
def forget(text: str, yes: bool, program: str | None, as_json: bool) -> None:
    """Forget a member: name, keys and messages go, orders and points stay.

    There is no way back. Who buys again afterwards is a new member.
    """
    from hub.desk import forgetting
    from hub.desk.place import Desk

    with ground() as runtime, runtime.sessions.begin() as session:
        found = find_program(session, program)
        member = only_member(session, found, text)
        desk = Desk(runtime, session, found, ACTOR)
        done = (forgetting.forget if yes else forgetting.preview)(desk, member.id)
    row = {
        "id": member.public_id,
        "forgotten": yes,
        "identities": done.identities,
        "orders": done.orders,
        "messages": done.messages,
    }
    show_one(row, as_json=as_json)


def only_member(session: Any, program: Any, text: str) -> Any:
    """The one member a text names. Raises `Refusal` for none and for several."""
    found = _search(session, program, text)
    if not found:
        raise Refusal(_("no member is known as {text!r}", text=text))
    if len(found) > 1:
        several = ", ".join(f"{m.public_id} ({m.name})" if m.name else m.public_id for m in found)
        raise Refusal(_("{text!r} names several members: {several}", text=text, several=several))
    return found[0]


def _search(session: Any, program: Any, text: str) -> list[Any]:
    """Whom the text means: of exact keys the first that anybody has, else everybody it may mean."""
    from hub.members import view
    from hub.members.search import EXACT, search

    hits = search(session, program.id, program.region, text)
    if hits and hits[0].by in EXACT:
        hits = [hit for hit in hits if hit.by == hits[0].by]
    return [view.by_id(session, hit.member_id) for hit in hits]


def _row(session: Any, member: Any, now: Any) -> dict[str, Any]:
    from hub.members import view

    keys = view.identities(session, member.id)
    return {
        "id": member.public_id,
        "name": member.name,
        **view.balance(session, member.id, now),
        "known_as": ", ".join(f"{k['kind']} {k['value']}" for k in keys),
    }
