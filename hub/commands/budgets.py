"""`hub program budgets`: what campaigns have given, and what is left."""

from __future__ import annotations

import click

from hub.commands.ground import find_program, ground, program_option
from hub.i18n import gettext as _
from hub.show import json_option, show


@click.command("budgets")
@program_option
@json_option
def budgets(program: str | None, as_json: bool) -> None:
    """What campaigns with a budget have given, and what is left of it."""
    from hub.desk import programme
    from hub.program import store
    from hub.program.rules import in_force

    with ground() as runtime, runtime.sessions() as session:
        found = find_program(session, program)
        rules = in_force(store.versions(session, found), runtime.clock())
        rows = [
            {
                "rule": one.rule,
                "given": one.given,
                "budget": one.total,
                "left": one.left,
                "per_member": one.per_member,
            }
            for one in programme.budgets(session, found.id, rules)
        ]
    show(rows, as_json=as_json, empty=_("No rule in force has a budget."))
