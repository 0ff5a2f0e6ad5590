"""`hub deliveries`: messages in and out, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from hub.commands.ground import find_program, ground, own_words, program_option
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.show import json_option, show, show_one

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from hub.outbox.browse import Wish
    from hub.program.store import Program
    from hub.runtime import Runtime

STATES = ("due", "working", "done", "waiting", "failed", "parked", "settled")

_ONE = """SELECT d.id, c.name AS channel, c.kind, d.direction, d.topic, d.number, d.state, d.outcome, d.reason,
                 d.fault, d.code, d.detail, d.attempts, d.duplicates, d.received_at, d.due_at,
                 substring(d.body FROM 1 FOR :bytes) AS body
          FROM deliveries d JOIN channels c ON c.id = d.channel_id
          WHERE d.program_id = :program AND d.id = :id"""
_BODY = 4000
"""How much of a body is shown, in bytes."""
_ATTEMPTS = """SELECT number, started_at, milliseconds, outcome, fault, code, detail, exchanges FROM attempts
               WHERE delivery_id = :id ORDER BY id"""


@click.command("deliveries")
@click.argument("delivery", required=False, type=int)
@program_option
@click.option("--state", type=click.Choice(STATES), multiple=True, help="May be repeated.")
@click.option("--direction", type=click.Choice(["inbound", "outbound"]))
@click.option("--number", help="Order number, as the shop shows it.")
@click.option("--code", help="Error code.")
@click.option("--channel", help="Channel (its id).")
@click.option("--text", help="Order number, code, phone, e-mail, key, words of the error.")
@click.option("--limit", type=click.IntRange(1, 1000), default=30, show_default=True)
@json_option
def command(
    delivery: int | None, program: str | None, state: tuple[str, ...], direction: str | None,
    number: str | None, code: str | None, channel: str | None, text: str | None, limit: int, as_json: bool,
) -> None:  # fmt: skip
    """List messages, newest first; with a DELIVERY's number, that one with its attempts."""
    given = {"states": state, "direction": direction, "number": number or "", "code": code}
    with ground() as runtime, runtime.sessions() as session:
        found = find_program(session, program)
        if delivery is None:
            wish = _wish(session, found, given, channel, text or "")
            show(
                _listed(runtime, session, found, wish, limit),
                as_json=as_json,
                empty=_("No delivery matches."),
            )
            return
        one, attempts = _told(runtime, session, found, delivery)
    show_one(one, as_json=as_json)
    show(attempts, as_json=as_json, empty=_("No attempt yet."))


def _wish(
    session: Session, program: Program, given: Mapping[str, Any], channel: str | None, text: str
) -> Wish:
    """The filter, as the dashboard's list takes it."""
    from hub.outbox import browse, channels
    from hub.sync import scraps

    its = channels.by_public_id(session, channel) if channel else None
    if channel and (its is None or its.program_id != program.id):
        raise Refusal(
            _("there is no channel {channel!r}; `hub channel list` shows them", channel=channel)
        )
    about = scraps.subjects(session, program, text) if text else ()
    return browse.Wish(**given, channel_id=its.id if its else None, text=text, about=about)


def _listed(
    runtime: Runtime, session: Session, program: Program, wish: Wish, limit: int
) -> list[dict[str, Any]]:
    """A line a delivery: the code that says what became of it, its words, and where exactly."""
    from hub import words
    from hub.outbox import browse

    shown = ("id", "received_at", "channel", "direction", "topic", "number", "state")
    rows = []
    for line in browse.page(session, program.id, wish, limit=limit).lines:
        its = asdict(line)
        what = words.of_delivery(its, own_words(runtime, line.kind))
        rows.append(
            {
                **{name: its[name] for name in shown},
                "code": line.code or line.reason or line.outcome,
                "what": what,
                "detail": line.detail if line.detail != what else None,
                "duplicates": line.duplicates,
            }
        )
    return rows


def _told(
    runtime: Runtime, session: Session, program: Program, delivery: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """One delivery with its words, and its attempts with theirs."""
    from hub import words
    from hub.bulk import run

    rows = run(session, _ONE, {"program": program.id, "id": delivery, "bytes": _BODY})
    if not rows:
        raise Refusal(
            _("there is no delivery {delivery} in {program}", delivery=delivery, program=program.slug)
        )
    its = dict(rows[0]._mapping)
    its["body"] = bytes(its["body"]).decode("utf-8", "replace")  # a cut may split a character
    own = own_words(runtime, its.pop("kind"))
    attempts = []
    for row in run(session, _ATTEMPTS, {"id": delivery}):
        attempt = dict(row._mapping)
        fault = attempt.pop("fault")
        what = words.of_fault(attempt["code"], fault, attempt["detail"], own) if attempt["code"] else ""
        attempts.append({**attempt, "what": what})
    return {**its, "what": words.of_delivery(its, own)}, attempts
