"""`hub vouchers`: codes that need a look."""

from __future__ import annotations

import click

from hub.commands.ground import ACTOR, find_program, ground, program_option
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.show import json_option, show, show_one


@click.group("vouchers")
def command() -> None:
    """Codes that were used twice, or are not as channels say."""


@command.command("double-uses")
@program_option
@json_option
def double_uses(program: str | None, as_json: bool) -> None:
    """Codes that were used more than once, or too late, and what was done about it."""
    from hub import words
    from hub.desk.double_uses import listed

    with ground() as runtime, runtime.sessions() as session:
        rows = [
            {
                "code": one.code,
                "member": one.member,
                "orders": [order["number"] for order in one.orders],
                "points": one.charged,
                "absorbed": one.absorbed,
                "what": one.done if as_json else words.of_double_use(one.done),
            }
            for one in listed(session, find_program(session, program), limit=500)
        ]
    show(rows, as_json=as_json, empty=_("No code was used twice."))


@command.command()
@click.argument("code")
@click.argument("decision", type=click.Choice(["take_again", "absorb"]))
@program_option
@json_option
def decide(code: str, decision: str, program: str | None, as_json: bool) -> None:
    """Decide about the further uses of a CODE: the member pays (take_again), or the shop (absorb)."""
    from hub.desk import double_uses as desk_
    from hub.desk import place

    chosen = next(one for one in desk_.DECISIONS if one == decision)
    with ground() as runtime:
        with runtime.sessions() as session:
            found = find_program(session, program)
        try:
            place.carry_out(runtime, found, ACTOR, lambda desk: desk_.decide(desk, code, chosen))
        except LookupError:
            raise Refusal(_("there is no code {code!r}", code=code)) from None
        except desk_.NotTwice:
            raise Refusal(_("{code} was used once at most", code=code)) from None
    show_one({"code": code, "what": decision}, as_json=as_json)


@command.command()
@click.option("--dry-run", is_flag=True, help="Only tell; nothing is made right.")
@program_option
@json_option
def reconcile(dry_run: bool, program: str | None, as_json: bool) -> None:
    """Ask every channel about the codes it has, tell what differs, and make it right."""
    from hub import words
    from hub.sync import checking
    from hub.sync.doorbell import Doorbell

    with ground() as runtime:
        with runtime.sessions() as session:
            found = find_program(session, program)
        rows = [
            {
                "code": one.code,
                "channel": one.channel,
                "what": one.found if as_json else words.of_check(one.found),
                "repaired": one.repaired,
            }
            for one in checking.check_all(runtime, found.id, repair=not dry_run)
        ]
        Doorbell(runtime.settings.redis_url).ring("outbound")
    show(rows, as_json=as_json, empty=_("Every code is in its channels as it should be."))
