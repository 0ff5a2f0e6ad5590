"""Judging and posting sales anew: what the hub knows besides their messages has changed."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.orm import Session

from hub.members.resolve import Directory
from hub.outbox import channels
from hub.program.store import Program
from hub.runtime import Runtime
from hub.sync.ground import ground_of
from hub.transactions.post import Key, post_arrivals


def post_anew(
    runtime: Runtime, session: Session, program: Program, keys: Iterable[Key], actor: str
) -> set[int]:
    """Judge and post these sales as their messages and claims say now; returns the members whose points
    changed. Codes are used as before. Raises `Collision` and `RootChanged`: do it again."""
    wanted = sorted(set(keys))
    if not wanted:
        return set()
    known = {c.id: c for c in channels.of_program(session, program.id)}
    known |= channels.by_ids(session, {channel for channel, _ in wanted} - known.keys())
    kinds = {i: runtime.connector_class(known[i].kind) for i in {channel for channel, _ in wanted}}
    ground = ground_of(runtime, session, program, known, kinds, actor=actor)
    posted = post_arrivals(session, ground, [], Directory(), also=wanted)
    moved = {t.member_id for t in posted.values() if t.change and t.member_id is not None}
    return moved | {member for t in posted.values() for member in t.touched}
