"""Tiers that change by themselves: reviews whose day has come, and members whom new rules concern."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.ledger import accounts
from hub.ledger.accounts import RootChanged
from hub.outbox import channels, deliveries
from hub.program import store
from hub.program.rules import in_force
from hub.program.store import Program
from hub.runtime import Runtime
from hub.sync import process
from hub.transactions import standing

BATCH = 200
"""Members whose accounts one transaction locks."""


def review_due(runtime: Runtime) -> int:
    """Look again at members whose tier may have changed by itself; returns how many."""
    now = runtime.clock()
    with runtime.sessions() as session:
        rows = run(
            session,
            """SELECT s.program_id, s.member_id FROM tier_standings s JOIN members m ON m.id = s.member_id
               WHERE s.due_at <= :now AND m.alias_of IS NULL ORDER BY s.due_at LIMIT :limit""",
            {"now": now, "limit": BATCH},
        )
    by_program: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        by_program[row.program_id].append(row.member_id)
    for program_id, members in by_program.items():
        try:
            with runtime.sessions.begin() as session:
                _look_again(runtime, session, store.by_id(session, program_id), members, now)
        except RootChanged:
            continue  # merged at this moment: the next round finds who it is now
    return len(rows)


def walk(runtime: Runtime) -> int:
    """Place the members of programs whose tiers are new or have changed, a batch of each program;
    returns how many."""
    with runtime.sessions() as session:
        programs = run(
            session, "SELECT DISTINCT program_id FROM program_versions WHERE document ? 'tiers'"
        )
    return sum(_walk_one(runtime, row.program_id) for row in programs)


def _walk_one(runtime: Runtime, program_id: int) -> int:
    now = runtime.clock()
    try:
        with runtime.sessions.begin() as session:
            program = store.by_id(session, program_id)
            number = in_force(store.versions(session, program), now).number
            members = _next(session, program_id, number)
            if members:
                _look_again(runtime, session, program, members, now)
                _note(session, program_id, number, members[-1])
            return len(members)
    except RootChanged:
        return 0


def _next(session: Session, program_id: int, number: int) -> list[int]:
    """Members of the program whom this version has not reached yet."""
    rows = run(
        session,
        """SELECT m.id FROM members m
           LEFT JOIN tier_walks w ON w.program_id = m.program_id AND w.version = :number
           WHERE m.program_id = :program AND m.alias_of IS NULL AND m.id > coalesce(w.after_member, 0)
           ORDER BY m.id LIMIT :limit""",
        {"program": program_id, "number": number, "limit": BATCH},
    )
    return [row.id for row in rows]


def _note(session: Session, program_id: int, number: int, last: int) -> None:
    run(
        session,
        """INSERT INTO tier_walks (program_id, version, after_member) VALUES (:program, :number, :last)
           ON CONFLICT (program_id) DO UPDATE SET version = excluded.version, after_member = excluded.after_member""",
        {"program": program_id, "number": number, "last": last},
    )


def _look_again(
    runtime: Runtime, session: Session, program: Program, members: Sequence[int], now: datetime
) -> None:
    accounts.lock(session, program.id, members, chain_key=runtime.chain_key, actor="hub:tiers", now=now)
    versions = store.versions(session, program)
    moved = standing.refresh(session, program.id, versions, members, now)
    its = channels.of_program(session, program.id) if moved else []
    deliveries.enqueue(session, process.balance_pushes(runtime, program.id, its, moved))
