"""`hub staff`: who of the staff is which member, so that nobody earns on sales of their own unseen."""

from __future__ import annotations

import click

from hub.commands.ground import ACTOR, find_program, ground, program_option
from hub.commands.member import only_member
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.show import json_option, show, show_one


@click.group("staff")
def command() -> None:
    """Staff as tills name them, and the members they are."""


@command.command("list")
@program_option
@json_option
def list_(program: str | None, as_json: bool) -> None:
    """List the staff that are known to be members."""
    from dataclasses import asdict

    from hub.members import staff

    with ground() as runtime, runtime.sessions() as session:
        found = staff.of_program(session, find_program(session, program).id)
    show([asdict(one) for one in found], as_json=as_json, empty=_("Nobody of the staff is known yet."))


@command.command("add")
@click.argument("ref")
@click.argument("member")
@program_option
@json_option
def add(ref: str, member: str, program: str | None, as_json: bool) -> None:
    """Say that the cashier whom tills call REF is a MEMBER (phone, e-mail, card or id)."""
    from hub.audit import record
    from hub.members import staff

    if not 0 < len(ref) <= 64:
        raise Refusal(_("a cashier's name has 1 to 64 characters"))
    with ground() as runtime, runtime.sessions.begin() as session:
        found = find_program(session, program)
        who = only_member(session, found, member)
        staff.put(session, found.id, ref, who.id, runtime.clock())
        record(session, found.id, ACTOR, "staff.added", who.public_id, {"ref": ref})
    show_one({"ref": ref, "member": who.public_id}, as_json=as_json)


@command.command("remove")
@click.argument("ref")
@click.option(
    "--mistaken", is_flag=True, help="They never were: sales that were refused are judged anew."
)
@program_option
@json_option
def remove(ref: str, mistaken: bool, program: str | None, as_json: bool) -> None:
    """Say that the cashier whom tills call REF is not of the staff any more.

    What they rang up until now stays what it was, unless it was a mistake that they were named.
    """
    from hub.audit import record
    from hub.members import staff

    with ground() as runtime, runtime.sessions.begin() as session:
        found = find_program(session, program)
        if not staff.drop(session, found.id, ref, runtime.clock(), mistaken=mistaken):
            raise Refusal(_("nobody of the staff is called {ref!r}", ref=ref))
        record(session, found.id, ACTOR, "staff.removed", ref, {"mistaken": mistaken})
    show_one({"ref": ref, "state": "removed"}, as_json=as_json)
