"""Who a message speaks of: finds or makes members for a whole batch, and never merges silently."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy.orm import Session

from hub.bulk import arrays, run, unnest
from hub.canonical import CustomerRef
from hub.ids import new_id
from hub.members.identity import Identity, identities

Enrol = Literal["anyone", "customers", "existing"]


class Collision(Exception):
    """Somebody else created the same row first: roll back and do the batch again."""


@dataclass(frozen=True, slots=True)
class Mention:
    """One person as one message names them."""

    channel_id: int
    region: str
    ref: CustomerRef
    enrol: Enrol = "anyone"
    keys: tuple[Identity, ...] = ()

    @classmethod
    def of(cls, ref: CustomerRef, *, channel_id: int, region: str, enrol: Enrol = "anyone") -> Mention:
        """With its comparable keys."""
        keys = tuple(identities(ref, channel_id=channel_id, region=region))
        return cls(channel_id, region, ref, enrol, keys)

    @property
    def claim(self) -> str | None:
        """The public id of the member that staff named, if any."""
        claim = self.ref.staff_claim
        return claim if claim and claim.startswith("mem_") else None

    def may_enrol(self) -> bool:
        """Whether a person nobody knows becomes a member."""
        if not self.keys or self.enrol == "existing":
            return False
        return self.enrol == "anyone" or bool(self.ref.external_id)


@dataclass(slots=True)
class Directory:
    """What is known of the identities of a batch: key -> member id (the one it is attached to)."""

    members: dict[Identity, int] = field(default_factory=dict)
    roots: dict[int, int] = field(default_factory=dict)
    claims: dict[str, int] = field(default_factory=dict)
    new_members: dict[int, Mention] = field(default_factory=dict)
    new_identities: dict[Identity, int] = field(default_factory=dict)
    conflicts: set[tuple[int, int, str]] = field(default_factory=set)

    def root(self, member_id: int) -> int:
        """The member that this one is an alias of, or itself."""
        return self.roots.get(member_id, member_id)

    def newly_known(self) -> set[int]:
        """Existing members that got a key in this batch: channels may know them now."""
        return {m for m in self.new_identities.values() if m not in self.new_members}

    def find(self, mention: Mention) -> int | None:
        """The member a mention means: its strongest known key decides. Changes nothing."""
        if mention.claim in self.claims:
            return self.claims[mention.claim]
        for key in mention.keys:
            if key in self.members:
                return self.members[key]
        return None


_KEY = {"kind": "text", "scope": "bigint", "value": "text"}

LOOK_UP = f"""
SELECT r.kind, r.scope, r.value, i.member_id, coalesce(m.alias_of, m.id) AS root
FROM {unnest(_KEY)}
CROSS JOIN LATERAL (SELECT member_id FROM identities
                    WHERE program_id = :program AND kind = r.kind AND scope = r.scope
                      AND value = r.value AND gone_at IS NULL LIMIT 1) i
