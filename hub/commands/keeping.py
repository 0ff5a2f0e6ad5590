"""`hub channel install`, `reconcile` and `health`: how a channel's connection is kept."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from hub.commands.ground import ACTOR, find_channel, ground, said
from hub.errors import Fault, Refusal
from hub.i18n import gettext as _
from hub.show import json_option, show_one

if TYPE_CHECKING:
    from hub.connector import Connector
    from hub.outbox.channels import Channel
    from hub.runtime import Runtime
    from hub.sync.reconcile import Found

SINCE = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"])


@click.command("install")
@click.argument("channel")
@json_option
def install(channel: str, as_json: bool) -> None:
    """Subscribe to everything the hub needs in the shop of a CHANNEL (its id).

    Safe to repeat: nothing is ever subscribed twice. From then on the hub looks every hour whether all of it is
    still there, puts right what is not, and says so.
    """
    from hub.sync import watch

    with ground() as runtime:
        its, connector = _able(runtime, channel, "install")
        try:
            did = watch.install(runtime, its, actor=ACTOR)
        except Fault as fault:
            raise Refusal(said(fault, connector.words)) from None
    row = {
        "id": channel, "made": ", ".join(did.made), "mended": ", ".join(did.mended),
        "kept": ", ".join(did.kept),
    }  # fmt: skip
    show_one(row, as_json=as_json)


@click.command("reconcile")
@click.argument("channel")
@click.option(
    "--since", type=SINCE, help="Ask from then on (UTC); else from the last change that is stored."
)
@json_option
def reconcile(channel: str, since: datetime | None, as_json: bool) -> None:
    """Ask a CHANNEL (its id) now for everything that changed there; the hub does so by itself too.

    What it finds is processed like messages that came by themselves. May be ended at any time: the next time goes
    on from there.
    """
    from hub.sync import reconcile as asking

    with ground() as runtime:
        its, connector = _able(runtime, channel, "reconcile")
        start = since.replace(tzinfo=since.tzinfo or UTC) if since else None
        try:
            with _counting() as progress:
                found = asking.reconcile(runtime, its, since=start, progress=progress)
        except asking.AlreadyAsked:
            raise Refusal(_("the channel is being asked at this moment; try again shortly")) from None
        _ring(runtime)
        if found.fault is not None:
            raise Refusal(said(found.fault, connector.words))
    show_one(_as_row(channel, found), as_json=as_json)


@click.command("health")
@click.argument("channel")
@json_option
def health(channel: str, as_json: bool) -> None:
    """Look at the connection of a CHANNEL (its id): what the shop says, and what asking has found so far."""
    from hub.outbox import connections
    from hub.sync import silence, watch
    from hub.words import of_fault

    with ground() as runtime:
        with runtime.sessions() as session:
            its = find_channel(session, channel)
        connector = runtime.connector_class(its.kind)
        seen = watch.watch(runtime, its) if watch.can(connector) else None
        with runtime.sessions() as session:
            kept = connections.of_channel(session, its.id)
            quiet = silence.quiet(session, its.id, runtime.clock(), its.time_zone)
    state = seen.health if seen else None
    row: dict[str, Any] = {
        "id": channel,
        "ok": state.ok if state else None,
        "code": state.code if state else None,
        "what": of_fault(state.code, None, state.detail, connector.words)
        if state
        else _("cannot be asked"),
        "detail": state.detail if state else "",
        "drift": seen.drift.detail if seen and seen.drift else None,
        "asked at": kept.asked_at if kept else None,
        "up to": kept.upto if kept else None,
        "found": kept.found if kept else 0,
        "missed": kept.missed if kept else 0,
        "mended": kept.mended if kept else 0,
        "last arrival": quiet.last if quiet else None,
        "expected since": round(quiet.expected, 1) if quiet else None,
        "silent": quiet.is_silent if quiet else None,
    }
    if as_json:
        row = {name.replace(" ", "_"): value for name, value in row.items()}
    show_one(row, as_json=as_json)


LACK_WORDS: Mapping[str, str] = {
    "install": "a channel of the kind {kind} has nothing to subscribe to",
    "reconcile": "a channel of the kind {kind} cannot be asked what changed there",
}


def _able(runtime: Runtime, channel: str, capability: str) -> tuple[Channel, type[Connector]]:
    """The channel and its connector, which can do that. Raises `Refusal`."""
    with runtime.sessions() as session:
        its = find_channel(session, channel)
    connector = runtime.connector_class(its.kind)
    if capability not in connector.capabilities():
        raise Refusal(_(LACK_WORDS[capability], kind=its.kind))
    return its, connector


def _as_row(channel: str, found: Found) -> dict[str, Any]:
    return {
        "id": channel, "since": found.since, "up_to": found.upto, "seen": found.seen, "found": found.found,
        "missed": found.missed,
    }  # fmt: skip


@contextmanager
def _counting() -> Iterator[Callable[[Found], None]]:
    """What came so far, while it comes, where that is a terminal; how much there will be nobody knows."""
    if not sys.stderr.isatty():
        yield lambda _found: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(_("asking"))

        def tell(found: Found) -> None:
            progress.update(
                task, description=_("{seen} seen, {found} new", seen=found.seen, found=found.found)
            )

        yield tell


def _ring(runtime: Runtime) -> None:
    from hub.sync.doorbell import Doorbell

    Doorbell(runtime.settings.redis_url).ring("inbound")
