"""`hub alert`: what a person should look at, and saying that somebody has."""

from __future__ import annotations

import click

from hub.commands.ground import ACTOR, find_program, ground, own_words, program_option
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.show import json_option, show, show_one


@click.group("alert")
def command() -> None:
    """What tills did, and what connections showed, that a person should look at."""


@command.command("list")
@program_option
@json_option
def list_(program: str | None, as_json: bool) -> None:
    """List open alerts, the latest first."""
    from hub import alerts
    from hub.desk.telling import sentences

    with ground() as runtime, runtime.sessions() as session:
        found = alerts.unsettled(session, find_program(session, program).id)
        said = sentences(session, found, lambda kind: own_words(runtime, kind))
    rows = [
        {"id": one.id, "kind": one.kind, "when": one.last_at, "times": one.times, "what": sentence}
        for one, sentence in zip(found, said, strict=True)
    ]
    show(rows, as_json=as_json, empty=_("Nothing needs you."))


@command.command("settle")
@click.argument("alert")
@program_option
@json_option
def settle(alert: str, program: str | None, as_json: bool) -> None:
    """Say that somebody has looked at an ALERT (its id)."""
    from hub import alerts

    with ground() as runtime, runtime.sessions.begin() as session:
        found = find_program(session, program)
        if not alerts.settle(session, found.id, alert, actor=ACTOR, now=runtime.clock()):
            raise Refusal(_("there is no open alert {alert!r}", alert=alert))
    show_one({"id": alert, "state": "settled"}, as_json=as_json)