JOIN LATERAL (SELECT id, alias_of FROM members WHERE id = i.member_id LIMIT 1) m ON true"""
"""LATERAL: one look at the unique index a key, however little the planner knows of the table."""


def look_up(session: Session, program_id: int, mentions: Iterable[Mention]) -> Directory:
    """Read what is known of these mentions; takes no locks and changes nothing."""
    wanted = list(mentions)
    directory = Directory()
    keys = sorted({key for mention in wanted for key in mention.keys})
    if keys:
        rows = run(
            session,
            LOOK_UP,
            {
                **arrays(_KEY, [{"kind": k.kind, "scope": k.scope, "value": k.value} for k in keys]),
                "program": program_id,
            },
        )
        for row in rows:
            directory.members[Identity(row.kind, row.scope, row.value)] = row.member_id
            directory.roots[row.member_id] = row.root
    claims = sorted({m.claim for m in wanted if m.claim})
    if claims:
        for row in run(
            session,
            """SELECT id, public_id, coalesce(alias_of, id) AS root FROM members
               WHERE program_id = :program AND public_id = ANY(:claims)""",
            {"program": program_id, "claims": claims},
        ):
            directory.claims[row.public_id] = row.id
            directory.roots[row.id] = row.root
    return directory


def resolve(session: Session, program_id: int, mentions: Sequence[Mention]) -> Directory:
    """Find or make the member of each mention, attach keys nobody has yet, and record a suggestion
    where keys of one message belong to different members (the stronger key wins).

    Rows are inserted in the order of their keys (rules.md C4). Raises `Collision` when another
    batch made one of them at the same time.
    """
    directory = look_up(session, program_id, mentions)
    ids = _reserve_ids(session, sum(directory.find(m) is None and m.may_enrol() for m in mentions))
    for mention in mentions:
        _place(directory, mention, ids)
    _insert(session, program_id, directory)
    return directory


def _reserve_ids(session: Session, count: int) -> Iterator[int]:
    rows = run(
        session,
        "SELECT nextval('members_id_seq') AS id FROM generate_series(1, :n)",
        {"n": count},
    )
    return iter([row.id for row in rows])


def _place(directory: Directory, mention: Mention, ids: Iterator[int]) -> None:
    member = directory.find(mention)
    if member is None:
        if not mention.may_enrol():
            return
        member = next(ids)
        directory.new_members[member] = mention
    for key in mention.keys:
        if key not in directory.members:
            directory.members[key] = directory.new_identities[key] = member
        other = directory.members[key]
        if directory.root(other) != directory.root(member):
            low, high = sorted((directory.root(member), directory.root(other)))
            directory.conflicts.add((low, high, f"{key.kind}_of_another"))


def _insert(session: Session, program_id: int, directory: Directory) -> None:
    columns = {"member_id": "bigint", "kind": "text", "scope": "bigint", "value": "text"}
    rows = [
        {"member_id": m, "kind": k.kind, "scope": k.scope, "value": k.value}
        for k, m in sorted(directory.new_identities.items())
    ]
    if rows:
        inserted = run(
            session,
            f"""INSERT INTO identities (program_id, member_id, kind, scope, value)
                SELECT :program, r.member_id, r.kind, r.scope, r.value FROM {unnest(columns)}
                ORDER BY r.kind, r.scope, r.value
                ON CONFLICT (program_id, kind, scope, value) DO UPDATE
                SET member_id = excluded.member_id, gone_at = NULL WHERE identities.gone_at IS NOT NULL
                RETURNING id""",
            {**arrays(columns, rows), "program": program_id},
        )
        if len(inserted) != len(rows):
            raise Collision
    _insert_members(session, program_id, directory.new_members)
    _insert_conflicts(session, program_id, directory.conflicts)


def _insert_members(session: Session, program_id: int, new: Mapping[int, Mention]) -> None:
    if not new:
        return
    columns = {"id": "bigint", "public_id": "text", "name": "text", "locale": "text"}
    rows = [
        {"id": i, "public_id": new_id("mem"), "name": m.ref.name[:200], "locale": m.ref.locale}
        for i, m in sorted(new.items())
    ]
    run(
        session,
        f"""INSERT INTO members (id, public_id, program_id, name, locale)
            SELECT r.id, r.public_id, :program, r.name, r.locale FROM {unnest(columns)}""",
        {**arrays(columns, rows), "program": program_id},
    )


def _insert_conflicts(session: Session, program_id: int, conflicts: set[tuple[int, int, str]]) -> None:
    if not conflicts:
        return
    columns = {"member_id": "bigint", "other_id": "bigint", "reason": "text"}
    rows = [dict(zip(columns, conflict, strict=True)) for conflict in sorted(conflicts)]
    run(
        session,
        f"""INSERT INTO merge_suggestions (program_id, member_id, other_id, reason)
            SELECT :program, r.member_id, r.other_id, r.reason FROM {unnest(columns)}
            ON CONFLICT DO NOTHING""",
        {**arrays(columns, rows), "program": program_id},
    )
