"""`hub notices`: whom to tell that they joined or reached a number of points."""

from __future__ import annotations

import click

from hub.commands.ground import find_program, ground, program_option
from hub.i18n import gettext as _
from hub.show import json_option, show


@click.command("notices")
@program_option
@json_option
def command(program: str | None, as_json: bool) -> None:
    """Whom the programme's notices are for, up to a minute ago, oldest first."""
    from dataclasses import asdict

    from hub.desk import notices
    from hub.program import store
    from hub.program.rules import in_force

    rows, place, is_last = [], notices.BEGINNING, False
    with ground() as runtime, runtime.sessions() as session:
        found = find_program(session, program)
        now = runtime.clock()
        rules = in_force(store.versions(session, found), now)
        while not is_last:
            page = notices.after(session, found.id, rules, place, now)
            rows += [asdict(one) for one in page.notices]
            place, is_last = page.place, page.is_last
    show(rows, as_json=as_json, empty=_("There is nobody to tell anything."))
