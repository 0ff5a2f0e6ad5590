"""`hub program reassess`: sales that were told of late, and what they change (rules.md B2)."""

from __future__ import annotations

from functools import partial

import click

from hub.commands.ground import ACTOR, find_program, ground, program_option
from hub.commands.member import only_member
from hub.i18n import gettext as _
from hub.show import bar, json_option, show


@click.command("reassess")
@click.option("--member", "text", help="Only this one; everybody when left out.")
@click.option("--post", is_flag=True, help="Post the differences, rather than only show them.")
@program_option
@json_option
def reassess(text: str | None, post: bool, program: str | None, as_json: bool) -> None:
    """What sales would have earned had all been told of in their order.

    A sale keeps the tier that was known when its points were given. One that is told of late is marked
    (context_late); this shows it, and the sales after it that would come out otherwise, by what is left
    of all of them today. With --post the differences are posted.
    """
    from dataclasses import asdict

    from hub.desk import reassess as desk_reassess
    from hub.desk.place import carry_out

    deed = desk_reassess.reassess if post else desk_reassess.preview
    rows = []
    with ground() as runtime:
        with runtime.sessions() as session:
            found = find_program(session, program)
            chosen = only_member(session, found, text).id if text else None
            members = [chosen] if chosen else desk_reassess.members(session, found.id)
        with bar(_("Members"), len(members)) as advance:
            for member in members:
                rows += carry_out(runtime, found, ACTOR, partial(deed, member_id=member))
                advance(1)
    listed = [{**asdict(one), "context_late": one.late} for one in rows]
    for one in listed:
        del one["late"]
    show(listed, as_json=as_json, empty=_("No sale was told of late."))
    if rows and not as_json:
        points = sum(one.points - one.points_before for one in rows)
        click.echo(
            _("{points} points were posted.", points=points)
            if post
            else _("{points} points would be posted; --post does it.", points=points)
        )
