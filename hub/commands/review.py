"""`hub review`: orders that were told of long after they were placed."""

from __future__ import annotations

import click

from hub.commands.ground import ACTOR, find_program, ground, program_option
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.show import json_option, show, show_one


@click.group("review")
def command() -> None:
    """Orders told of long after they were placed: list, approve, decline."""


@command.command("list")
@program_option
@json_option
def list_(program: str | None, as_json: bool) -> None:
    """Orders that wait for a decision, the oldest first."""
    from hub.desk import reviews

    with ground() as runtime, runtime.sessions() as session:
        rows = reviews.waiting(session, find_program(session, program).id)
    show(rows, as_json=as_json)


@command.command("approve")
@click.argument("order")
@program_option
@json_option
def approve(order: str, program: str | None, as_json: bool) -> None:
    """Let an ORDER (its txn_ id) earn its points."""
    _decide(order, program, approved=True, as_json=as_json)


@command.command("decline")
@click.argument("order")
@program_option
@json_option
def decline(order: str, program: str | None, as_json: bool) -> None:
    """Let an ORDER (its txn_ id) earn nothing; what it has is taken back."""
    _decide(order, program, approved=False, as_json=as_json)


def _decide(order: str, program: str | None, *, approved: bool, as_json: bool) -> None:
    from hub.desk import place, reviews

    with ground() as runtime:
        with runtime.sessions() as session:
            found = find_program(session, program)
        try:
            points = place.carry_out(
                runtime, found, ACTOR, lambda desk: reviews.decide(desk, order, approve=approved)
            )
        except LookupError:
            raise Refusal(_("there is no order {order!r:.60}", order=order)) from None
        except reviews.NotWaiting:
            raise Refusal(_("order {order} waits for nobody's decision", order=order)) from None
    decision = "approved" if approved else "declined"
    show_one({"id": order, "review": decision, "points": points}, as_json=as_json)
