"""`hub ledger`: the book of points."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from hub.commands.ground import find_program, ground, program_option
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.ledger.invariants import INVARIANTS
from hub.money import from_minor
from hub.show import bar, json_option, show, show_one

if TYPE_CHECKING:
    from hub.ledger.liability import By
    from hub.ledger.verify import Report


@click.group("ledger")
def command() -> None:
    """The book of points: show and verify."""


@command.command("verify")
@program_option
@json_option
@click.pass_context
def verify(ctx: click.Context, program: str | None, as_json: bool) -> None:
    """Recompute every balance, lot and chain, and check the other invariants of a book by name.

    Where something is off: the first rows of it, and exit code 1.
    """
    from hub.ledger.verify import size, verify

    with ground() as runtime, runtime.sessions() as session:
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        only = find_program(session, program).id if program else None
        entries = size(session, only)
        with bar(_("Entries"), entries) as advance:
            report = verify(session, runtime.chain_key, only, progress=advance)
    summary = {"accounts": report.accounts, "entries": report.entries, "clean": report.clean}
    if as_json:
        show_one(summary, as_json=True)
    else:
        show(_invariants(report), as_json=False)
        show_one(summary, as_json=False)
    rows = [
        {"account": f.account_id, "entry": f.entry_id, "invariant": f.name, "what": f.what}
        for f in report.findings
    ]
    if rows:
        show(rows, as_json=as_json)
        ctx.exit(1)


def _invariants(report: Report) -> list[dict[str, Any]]:
    """Each invariant, and whether it holds: by the rows, by the database's own guards, or by tests."""
    off = {finding.invariant for finding in report.findings}
    return [
        {
            "number": i.number,
            "name": i.name,
            "what": _(i.says),
            "ok": _("shown by {file}", file=i.shown_by) if i.how == "tests" else i.number not in off,
        }
        for i in INVARIANTS
    ]


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
            """SELECT e.counter, count(*) AS entries, sum(e.amount)::bigint AS points
               FROM entries e JOIN accounts a ON a.id = e.account_id AND a.member_id IS NOT NULL
               WHERE e.program_id = :id GROUP BY e.counter ORDER BY e.counter""",
            {"id": found.id},
        )
    show([dict(r._mapping) for r in rows], as_json=as_json, empty=_("No movement of points yet."))


@command.command("balance")
@click.argument("text", metavar="MEMBER")
@click.option(
    "--at", "at", metavar="TIME", help="A day (its end) or a time, like 2026-11-23T18:30; without: now."
)
@program_option
@json_option
def balance(text: str, at: str | None, program: str | None, as_json: bool) -> None:
    """A member's points as they stood at a time.

    By what was recorded up to then: what came to be known later does not count.
    """
    from hub.commands.member import only_member
    from hub.ledger.as_of import as_of

    with ground() as runtime, runtime.sessions() as session:
        found = find_program(session, program)
        moment = _moment(at, found.time_zone) if at else runtime.clock()
        member = only_member(session, found, text)
        stood = as_of(session, member.id, moment)
    show_one(
        {
            "member": member.public_id,
            "at": moment,
            "balance": stood.balance,
            "available": stood.available,
            "pending": stood.pending,
            "debt": stood.debt,
            "entries": stood.entries,
        },
        as_json=as_json,
    )


def _moment(text: str, zone: str) -> datetime:
    """A time of the program's zone, or one that names its own; a day is meant to its end."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(
            _("{text!r} is no time; write 2026-11-23 or 2026-11-23T18:30", text=text)
        ) from None
    if len(text) == len("2026-11-23"):
        moment += timedelta(days=1, microseconds=-1)
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))


def _in_money(minor: int | None, currency: str) -> Decimal | None:
    return None if minor is None else from_minor(minor, currency)


@command.command("liability")
@click.option(
    "--by", type=click.Choice(["expiry", "age"]), default="expiry", help="How to group; default: expiry."
)
@program_option
@json_option
def liability(by: By, program: str | None, as_json: bool) -> None:
    """Points that members still have, by the month they expire in or by their age, and their worth.

    Worth is what paying with points takes off; without that, what the best reward gives for a point.
    """
    from hub.ledger.liability import outstanding
    from hub.program import store
    from hub.program.worth import worth_of

    with ground() as runtime, runtime.sessions() as session:
        found = find_program(session, program)
        rules = store.versions(session, found)[-1]
        rows = outstanding(session, found.id, found.time_zone, by=by, now=runtime.clock())
    shown = [
        {
            ("expires" if by == "expiry" else "earned"): row.month or _("never"),
            "members": row.members,
            "points": row.points,
            "pending": row.pending,
            "worth": _in_money(worth_of(rules, row.points, found.currency), found.currency),
            "currency": found.currency,
        }
        for row in rows
    ]
    show(shown, as_json=as_json, empty=_("Nobody has any points."))
