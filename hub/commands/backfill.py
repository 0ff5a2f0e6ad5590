"""`hub channel backfill`: what a shop sold before it was connected, tried first and then brought in."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from hub.commands.ground import ACTOR, find_channel, ground, own_words
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.show import json_option, show_one

if TYPE_CHECKING:
    from hub.outbox.channels import Channel
    from hub.runtime import Runtime
    from hub.sync.backfills import Backfill

SINCE = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"])
LOOKS = 0.5
"""Seconds between two looks at how far it is."""
STEP_WORDS = {
    "fetching": "fetching what the shop has",
    "trying": "trying, nothing is posted",
    "tried": "tried",
    "bringing": "bringing it in",
    "done": "done",
    "stopped": "stopped",
}


@click.command("backfill")
@click.argument("channel")
@click.option("--since", type=SINCE, help="Fetch what was sold from then on (UTC); begins a backfill.")
@click.option(
    "--tiers-only", is_flag=True, help="With --since: history counts for tiers, and gives no points."
)
@click.option(
    "--apply", "applies", is_flag=True, help="Bring in what was tried; without this it is only tried."
)
@click.option("--pause", "deed", flag_value="pause", help="Let it rest where it is.")
@click.option("--resume", "deed", flag_value="go_on", help="Go on after a pause, or after a fault now.")
@click.option("--stop", "deed", flag_value="stop", help="End it; what was only fetched is erased.")
@click.option("--no-wait", is_flag=True, help="Do not wait: the hub goes on by itself while it runs.")
@json_option
def command(
    channel: str, since: datetime | None, tiers_only: bool, applies: bool, deed: str | None, no_wait: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """What a CHANNEL (its id) sold before it was connected: fetched, tried, and with --apply brought in.

    Trying says what it would come to: members found and new, points, what they are worth. Nothing is posted before
    --apply. May be ended at any time; the next time goes on from there, and so does the hub by itself.
    """
    if tiers_only and since is None:
        raise click.UsageError(_("--tiers-only goes with --since"))
    with ground() as runtime:
        its = _able(runtime, channel)
        found = _begun(runtime, its, since, tiers_only=tiers_only)
        if deed:
            _do(runtime, found, deed)
        if not (no_wait or deed in ("pause", "stop")):
            found = _watched(runtime, its, found)
            if applies and found.state == "tried":
                _do(runtime, found, "bring")
                found = _watched(runtime, its, _now(runtime, found))
        show_one(_row(runtime, its, _now(runtime, found)), as_json=as_json)


def _able(runtime: Runtime, channel: str) -> Channel:
    from hub.sync import backfills

    with runtime.sessions() as session:
        its = find_channel(session, channel)
    if not backfills.can(runtime.connector_class(its.kind)):
        raise Refusal(
            _("a channel of the kind {kind} cannot be asked for what it sold before", kind=its.kind)
        )
    return its


def _begun(runtime: Runtime, its: Channel, since: datetime | None, *, tiers_only: bool) -> Backfill:
    from hub.sync import backfills

    with runtime.sessions.begin() as session:
        found = backfills.latest(session, its)
        if since is None:
            if found is None:
                raise Refusal(_("nothing was begun yet: say --since with the day to begin with"))
            return found
        start = since.replace(tzinfo=since.tzinfo or UTC)
        try:
            return backfills.start(
                session, its, since=start, counts="tiers" if tiers_only else "points", actor=ACTOR
            )
        except backfills.NotPossible as error:
            raise Refusal(str(error)) from None


def _do(runtime: Runtime, found: Backfill, deed: str) -> None:
    from hub.sync import backfills

    deeds: dict[str, Callable[..., None]] = {
        "pause": backfills.pause, "go_on": backfills.go_on, "stop": backfills.stop, "bring": backfills.bring,
    }  # fmt: skip
    try:
        with runtime.sessions.begin() as session:
            deeds[deed](session, found, actor=ACTOR)
    except backfills.NotPossible as error:
        raise Refusal(str(error)) from None


def _now(runtime: Runtime, found: Backfill) -> Backfill:
    from hub.sync import backfills

    with runtime.sessions() as session:
        return backfills.by_id(session, found.id)


def _watched(runtime: Runtime, its: Channel, found: Backfill) -> Backfill:
    """Watch until it waits for somebody, and go on with it here where no other process does. Raises
    `Refusal` with what the shop says where it cannot be asked."""
    from hub.sync import backfills

    stop = threading.Event()
    thread = threading.Thread(target=_go_on, args=(runtime, found.id, stop), daemon=True)
    thread.start()
    try:
        with _bar() as tell:
            while True:
                found = _now(runtime, found)
                tell(found)
                if found.code or found.paused or found.state not in backfills.WORKING:
                    break
                time.sleep(LOOKS)
    finally:
        stop.set()
        thread.join(timeout=60)
    if found.code and found.state == "fetching":
        raise Refusal(_why(runtime, its, found))
    return found


def _go_on(runtime: Runtime, backfill_id: int, stop: threading.Event) -> None:
    """What the sweeper does, where it does not run."""
    from hub.sync.backfill import advance_quietly

    while not stop.is_set():
        advance_quietly(runtime, backfill_id, stopping=stop.is_set)
        stop.wait(LOOKS)


def _why(runtime: Runtime, its: Channel, found: Backfill) -> str:
    from hub.words import of_fault

    assert found.code is not None
    return of_fault(found.code, found.fault, found.detail, own_words(runtime, its.kind))


@contextmanager
def _bar() -> Iterator[Callable[[Backfill], None]]:
    """A bar with speed and remaining time, where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _found: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[pace]}"),
        TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None, pace="")

        def tell(found: Backfill) -> None:
            progress.update(
                task, description=_(STEP_WORDS[found.state]), completed=found.done, total=found.of,
                pace=pace(found.speed, found.remaining),
            )  # fmt: skip

        yield tell


def pace(speed: float | None, remaining: timedelta | None) -> str:
    """Speed and remaining time, as far as anybody can say."""
    if not speed:
        return ""
    if remaining is None:
        return _("{speed} a second", speed=f"{speed:.0f}")
    return _("{speed} a second, {time} to go", speed=f"{speed:.0f}", time=str(remaining))


def _row(runtime: Runtime, its: Channel, found: Backfill) -> dict[str, Any]:
    from hub.sync import backfills
    from hub.sync.trying import Figures
    from hub.words import of_reason

    row: dict[str, Any] = {
        "id": found.public_id, "channel": its.public_id, "since": found.since, "counts_for": found.counts,
        "state": "paused" if found.paused else found.state, "seen": found.seen, "known": found.known,
        "total": found.total,
    }  # fmt: skip
    if found.notes:
        own = own_words(runtime, its.kind)
        row["note"] = " ".join(of_reason(code, own) for code in found.notes)
    if found.state in ("tried", "bringing", "done"):
        figures = Figures.from_json(found.forecast).as_json()
        row |= figures
    if found.state == "done":
        with runtime.sessions() as session:
            row["outcome"] = backfills.outcomes(session, found.id)
    return row
