"""`hub program`: programmes, their rules, their API keys."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from hub.commands.budgets import budgets
from hub.commands.ground import ACTOR, find_program, ground, program_option
from hub.commands.reassess import reassess
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.show import bar, json_option, show, show_one

if TYPE_CHECKING:
    from hub.transactions.backtest import Backtest


@click.group("program")
def command() -> None:
    """Programmes and their rules."""


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """All programmes of this hub."""
    from hub.program import store

    with ground() as runtime, runtime.sessions() as session:
        rows = [
            {"slug": p.slug, "name": p.name, "currency": p.currency, "time_zone": p.time_zone, "id": p.public_id}
            for p in store.all_programs(session)
        ]  # fmt: skip
    show(rows, as_json=as_json, empty=_("No programme yet; make one with `hub program add`."))


@command.command("add")
@click.argument("slug")
@click.option("--name", help="As members see it; the slug when left out.")
@click.option("--currency", default="VND", show_default=True, help="ISO 4217 code.")
@click.option("--time-zone", default="Asia/Ho_Chi_Minh", show_default=True)
@click.option("--region", default="VN", show_default=True, help="Country of national phone numbers.")
@click.option("--locale", default="vi", show_default=True, type=click.Choice(["vi", "en"]))
@click.option("--starts", type=click.DateTime(), help="Sales before are ignored (UTC; default: now).")
@click.option("--rules", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="TOML file.")
@json_option
def add(
    slug: str, name: str | None, currency: str, time_zone: str, region: str, locale: str,
    starts: datetime | None, rules: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Make a programme with its first rules.

    It belongs to the hub's first user; `hub user role` lets others in.
    """
    from sqlalchemy.exc import IntegrityError

    from hub.program import store
    from hub.users.first import give_to_first

    _check(slug, currency, time_zone, region)
    document = read_rules(rules) if rules else None
    with ground() as runtime:
        try:
            with runtime.sessions.begin() as session:
                program = store.create(
                    session,
                    slug=slug,
                    name=name or slug,
                    currency=currency,
                    time_zone=time_zone,
                    region=region,
                    locale=locale,
                    starts_at=starts.replace(tzinfo=UTC) if starts else runtime.clock(),
                    document=document,
                    actor=ACTOR,
                )
                give_to_first(session, program.id, actor=ACTOR)
        except IntegrityError:
            raise Refusal(_("there is a programme {slug!r} already", slug=slug)) from None
    show_one({"slug": program.slug, "id": program.public_id, "currency": currency}, as_json=as_json)


@command.command("check")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def check(file: Path, as_json: bool) -> None:
    """Check a rules FILE without applying it."""
    read_rules(file)
    show_one({"file": file, "valid": True}, as_json=as_json)


@command.command("apply")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@program_option
@click.option(
    "--from", "starts", type=click.DateTime(), help="When it takes effect (UTC; default: now)."
)
@json_option
def apply(file: Path, program: str | None, starts: datetime | None, as_json: bool) -> None:
    """Put the rules in FILE into force, as a new version.

    Sales placed before keep the rules they were sold under.
    """
    from hub.program import store
    from hub.program.store import VersionRefused

    document = read_rules(file)
    with ground() as runtime, runtime.sessions.begin() as session:
        found = find_program(session, program)
        now = runtime.clock()
        effective = starts.replace(tzinfo=UTC) if starts else now
        try:
            number = store.add_version(
                session, found, document, effective_from=effective, now=now, actor=ACTOR
            )
        except VersionRefused as error:
            raise Refusal(str(error)) from None
    show_one({"program": found.slug, "version": number, "in_force_from": effective}, as_json=as_json)


@command.command("show")
@program_option
@json_option
def show_(program: str | None, as_json: bool) -> None:
    """The versions of a programme's rules."""
    from hub.bulk import run

    with ground() as runtime, runtime.sessions() as session:
        found = find_program(session, program)
        rows = run(
            session,
            "SELECT number, effective_from, actor, document FROM program_versions"
            " WHERE program_id = :id ORDER BY number",
            {"id": found.id},
        )
    show([dict(r._mapping) for r in rows], as_json=as_json)


@command.command("key")
@click.argument("name")
@program_option
@click.option("--scope", "scopes", multiple=True, help="May be given several times; all when left out.")
@json_option
def key(name: str, program: str | None, scopes: tuple[str, ...], as_json: bool) -> None:
    """Make an API key; its secret is shown once."""
    from hub.web import keys

    unknown = sorted(set(scopes) - set(keys.SCOPES))
    if unknown:
        raise click.UsageError(
            _(
                "no scope {unknown!r}; there are {scopes}",
                unknown=unknown[0],
                scopes=", ".join(keys.SCOPES),
            )
        )
    with ground() as runtime, runtime.sessions.begin() as session:
        found = find_program(session, program)
        public_id, secret = keys.create(
            session, found, name=name, scopes=scopes or keys.SCOPES, actor=ACTOR
        )
    show_one(
        {"id": public_id, "key": secret, "scopes": ", ".join(scopes or keys.SCOPES)}, as_json=as_json
    )


command.add_command(reassess)
command.add_command(budgets)


def read_rules(file: Path) -> Mapping[str, Any]:
    """The document of a TOML file. Raises `Refusal` naming the file, the path and the fix."""
    from hub.desk.drafts import read
    from hub.program.document import DocumentRefused

    try:
        return read(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, DocumentRefused) as error:
        raise Refusal(f"{file}: {error}") from None


