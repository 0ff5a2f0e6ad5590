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
    from hub.bulk import run
    from hub.program import store
    from hub.program.rules import in_force

    with ground() as runtime, runtime.sessions() as session:
        found = find_program(session, program)
        rules = in_force(store.versions(session, found), runtime.clock())
        sql = "SELECT campaign, given FROM budgets WHERE program_id = :id"
        given = {row.campaign: row.given for row in run(session, sql, {"id": found.id})}
    rows = [
        {
            "rule": rule,
            "given": given.get(rule, 0),
            "budget": budget.total,
            "left": None if budget.total is None else max(0, budget.total - given.get(rule, 0)),
            "per_member": budget.per_member,
        }
        for rule, budget in sorted(rules.budgets.items())
    ]
    show(rows, as_json=as_json, empty=_("No rule in force has a budget."))
