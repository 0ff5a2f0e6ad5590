"""What posting needs to know of a program: its channels, their traits, its rules, its key."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.connector import Connector
from hub.outbox import channels
from hub.outbox.channels import Channel
from hub.program import store
from hub.registry import UnknownConnector
from hub.runtime import Runtime
from hub.transactions.judge import History, Situation
from hub.transactions.post import Ground


def ground_of(
    runtime: Runtime,
    session: Session,
    program: store.Program,
    known: Mapping[int, Channel],
    connectors: Mapping[int, type[Connector]],
    *,
    actor: str,
) -> Ground:
    """The ground of one batch or one deed. `known`: the program's channels and those its sales came
    through; `connectors`: of those whose messages are read, by channel."""
    versions = store.versions(session, program)
    kinds = {c.kind for c in known.values() if c.status != "disconnected"}
    folded = dict(connectors)
    if any("windows" in rules.needed for rules in versions):
        folded = _everywhere(runtime, known) | folded
    return Ground(
        program.id,
        known,
        traits={i: channels.traits(connector) for i, connector in folded.items()},
        situations={
            i: Situation(versions, program.starts_at, kinds, c.kind, c.public_id, history_of(c))
            for i, c in known.items()
        },
        readers={i: connector.normaliser_version for i, connector in connectors.items()},
        chain_key=runtime.chain_key,
        actor=actor,
    )


def history_of(channel: Channel) -> History | None:
    """What the sales count for that a channel had before it was connected, where somebody said so."""
    begins, until, counts = channel.history_from, channel.history_until, channel.history_counts
    if begins is None or until is None or counts is None:
        return None
    return History(begins, until, "tiers" if counts == "tiers" else "points")


def _everywhere(runtime: Runtime, known: Mapping[int, Channel]) -> dict[int, type[Connector]]:
    """The connectors of all channels: what one sale earns may change what a sale of another channel
    does. Where a connector is not installed any more, sales stay as they are."""
    found = {}
    for channel_id, channel in known.items():
        with suppress(UnknownConnector):
            found[channel_id] = runtime.connector_class(channel.kind)
    return found


def ground_of_all(runtime: Runtime, session: Session, program: store.Program, *, actor: str) -> Ground:
    """The ground of everything a program ever sold: all its channels, those that are disconnected too, as
    far as their connectors are installed."""
    ids = run(session, "SELECT id FROM channels WHERE program_id = :id", {"id": program.id})
    known = channels.by_ids(session, [row.id for row in ids])
    kinds = _everywhere(runtime, known)
    return ground_of(runtime, session, program, known, kinds, actor=actor)
