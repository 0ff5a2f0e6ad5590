"""`hub quarantine`: messages with a bad signature, and verifying them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from hub.commands.ground import ACTOR, find_program, ground, own_words, program_option
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.show import json_option, show

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from hub.outbox.channels import Channel
    from hub.program.store import Program
    from hub.sync.quarantine import Checked

ENDING_WORDS: Mapping[str, str] = {
    "enters": "It verifies now and is in the inbox.",
    "known": "It verifies now; the very message is in the inbox already.",
    "ping": "It was only a ping; there is nothing to process.",
    "refused": "It still does not verify.",
    "would_enter": "It would verify now.",
}
_PREVIEW = 120
"""Characters of a body in a list."""


@click.group("quarantine")
def command() -> None:
    """Messages with a bad signature, kept for a while."""


@command.command("list")
@program_option
@click.option("--channel", help="Only of this channel (its id).")
@json_option
def list_(program: str | None, channel: str | None, as_json: bool) -> None:
    """What did not verify and why, and whether it would now.

    They are never processed, and dropped after a while. Correct the channel's secret first, then
    use `hub quarantine verify`.
    """
    from hub.sync import quarantine

    with ground() as runtime, runtime.sessions() as session:
        rows = []
        for its in _channels(session, find_program(session, program), channel):
            own = own_words(runtime, its.kind)
            for checked in quarantine.check(runtime, its, quarantine.of_channel(session, its)):
                now = "would_enter" if checked.ending == "enters" else checked.ending
                rows.append(_listed(its, checked, own, now))
    show(rows, as_json=as_json, empty=_("Nothing is in quarantine."))


@command.command("verify")
@click.argument("messages", nargs=-1, type=int)
@program_option
@click.option("--channel", help="All of this channel (its id).")
@click.option("--all", "everything", is_flag=True, help="All of the programme.")
@json_option
def verify(
    messages: tuple[int, ...], program: str | None, channel: str | None, everything: bool, as_json: bool
) -> None:
    """Verify MESSAGES (their numbers) again, by the settings of now.

    What verifies enters the inbox like any message and leaves the quarantine; the rest says why.
    """
    from hub.sync import quarantine
    from hub.sync.doorbell import Doorbell

    if sum((bool(messages), bool(channel), everything)) != 1:
        raise click.UsageError(_("name messages, or give --channel or --all"))
    rows, found = [], set()
    with ground() as runtime:
        with runtime.sessions.begin() as session:
            for its in _channels(session, find_program(session, program), channel):
                wanted = list(messages) or None
                for c in quarantine.verify_again(session, runtime, its, ids=wanted, actor=ACTOR):
                    ending = "known" if c.known else c.ending
                    rows.append(_listed(its, c, own_words(runtime, its.kind), ending))
                    found.add(c.held.id)
        Doorbell(runtime.settings.redis_url).ring("inbound")
    missing = sorted(set(messages) - found)
    if missing:
        numbers = ", ".join(map(str, missing))
        click.echo(_("not in quarantine: {numbers}", numbers=numbers), err=True)
    show(rows, as_json=as_json, empty=_("Nothing is in quarantine."))


def _channels(session: Session, program: Program, public_id: str | None) -> Sequence[Channel]:
    """The named channel, or all. Raises `Refusal`."""
    from hub.outbox import channels

    found = channels.of_program(session, program.id)
    if public_id is None:
        return found
    its = [c for c in found if c.public_id == public_id]
    if not its:
        raise Refusal(
            _("there is no channel {channel!r}; `hub channel list` shows them", channel=public_id)
        )
    return its


def _listed(channel: Channel, checked: Checked, own: Mapping[str, str], ending: str) -> dict[str, Any]:
    from hub.words import of_fault

    held = checked.held
    code, detail = checked.code or held.code, checked.detail or held.detail
    what = of_fault(code, "merchant", detail, own) if checked.code else _(ENDING_WORDS[ending])
    return {
        "id": held.id,
        "received_at": held.received_at,
        "channel": channel.name,
        "ending": ending,
        "code": code,
        "what": what,
        "detail": detail if checked.code and detail != what else None,
        "body": held.body[: _PREVIEW * 4].decode("utf-8", "replace")[:_PREVIEW],
    }
