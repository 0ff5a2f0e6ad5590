"""`hub sale`: what became of an order, told as on its page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from hub.commands.ground import find_program, ground, own_words, program_option
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.show import json_option, show, show_one

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from hub.program.store import Program
    from hub.runtime import Runtime
    from hub.transactions.story import Story


@click.command("sale")
@click.argument("text")
@program_option
@json_option
def command(text: str, program: str | None, as_json: bool) -> None:
    """Tell what became of an order: its number, its txn_ id, an amount, a customer or a code.

    With --json the first line is the order, then a line each step.
    """
    from hub.transactions import browse

    with ground() as runtime, runtime.sessions() as session:
        found = find_program(session, program)
        hits = browse.find(session, found.id, found.region, found.currency, browse.Wish(text=text))
        best = [one for one in hits.orders if one["by"] == hits.orders[0]["by"]]
        if len(best) != 1:
            rows = [_listed(runtime, one) for one in hits.orders] or [
                _message(runtime, one) for one in hits.messages
            ]
            if not rows:
                raise Refusal(_("no order is known as {text!r}", text=text))
            show(rows, as_json=as_json)
            return
        head, steps = _told(runtime, session, found, best[0])
    show_one(head, as_json=as_json)
    show(steps, as_json=as_json)


def _told(
    runtime: Runtime, session: Session, program: Program, order: Mapping[str, Any]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    from hub.transactions import story

    told = story.tell(runtime, session, program, order, lambda kind: own_words(runtime, kind))
    steps = [
        {"when": s.at, "what": s.kind, "why": " ".join([s.sentence, *s.more]), "delivery": s.delivery}
        for s in told.steps
    ]
    return _head(order, told), steps


def _head(order: Mapping[str, Any], told: Story) -> dict[str, Any]:
    return {
        "id": order["public_id"],
        "number": order["number"],
        "channel": order["channel"],
        "placed_at": order["placed_at"],
        "state": order["state"],
        "total": order["total"],
        "currency": order["currency"],
        "member": order["member"],
        "points": order["points"],
        "what": " ".join(text for text in (told.verdict.sentence, told.verdict.next_step) if text),
        "why": "; ".join(told.verdict.reasons),
        "buyer": " ".join(told.verdict.buyer),
    }


def _listed(runtime: Runtime, order: Mapping[str, Any]) -> dict[str, Any]:
    from hub import words

    why = order["why"] or ("guest" if order["points"] and not order["member"] else None)
    return {
        "id": order["public_id"],
        "number": order["number"],
        "channel": order["channel"],
        "placed_at": order["placed_at"],
        "state": order["state"],
        "total": order["total"],
        "points": order["points"],
        "member": order["member"],
        "why": words.of_reason(why, own_words(runtime, order["kind"])) if why else "",
    }


def _message(runtime: Runtime, row: Mapping[str, Any]) -> dict[str, Any]:
    """A message under that number which became no order."""
    from hub import words

    return {
        "delivery": row["id"],
        "received_at": row["received_at"],
        "channel": row["channel"],
        "number": row["number"],
        "state": row["state"],
        "what": words.of_delivery(row, own_words(runtime, row["kind"])),
    }
