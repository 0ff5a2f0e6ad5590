"""`hub channel`: connected shops and tills."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from hub.commands import backfill, keeping
from hub.commands.ground import (
    ACTOR,
    find_channel,
    find_connector,
    find_program,
    ground,
    own_words,
    program_option,
    said,
)
from hub.errors import Fault, Refusal
from hub.i18n import gettext as _
from hub.show import json_option, show, show_one

STATUS_WORDS: Mapping[str, str] = {
    "active": "{channel} is active",
    "paused": "{channel} is paused",
    "disconnected": "{channel} is disconnected",
}


@click.group("channel")
def command() -> None:
    """Connected shops and tills."""


@command.command("list")
@program_option
@json_option
def list_(program: str | None, as_json: bool) -> None:
    """The channels of a programme and how they are.

    "refused" counts the messages with a bad signature that are still kept.
    """
    from hub.bulk import run
    from hub.outbox import channels

    with ground() as runtime, runtime.sessions() as session:
        found = find_program(session, program)
        rows = run(
            session,
            """SELECT c.id AS channel_id, c.public_id AS id, c.kind, c.name, c.status,
                      CASE WHEN c.down_until > now() THEN c.down_code END AS down_code, c.down_detail,
                      (SELECT count(*) FROM deliveries d WHERE d.channel_id = c.id AND d.state IN ('failed', 'parked'))
                          AS failed,
                      (SELECT count(*) FROM deliveries d WHERE d.channel_id = c.id AND d.state = 'due') AS due,
                      (SELECT count(*) FROM quarantine q WHERE q.channel_id = c.id) AS refused
               FROM channels c WHERE c.program_id = :id ORDER BY c.id""",
            {"id": found.id},
        )
        its = channels.by_ids(session, [row.channel_id for row in rows])
        shown = [
            {
                **_listed(row, own_words(runtime, row.kind)),
                "webhook": channels.Handle(runtime, its[row.channel_id]).webhook_url,
            }
            for row in rows
        ]
    show(
        shown,
        as_json=as_json,
        empty=_("No channel yet; connect one with `hub channel add`."),
    )


@command.command("add")
@click.argument("kind")
@click.argument("name")
@program_option
@click.option("--set", "pairs", multiple=True, metavar="NAME=VALUE", help="A setting; may be repeated.")
@click.option(
    "--settings", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON file with settings (keeps secrets out of the shell's history).",
)  # fmt: skip
@click.option("--allow-private", is_flag=True, help="The shop may have a private address.")
@click.option("--shares-shop", is_flag=True, help="The same shop may be connected more than once.")
@json_option
def add(
    kind: str, name: str, program: str | None, pairs: tuple[str, ...], file: Path | None,
    allow_private: bool, shares_shop: bool, as_json: bool,
) -> None:  # fmt: skip
    """Connect a shop or till of a KIND under a NAME.

    Prints the address its webhooks go to; `hub channel settings KIND` shows what may be set.
    """
    from hub.connect import add_channel
    from hub.outbox.channels import Handle

    settings = _settings(pairs, file)
    with ground() as runtime, runtime.sessions.begin() as session:
        found = find_program(session, program)
        words = find_connector(kind, runtime.settings.connectors).words
        try:
            channel = add_channel(
                session,
                runtime,
                program_id=found.id,
                kind=kind,
                name=name,
                settings=settings,
                actor=ACTOR,
                shares_shop=shares_shop,
                allow_private=allow_private,
            )
        except Fault as fault:
            raise Refusal(said(fault, words)) from None
        address = Handle(runtime, channel).webhook_url
    show_one({"id": channel.public_id, "kind": kind, "name": name, "webhook": address}, as_json=as_json)


@command.command("set")
@click.argument("channel")
@click.option("--set", "pairs", multiple=True, metavar="NAME=VALUE", help="A setting; may be repeated.")
@click.option(
    "--settings", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON file with settings (keeps secrets out of the shell's history).",
)  # fmt: skip
@click.option(
    "--allow-private/--refuse-private", default=None, help="The shop may have a private address."
)
@json_option
def set_(
    channel: str, pairs: tuple[str, ...], file: Path | None, allow_private: bool | None, as_json: bool
) -> None:
    """Change settings of a channel (its id).

    What is not named stays as it is; an empty value takes a setting away. Webhooks are checked with
    it within five seconds.
    """
    from hub.connect import change_channel

    changes = _settings(pairs, file)
    if not changes and allow_private is None:
        raise click.UsageError(_("name what to change: --set, --settings or --allow-private"))
    with ground() as runtime, runtime.sessions.begin() as session:
        its = find_channel(session, channel)
        words = find_connector(its.kind, runtime.settings.connectors).words
        try:
            change_channel(session, runtime, its, changes, actor=ACTOR, allow_private=allow_private)
        except Fault as fault:
            raise Refusal(said(fault, words)) from None
    row = {
        "id": its.public_id,
        "kind": its.kind,
        "name": its.name,
        "changed": ", ".join(sorted(changes)),
    }
    show_one(row, as_json=as_json)


@command.command("backdating")
@click.argument("channel")
@click.argument("days", type=click.IntRange(1, 3650), required=False)
@json_option
def backdating(channel: str, days: int | None, as_json: bool) -> None:
    """Let orders of a CHANNEL wait for approval that come more than DAYS after they were placed.

    Without DAYS orders of any age earn, as at the start. `hub review` lists what waits.
    """
    from hub.connect import limit_backdating

    with ground() as runtime, runtime.sessions.begin() as session:
        its = find_channel(session, channel)
        limit_backdating(session, its, days, actor=ACTOR)
    show_one({"id": its.public_id, "name": its.name, "backdating_days": days}, as_json=as_json)


@command.command("settings")
@click.argument("kind")
@json_option
def settings_(kind: str, as_json: bool) -> None:
    """The settings a KIND of channel takes."""
    from hub.settings import load

    connector = find_connector(kind, load().connectors)
    rows = [
        {
            "setting": name,
            "needed": field.required,
            "secret": bool(field.metadata.get("secret")),
        }
        for name, field in connector.settings_schema().fields.items()
    ]
    show(rows, as_json=as_json)


@command.command("test")
@click.argument("channel")
@json_option
def test(channel: str, as_json: bool) -> None:
    """Ask a channel (its id) whether the connection is well."""
    from hub.outbox import channels
    from hub.words import of_fault

    with ground() as runtime:
        with runtime.sessions() as session:
            its = find_channel(session, channel)
        connector = channels.connector_of(runtime, its)
        if "health" not in type(connector).capabilities():
            raise Refusal(
                _("a channel of the kind {kind} cannot be asked; send it a sale and look", kind=its.kind)
            )
        try:
            health = connector.health()
        except Fault as fault:
            raise Refusal(said(fault, connector.words)) from None
    what = of_fault(health.code, None, health.detail, connector.words)
    row = {"ok": health.ok, "code": health.code, "what": what, "detail": health.detail}
    show_one(row, as_json=as_json)


@command.command("pause")
@click.argument("channel")
@json_option
def pause(channel: str, as_json: bool) -> None:
    """Stop pushing to a channel; what it sends is still taken."""
    _set_status(channel, "paused", as_json=as_json)


@command.command("resume")
@click.argument("channel")
@json_option
def resume(channel: str, as_json: bool) -> None:
    """Push to a channel again; what waited goes out."""
    _set_status(channel, "active", as_json=as_json)


@command.command("disconnect")
@click.argument("channel")
@click.option("--yes", is_flag=True, help="Do it; without this it only says what would happen.")
@json_option
def disconnect(channel: str, yes: bool, as_json: bool) -> None:
    """Have nothing more to do with a channel. There is no way back.

    Its address answers like one that is not there, and nothing is pushed to it any more. Orders,
    messages and points stay; its secrets are forgotten; its shop may be connected anew.
    """
    if not yes:
        raise Refusal(
            _("a disconnected channel cannot be connected again; say --yes if that is what you want")
        )
    _set_status(channel, "disconnected", as_json=as_json)


def _listed(row: Any, own: Mapping[str, str]) -> dict[str, Any]:
    """A channel as it is listed: well, or what is wrong in words."""
    from hub.words import of_fault

    health = _("well")
    if row.down_code:
        health = of_fault(row.down_code, "channel", row.down_detail, own)
    names = ("id", "kind", "name", "status")
    counts = {"failed": row.failed, "due": row.due, "refused": row.refused}
    return {**{n: getattr(row, n) for n in names}, "health": health, **counts}


def _set_status(channel: str, status: str, *, as_json: bool) -> None:
    from hub import connect

    with ground() as runtime, runtime.sessions.begin() as session:
        its = find_channel(session, channel)
        words = own_words(runtime, its.kind)
        try:
            deeds: dict[str, Callable[..., None]] = {
                "paused": connect.pause,
                "active": connect.resume,
                "disconnected": lambda session, its, *, actor: connect.disconnect(
                    session, runtime, its, actor=actor
                ),
            }
            deeds[status](session, its, actor=ACTOR)
        except Fault as fault:
            raise Refusal(said(fault, words)) from None
    if as_json:
        show_one({"id": channel, "status": status}, as_json=True)
    else:
        click.echo(_(STATUS_WORDS[status], channel=channel))


def _settings(pairs: tuple[str, ...], file: Path | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if file:
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise Refusal(_("{file}: not JSON ({error})", file=file, error=error)) from None
        if not isinstance(found, dict):
            raise Refusal(_("{file}: a JSON object is expected", file=file))
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.UsageError(_("--set {pair!r}: write NAME=VALUE", pair=pair))
        found[name] = value
    return found


for _more in (keeping.install, keeping.reconcile, keeping.health, backfill.command):
    command.add_command(_more)
