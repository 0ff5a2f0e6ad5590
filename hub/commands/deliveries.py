"""`hub deliveries`: messages in and out, and what became of them."""

from __future__ import annotations

import click

from hub.commands.ground import find_program, ground, program_option
from hub.errors import Refusal
from hub.show import json_option, show, show_one

STATES = ("due", "working", "done", "waiting", "failed", "parked", "settled")


@click.command("deliveries")
@click.argument("delivery", required=False, type=int)
@program_option
@click.option("--state", type=click.Choice(STATES), multiple=True, help="May be repeated.")
@click.option("--direction", type=click.Choice(["inbound", "outbound"]))
@click.option("--number", help="Order number, as the shop shows it.")
@click.option("--limit", type=click.IntRange(1, 1000), default=30, show_default=True)
@json_option
def command(
    delivery: int | None, program: str | None, state: tuple[str, ...], direction: str | None,
    number: str | None, limit: int, as_json: bool,
) -> None:  # fmt: skip
    """List messages, newest first; with a DELIVERY's number, that one with its attempts."""
    from hub.bulk import run

    with ground() as runtime, runtime.sessions() as session:
        found = find_program(session, program)
        if delivery is not None:
            rows = run(
                session,
                """SELECT d.id, c.name AS channel, d.direction, d.topic, d.number, d.state, d.outcome, d.reason,
                          d.fault, d.code, d.detail, d.attempts, d.duplicates, d.received_at, d.due_at,
                          convert_from(substring(d.body FROM 1 FOR 4000), 'UTF8') AS body
                   FROM deliveries d JOIN channels c ON c.id = d.channel_id
                   WHERE d.program_id = :program AND d.id = :id""",
                {"program": found.id, "id": delivery},
            )
            if not rows:
                raise Refusal(f"there is no delivery {delivery} in {found.slug}")
            tries = run(
                session,
                """SELECT number, started_at, milliseconds, outcome, code, detail, exchanges FROM attempts
                   WHERE delivery_id = :id ORDER BY id""",
                {"id": delivery},
            )
            show_one(dict(rows[0]._mapping), as_json=as_json)
            show([dict(r._mapping) for r in tries], as_json=as_json, empty="No attempt yet.")
            return
        rows = run(
            session,
            """SELECT d.id, d.received_at, c.name AS channel, d.direction, d.topic, d.number, d.state,
                      coalesce(d.detail, d.reason, d.outcome) AS what, d.duplicates
               FROM deliveries d JOIN channels c ON c.id = d.channel_id
               WHERE d.program_id = :program
                 AND (cardinality(CAST(:states AS text[])) = 0 OR d.state = ANY(CAST(:states AS text[])))
                 AND (CAST(:direction AS text) IS NULL OR d.direction = :direction)
                 AND (CAST(:number AS text) IS NULL OR d.number = :number)
               ORDER BY d.id DESC LIMIT :limit""",
            {
                "program": found.id,
                "states": list(state),
                "direction": direction,
                "number": number,
                "limit": limit,
            },
        )
    show([dict(r._mapping) for r in rows], as_json=as_json, empty="No delivery matches.")
