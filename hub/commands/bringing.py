"""`hub member import`: members of another programme, out of a table."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hub.commands.ground import ACTOR, find_channel, find_program, ground, program_option
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.show import bar, json_option, show, show_one

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from hub.imports.carry import Origin, Tally
    from hub.imports.plan import Plan, Wish
    from hub.imports.rows import Row, Wrong
    from hub.program.store import Program
    from hub.runtime import Runtime

_SHOWN = 20


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@click.option("--format", "format_", help="The product it comes from (--formats lists them).")
@click.option(
    "--map",
    "mapping",
    multiple=True,
    metavar="FIELD=HEADING",
    help="Read a field from this column; an empty heading leaves it out.",
)
@click.option(
    "--days",
    type=click.Choice(["ymd", "dmy", "mdy"]),
    help="How days are written; without it they tell themselves.",
)
@click.option("--channel", help="The channel (chn_...) whose customer ids the file names.")
@click.option(
    "--source", help="A short name for where rows come from; rows of one source are carried over once."
)
@click.option("--only-known", is_flag=True, help="Nobody new becomes a member.")
@click.option(
    "--apply", "for_real", is_flag=True, help="Carry it over; without it the file is only checked."
)
@click.option(
    "--leave-out-wrong", is_flag=True, help="Carry over what is right, though some rows are wrong."
)
@click.option(
    "--wrong",
    "wrong_file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the rows that are wrong, with reasons, to this CSV.",
)
@click.option("--template", is_flag=True, help="Print an empty table to fill in.")
@click.option("--formats", is_flag=True, help="List the products whose exports are known.")
@click.option("--fields", is_flag=True, help="List what a column may hold.")
@program_option
@json_option
def bring(file: Path | None, for_real: bool, leave_out_wrong: bool, wrong_file: Path | None, template: bool,
          formats: bool, fields: bool, program: str | None, as_json: bool, **wishes: Any) -> None:  # fmt: skip
    """Bring members, points, lots and tiers over from another programme, out of a CSV FILE.

    The file is checked first: what each column was taken for, what would happen, and which rows are wrong. With
    --apply it is done; broken off, run it again: what is there already is not done twice.
    """
    if template or formats or fields:
        _list(template, formats, as_json)
        return
    if file is None:
        raise click.UsageError(_("Name a FILE, or --template, --formats or --fields."))
    with ground() as runtime:
        with runtime.sessions() as session:
            found = find_program(session, program)
            wish = _wish(session, found, wishes)
        planned = _planned(runtime, found, file.read_bytes(), wish)
        if wrong_file is not None:
            _write_wrong(wrong_file, planned.wrong)
        foreseen = _foreseen(runtime, found, wish.origin, planned)
        if not for_real:
            _show_plan(planned, foreseen, as_json)
            return
        if planned.wrong and not leave_out_wrong:
            _show_wrong(planned.wrong, as_json)
            raise Refusal(
                _("{n} rows are wrong: mend the file, or --leave-out-wrong", n=len(planned.wrong))
            )
        done = _carried(runtime, found, wish.origin, planned.rows)
    _show_tally(done, as_json, done=True)
    _show_wrong(done.wrong, as_json)


def _list(template: bool, formats: bool, as_json: bool) -> None:
    from hub.imports import format as format_
    from hub.imports.columns import FIELD_WORDS

    if template:
        click.echo(",".join(FIELD_WORDS))
        return
    if formats:
        try:
            there = [{"format": one.name, "name": one.label} for one in format_.all_of()]
        except format_.BadFormat as bad:
            raise Refusal(str(bad)) from None
        show(there, as_json=as_json, empty=_("There is no file in config/imports."))
        return
    show([{"field": name, "what": _(words)} for name, words in FIELD_WORDS.items()], as_json=as_json)


def _wish(session: Session, program: Program, wishes: dict[str, Any]) -> Wish:
    from hub.imports import format as format_
    from hub.imports.carry import Origin
    from hub.imports.plan import Wish

    source = wishes["source"] or wishes["format_"] or "csv"
    if not format_.is_source(source):
        raise click.UsageError(_("--source: a short name of a-z, 0-9, - and _"))
    pairs = [text.partition("=") for text in wishes["mapping"]]
    if any(not equals for _field, equals, _heading in pairs):
        raise click.UsageError(_('--map: write FIELD=HEADING, for example points="Balance"'))
    channel = find_channel(session, wishes["channel"]) if wishes["channel"] else None
    if channel is not None and channel.program_id != program.id:
        raise Refusal(_("the channel {channel} is another programme's", channel=channel.public_id))
    try:
        known = format_.named(wishes["format_"]) if wishes["format_"] else None
    except format_.BadFormat as bad:
        raise Refusal(str(bad)) from None
    return Wish(
        origin=Origin(source, channel, wishes["only_known"]),
        format=known,
        columns={field.strip(): heading for field, _equals, heading in pairs},
        order=wishes["days"],
    )


def _planned(runtime: Runtime, program: Program, content: bytes, wish: Wish) -> Plan:
    from hub.desk.place import Desk
    from hub.imports.columns import UnknownColumn
    from hub.imports.plan import plan
    from hub.imports.table import BadTable

    try:
        with runtime.sessions() as session:
            planned = plan(Desk(runtime, session, program, ACTOR), content, wish)
    except (BadTable, UnknownColumn) as bad:
        raise Refusal(str(bad)) from None
    if planned.missing:
        raise Refusal(planned.missing)
    return planned


def _foreseen(runtime: Runtime, program: Program, origin: Origin, planned: Plan) -> Tally:
    from hub.desk.place import Desk
    from hub.imports.carry import foresee

    with runtime.sessions() as session:
        return foresee(Desk(runtime, session, program, ACTOR), origin, planned.rows)


def _carried(runtime: Runtime, program: Program, origin: Origin, rows: Sequence[Row]) -> Tally:
    from hub.desk.place import carry_out
    from hub.imports.carry import BATCH, Tally, carry

    total = Tally()
    with bar(_("Rows"), len(rows)) as advance:
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            total.add(carry_out(runtime, program, ACTOR, partial(carry, origin=origin, rows=batch)))
            advance(len(batch))
    return total


# --- what is shown -------------------------------------------------------------------------------


def _show_plan(planned: Plan, foreseen: Tally, as_json: bool) -> None:
    if not as_json:
        show(
            [{"field": name, "column": heading} for name, heading in planned.read_as.items()],
            as_json=False,
            title=_("What the columns were taken for"),
        )
        if planned.left_out:
            click.echo(_("Not read: {columns}", columns=", ".join(planned.left_out)))
    _show_tally(foreseen, as_json, done=False, read_as=dict(planned.read_as), wrong=len(planned.wrong))
    _show_wrong(planned.wrong, as_json)
    if not as_json:
        click.echo(_("Nothing was changed. With --apply it is done."))


def _show_tally(tally: Tally, as_json: bool, *, done: bool, **more: Any) -> None:
    row = {
        "rows": tally.rows,
        "new members": len(tally.new),
        "known members": len(tally.known),
        "nobody known": tally.unknown,
        "suspected twins": tally.suggestions,
        "points": tally.points,
        "unchanged": tally.unchanged,
    }
    if as_json:
        show_one(
            {"applied": done, **{name.replace(" ", "_"): n for name, n in row.items()}, **more},
            as_json=True,
        )
    else:
        show_one(row, as_json=False)


def _show_wrong(wrong: Sequence[Wrong], as_json: bool) -> None:
    if not wrong:
        return
    show(
        list(_told(wrong if as_json else wrong[:_SHOWN])),
        as_json=as_json,
        title=_("Rows that are wrong"),
    )
    if not as_json and len(wrong) > _SHOWN:
        click.echo(_("{shown} of {total}; --wrong FILE writes all.", shown=_SHOWN, total=len(wrong)))


def _told(wrong: Sequence[Wrong]) -> Iterator[dict[str, Any]]:
    for one in wrong:
        yield {"line": one.line, "field": one.field, "why": one.said}


def _write_wrong(path: Path, wrong: Sequence[Wrong]) -> None:
    try:
        with path.open("w", newline="", encoding="utf-8") as out:
            writer = csv.writer(out)
            writer.writerow(["line", "field", "why"])
            writer.writerows([one.line, one.field, one.said] for one in wrong)
    except OSError as error:
        raise Refusal(_("{file} cannot be written: {error}", file=path, error=error.strerror)) from None
