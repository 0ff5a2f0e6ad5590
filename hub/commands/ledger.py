"""`hub ledger`: the book of points."""

from __future__ import annotations

import click

from hub.commands.ground import find_program, ground, program_option
from hub.i18n import gettext as _
from hub.show import json_option, show, show_one


@click.group("ledger")
def command() -> None:
    """The book of points: show and verify."""


@command.command("verify")
@program_option
@json_option
@click.pass_context
def verify(ctx: click.Context, program: str | None, as_json: bool) -> None:
    """Recompute every balance, lot and chain.

    Where something is off: the first rows of it, and exit code 1.
    """
    from hub.ledger.verify import verify

    with ground() as runtime, runtime.sessions() as session:
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        only = find_program(session, program).id if program else None
        report = verify(session, runtime.chain_key, only)
    summary = {"accounts": report.accounts, "entries": report.entries, "clean": report.clean}
    show_one(summary, as_json=as_json)
    rows = [
        {"account": f.account_id, "entry": f.entry_id, "what": f.what} for f in report.findings or ()
    ]
    if rows:
        show(rows, as_json=as_json)
        ctx.exit(1)


@command.command("totals")
@program_option
@json_option
def totals(program: str | None, as_json: bool) -> None:
    """Points given, spent, expired and owed, by kind."""
    from hub.bulk import run

    with ground() as runtime, runtime.sessions() as session:
        found = find_program(session, program)
        rows = run(
            session,
            """SELECT counter, count(*) AS entries, sum(amount)::bigint AS points FROM entries
               WHERE program_id = :id GROUP BY counter ORDER BY counter""",
            {"id": found.id},
        )
    show([dict(r._mapping) for r in rows], as_json=as_json, empty=_("No movement of points yet."))
