"""`hub expiring`: whose points expire next."""

from __future__ import annotations

from datetime import timedelta

import click

from hub.commands.ground import find_program, ground, program_option
from hub.i18n import gettext as _
from hub.show import json_option, show

SHOWN = 10_000


@click.command("expiring")
@click.option(
    "--days", type=click.IntRange(1, 3660), default=30, show_default=True, help="How far to look."
)
@program_option
@json_option
def command(days: int, program: str | None, as_json: bool) -> None:
    """Members whose points expire within the next days, soonest first: whom to remind."""
    from hub.members import expiring

    with ground() as runtime, runtime.sessions() as session:
        found = find_program(session, program)
        now = runtime.clock()
        rows = [
            {
                "member": row.member,
                "name": row.name,
                "points": row.points,
                "expires_at": row.expires_at,
                "phone": row.phone,
                "email": row.email,
            }
            for row in expiring.due(
                session, found.id, now=now, until=now + timedelta(days=days), limit=SHOWN
            )
        ]
    show(rows, as_json=as_json, empty=_("No points expire within {days} days.", days=days))