def _check(slug: str, currency: str, time_zone: str, region: str) -> None:
    import re
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    import phonenumbers

    from hub.money import NotMoney, minor_units

    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", slug):
        raise click.UsageError(_("{slug!r} is no slug: small letters, digits and dashes", slug=slug))
    try:
        minor_units(currency)
    except NotMoney:
        raise click.UsageError(
            _("--currency {currency!r} is no ISO 4217 currency", currency=currency)
        ) from None
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise click.UsageError(
            _("--time-zone {time_zone!r} is no IANA time zone", time_zone=time_zone)
        ) from None
    if region not in phonenumbers.SUPPORTED_REGIONS:
        raise click.UsageError(_("--region {region!r} is no ISO 3166 country", region=region))


@command.command("diff")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@program_option
@json_option
def diff(file: Path, program: str | None, as_json: bool) -> None:
    """What the rules in FILE would change, setting by setting, against those in force."""
    from hub.desk.drafts import in_force
    from hub.program.differences import differences

    document = read_rules(file)
    with ground() as runtime, runtime.sessions() as session:
        found = find_program(session, program)
        present = in_force(session, found.id, runtime.clock()).document
    rows = [
        {"setting": one.setting, "before": one.before, "after": one.after}
        for one in differences(present, document)
    ]
    show(rows, as_json=as_json, empty=_("Nothing would change."))


@command.command("backtest")
@click.option(
    "--draft",
    "file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The draft of the rules (TOML).",
)
@click.option("--since", type=click.DateTime(), help="Orders placed from then on (default: all).")
@program_option
@json_option
def backtest(file: Path, since: datetime | None, program: str | None, as_json: bool) -> None:
    """Judge the orders of the past by a draft: points, liability, and the members most affected.

    Nothing is changed. With --json the first line is the result, then a line each member.
    """
    from hub.program import document as documents
    from hub.sync.ground import ground_of_all
    from hub.transactions.backtest import backtest, size

    document = read_rules(file)
    with ground() as runtime, runtime.sessions() as session:
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        found = find_program(session, program)
        rules = documents.rules(
            document, number=0, effective_from=found.starts_at, time_zone=found.time_zone
        )
        begins = since.replace(tzinfo=ZoneInfo(found.time_zone)) if since else found.starts_at
        its = ground_of_all(runtime, session, found, actor=ACTOR)
        with bar(_("Orders"), size(session, found.id, begins)) as advance:
            result = backtest(session, its, rules, since=begins, now=runtime.clock(), progress=advance)
    _show_backtest(result, as_json=as_json)


def _show_backtest(result: Backtest, *, as_json: bool) -> None:
    head = {
        "orders": result.orders,
        "changed": result.changed,
        "unjudged": result.unjudged,
        "points": result.points,
        "drafted": result.drafted,
        "liability": result.liability,
        "drafted_liability": result.drafted_liability,
        "members": result.members,
        "gain": result.gain,
        "lose": result.lose,
    }
    show_one(head, as_json=as_json)
    rows = [
        {"member": m.member, "balance": m.balance, "drafted": m.drafted, "difference": m.difference}
        for m in result.most
    ]
    if rows:
        show(rows, as_json=as_json, title=_("Members whose balance would differ most"))


@command.command("describe")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--language",
    type=click.Choice(["en", "vi"]),
    help="Of the terms; without: the programme's language.",
)
@program_option
@json_option
def describe(file: Path | None, language: str | None, program: str | None, as_json: bool) -> None:
    """The programme's terms for customers, written out of its rules.

    With FILE those of a draft, else of the rules in force.
    """
    from hub.desk.drafts import in_force
    from hub.i18n import speaking
    from hub.program import document as documents
    from hub.program.terms import terms

    document = read_rules(file) if file else None
    with ground() as runtime, runtime.sessions() as session:
        found = find_program(session, program)
        document = document or in_force(session, found.id, runtime.clock()).document
    rules = documents.rules(
        document, number=0, effective_from=found.starts_at, time_zone=found.time_zone
    )
    with speaking(language or found.locale):
        sections = terms(rules)
    if as_json:
        show([{"title": s.title, "lines": list(s.lines)} for s in sections], as_json=True)
        return
    click.echo(f"# {found.name}")
    for section in sections:
        click.echo(f"\n## {section.title}\n")
        for line in section.lines:
            click.echo(f"- {line}")


@command.command("keys")
@program_option
@json_option
def keys_(program: str | None, as_json: bool) -> None:
    """List API keys, when each was used last, and which are revoked."""
    from hub.web import keys

    with ground() as runtime, runtime.sessions() as session:
        found = keys.of_program(session, find_program(session, program))
    show(found, as_json=as_json)


@command.command("revoke-key")
@click.argument("key")
@program_option
@json_option
def revoke_key(key: str, program: str | None, as_json: bool) -> None:
    """Revoke an API KEY (its id): it opens nothing from now on."""
    from hub.web import keys

    with ground() as runtime, runtime.sessions.begin() as session:
        if not keys.revoke(session, find_program(session, program), key, actor=ACTOR):
            raise Refusal(_("there is no key {key!r} that is in force", key=key))
    show_one({"id": key, "state": "revoked"}, as_json=as_json)
