"""`hub replay`: make deliveries due again, after saying what would change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from hub.commands.ground import ACTOR, find_program, ground, own_words, program_option
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.show import json_option, show_one

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from hub.outbox.browse import Wish
    from hub.program.store import Program
    from hub.runtime import Runtime


@click.command("replay")
@click.argument("deliveries", nargs=-1, type=int)
@program_option
@click.option("--failed", is_flag=True, help="All that failed or were parked.")
@click.option("--code", help="With --failed: only those with this code.")
@click.option("--channel", help="With --failed: only those of this channel (its id).")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option(
    "--pace", type=click.IntRange(1, 1000), default=20, show_default=True, help="Deliveries a second."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def command(
    deliveries: tuple[int, ...], program: str | None, failed: bool, code: str | None, channel: str | None,
    dry_run: bool, pace: int, yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Make DELIVERIES (their numbers) due again: the very same path as the first time.

    Replaying what was right changes nothing. What would change is found by doing it and taking it
    back, and said first.
    """
    if bool(deliveries) == failed:
        raise click.UsageError(_("name deliveries, or give --failed"))
    if (code or channel) and not failed:
        raise click.UsageError(_("--code and --channel go with --failed"))
    with ground() as runtime:
        with runtime.sessions() as session:
            found = find_program(session, program)
            wish = _wish(session, found, deliveries, code, channel)
            ids, more = _matching(session, found, deliveries, wish)
        missing = sorted(set(deliveries) - set(ids))
        if dry_run:
            _say(runtime, found, ids, missing, as_json=as_json)
        elif _agreed(runtime, found, ids, asks=not (yes or as_json)):
            _replay(runtime, found, ids, missing, more=more, pace=pace, as_json=as_json)


def _wish(
    session: Session, program: Program, deliveries: Sequence[int], code: str | None, channel: str | None
) -> Wish:
    from hub.outbox import browse, channels

    channel_id = None
    if channel:
        its = channels.by_public_id(session, channel)
        if its is None or its.program_id != program.id:
            raise Refusal(
                _("there is no channel {channel!r}; `hub channel list` shows them", channel=channel)
            )
        channel_id = its.id
    states = () if deliveries else browse.NEEDS_A_PERSON
    return browse.Wish(states=states, code=code, channel_id=channel_id)


def _matching(
    session: Session, program: Program, deliveries: Sequence[int], wish: Wish
) -> tuple[list[int], bool]:
    from hub.bulk import run
    from hub.outbox import browse
    from hub.sync import replays

    if not deliveries:
        return browse.matching(session, program.id, wish, replays.MOST)
    rows = run(
        session,
        "SELECT id FROM deliveries WHERE program_id = :program AND id = ANY(:ids) ORDER BY id",
        {"program": program.id, "ids": list(deliveries)},
    )
    return [row.id for row in rows], False


def _say(
    runtime: Runtime, program: Program, ids: Sequence[int], missing: Sequence[int], *, as_json: bool
) -> None:
    """The rehearsal: a sentence for people, its numbers as JSON."""
    from hub.sync import rehearse

    found = rehearse.rehearse(runtime, program.id, ids, most=rehearse.MOST * 5, seconds=60)
    summary = found.summary() | {"unknown": ", ".join(map(str, missing))}
    if as_json:
        show_one(summary, as_json=True)
    else:
        click.echo(_sentence(runtime, program, summary))


def _sentence(runtime: Runtime, program: Program, summary: Mapping[str, Any]) -> str:
    from hub.outbox import channels
    from hub.sync import told

    own: dict[str, str] = {}
    with runtime.sessions() as session:
        for channel in channels.of_program(session, program.id):
            own |= own_words(runtime, channel.kind)
    return told.forecast(summary, own)


def _agreed(runtime: Runtime, program: Program, ids: Sequence[int], *, asks: bool) -> bool:
    if not ids or not asks:
        return True
    _say(runtime, program, ids, (), as_json=False)
    return click.confirm(_("Replay {count} deliveries?", count=len(ids)), default=True)


def _replay(
    runtime: Runtime, program: Program, ids: Sequence[int], missing: Sequence[int],
    *, more: bool, pace: int, as_json: bool,
) -> None:  # fmt: skip
    """The first are due at once, the rest follow at the pace while the hub runs."""
    from hub.sync import replays
    from hub.sync.doorbell import Doorbell

    shown: dict[str, Any] = {"replay": None, "replayed": 0, "left_alone": 0, "to_come": 0}
    if ids:
        with runtime.sessions.begin() as session:
            public_id = replays.plan(session, program.id, ids, actor=ACTOR, more_matched=more, pace=pace)
            replays.start(session, program.id, public_id, actor=ACTOR)
            found = replays.find(session, program.id, public_id)
        assert found is not None
        shown = {
            "replay": public_id,
            "replayed": found.counts.get("released", 0),
            "left_alone": found.counts.get("left_alone", 0),
            "to_come": found.counts.get("planned", 0),
        }
        bell = Doorbell(runtime.settings.redis_url)
        bell.ring("inbound")
        bell.ring("outbound")
    show_one({**shown, "unknown": ", ".join(map(str, missing))}, as_json=as_json)
