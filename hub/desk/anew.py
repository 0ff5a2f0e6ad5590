"""Judging and posting sales anew: after somebody changed whose they are."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from hub.bulk import run
from hub.desk.place import Desk
from hub.ledger import commands
from hub.program import store
from hub.sync import anew
from hub.transactions import windows
from hub.transactions.post import Key


def post_anew(desk: Desk, keys: Iterable[Key]) -> set[int]:
    """Judge and post these sales as their messages and claims say now; returns the members whose points
    changed. Codes are used as before. Raises `Collision` and `RootChanged`: do it again."""
    return anew.post_anew(desk.runtime, desk.session, desk.program, keys, desk.actor)


def lock_sales(desk: Desk, members: Collection[int]) -> list[Key]:
    """The sales of these members and their aliases, locked before any account is (rules.md C4); none
    where no version of the programme looks from one sale at another."""
    versions = store.versions(desk.session, desk.program)
    if not windows.looks_around(versions):
        return []
    rows = run(
        desk.session,
        """SELECT t.channel_id, t.external_id FROM transactions t JOIN members m ON m.id = t.member_id
           WHERE m.id = ANY(:members) OR m.alias_of = ANY(:members)
           ORDER BY t.id FOR NO KEY UPDATE OF t""",
        {"members": sorted(members)},
    )
    return [(row.channel_id, row.external_id) for row in rows]


def settle_idle(desk: Desk, members: Collection[int]) -> None:
    """Where points are lost by inactivity: what these members have bought is another's, or theirs, now,
    and their points live as long as that says."""
    versions = store.versions(desk.session, desk.program)
    if any(rules.idle_days or rules.idle_year for rules in versions):
        chain_key = desk.runtime.chain_key
        commands.settle(desk.session, desk.program.id, sorted(members), chain_key=chain_key)
