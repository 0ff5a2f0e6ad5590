"""Programs and their versions in the database: immutable, effective-dated, judged by placed_at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy.orm import Session

from hub.audit import record
from hub.bulk import run
from hub.i18n import gettext as _
from hub.ids import new_id
from hub.program import document as documents
from hub.program.rules import Rules


@dataclass(frozen=True, slots=True)
class Newest:
    """A version that no other comes after: as versions never change, it stands for all before it."""

    number: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Program:
    """One merchant's programme, the tenant."""

    id: int
    public_id: str
    slug: str
    name: str
    currency: str
    time_zone: str
    region: str
    locale: str
    starts_at: datetime
    newest: Newest | None = field(default=None, compare=False)
    """Its newest version a moment ago, where whoever read it asked: what is known of it by this process needs
    no look."""


class VersionRefused(Exception):
    """The version cannot take effect then; the message is a sentence."""


class Overtaken(Exception):
    """Somebody made version `number` since the draft was begun."""

    def __init__(self, number: int) -> None:
        super().__init__(f"version {number} is newer")
        self.number = number


_COLUMNS = "id, public_id, slug, name, currency, time_zone, region, locale, starts_at"


def create(
    session: Session,
    *,
    slug: str,
    name: str,
    currency: str,
    time_zone: str,
    region: str,
    locale: str = "en",
    starts_at: datetime,
    document: Mapping[str, Any] | None = None,
    actor: str,
) -> Program:
    """Make a program with its first version, in force from the program's start."""
    row = run(
        session,
        f"""INSERT INTO programs (public_id, slug, name, currency, time_zone, region, locale, starts_at)
            VALUES (:public_id, :slug, :name, :currency, :time_zone, :region, :locale, :starts_at)
            RETURNING {_COLUMNS}""",
        {
            "public_id": new_id("prg"),
            "slug": slug,
            "name": name,
            "currency": currency,
            "time_zone": time_zone,
            "region": region,
            "locale": locale,
            "starts_at": starts_at,
        },
    )[0]
    program = Program(**row._mapping)
    record(session, program.id, actor, "program.created", program.public_id)
    first = document or documents.default_document(currency)
    _insert_version(session, program, 1, starts_at, first, actor)
    return program


def by_slug(session: Session, slug: str) -> Program | None:
    """A program by its short name or public id."""
    rows = run(
        session,
        f"SELECT {_COLUMNS} FROM programs WHERE slug = :slug OR public_id = :slug",
        {"slug": slug},
    )
    return Program(**rows[0]._mapping) if rows else None


def by_id(session: Session, program_id: int) -> Program:
    """A program that exists."""
    rows = run(session, f"SELECT {_COLUMNS} FROM programs WHERE id = :id", {"id": program_id})
    return Program(**rows[0]._mapping)


def all_programs(session: Session) -> list[Program]:
    """Every program of this hub."""
    return [
        Program(**row._mapping) for row in run(session, f"SELECT {_COLUMNS} FROM programs ORDER BY id")
    ]


def add_version(
    session: Session,
    program: Program,
    document: Mapping[str, Any],
    *,
    effective_from: datetime,
    now: datetime,
    actor: str,
    base: int | None = None,
) -> int:
    """A new version. It cannot take effect in the past (rules.md B1): what was sold stays judged by
    what was in force. Raises `VersionRefused`, `DocumentRefused`, and `Overtaken` where there is a version
    newer than `base`, the newest that its author knew."""
    if effective_from < now:
        raise VersionRefused(
            _(
                "a version cannot take effect in the past ({time}); leave the time out for now",
                time=effective_from.isoformat(),
            )
        )
    run(session, "SELECT 1 FROM programs WHERE id = :id FOR NO KEY UPDATE", {"id": program.id})
    number: int = run(
        session,
        "SELECT coalesce(max(number), 0) + 1 AS number FROM program_versions WHERE program_id = :id",
        {"id": program.id},
    )[0].number
    if base is not None and base != number - 1:
        raise Overtaken(number - 1)
    _insert_version(session, program, number, effective_from, document, actor)
    return number


def versions(session: Session, program: Program) -> list[Rules]:
    """All versions' rules, oldest first; read and parsed once per process, they never change."""
    rows = run(
        session,
        """SELECT id, number, effective_from, created_at FROM program_versions
           WHERE program_id = :id ORDER BY effective_from, number""",
        {"id": program.id},
    )
    keys = [_Version(program.public_id, row.number, row.created_at) for row in rows]
    found = {key: rules for key in keys if (rules := _known.get(key)) is not None}
    texts = _texts(session, [row.id for row, key in zip(rows, keys, strict=True) if key not in found])
    for row, key in zip(rows, keys, strict=True):
        if row.id in texts:
            found[key] = _parsed(row.number, row.effective_from, program.time_zone, texts[row.id])
    if len(_known) > _MOST_KNOWN:
        _known.clear()
    _known.update(found)
    everything = [found[key] for key in keys]
    if len(_histories) > _MOST_KNOWN:
        _histories.clear()
    if keys:
        _histories[max(keys, key=lambda key: key.number)] = everything
    return everything


def history(session: Session, program: Program) -> list[Rules]:
    """The same for a program that was read a moment ago with its newest version: asked of the database only
    where this process does not know them. A version cannot take effect in the past, so nothing that is judged
    now depends on that moment."""
    if program.newest is not None:
        newest = _Version(program.public_id, program.newest.number, program.newest.created_at)
        known = _histories.get(newest)
        if known is not None:
            return known
    return versions(session, program)


@dataclass(frozen=True, slots=True)
class _Version:
    """A version wherever it is stored: programmes of the same row number in two databases are not one."""

    program: str
    number: int
    created_at: datetime


_known: dict[_Version, Rules] = {}
_histories: dict[_Version, list[Rules]] = {}
"""The newest version -> all of them, in the order of their effect."""
_MOST_KNOWN = 1024


def _texts(session: Session, ids: list[int]) -> dict[int, str]:
    """The documents of these rows."""
    if not ids:
        return {}
    sql = "SELECT id, CAST(document AS text) AS document FROM program_versions WHERE id = ANY(:ids)"
    return {row.id: row.document for row in run(session, sql, {"ids": ids})}


@lru_cache(maxsize=256)
def _parsed(number: int, effective_from: datetime, time_zone: str, document: str) -> Rules:
    return documents.rules(
        json.loads(document), number=number, effective_from=effective_from, time_zone=time_zone
    )


def _insert_version(
    session: Session,
    program: Program,
    number: int,
    effective_from: datetime,
    document: Mapping[str, Any],
    actor: str,
) -> None:
    rules = documents.rules(
        document, number=number, effective_from=effective_from, time_zone=program.time_zone
    )
    _keep_policy(session, program, rules)
    run(
        session,
        """INSERT INTO program_versions (program_id, number, effective_from, document, actor)
           VALUES (:program, :number, :effective_from, CAST(:document AS jsonb), :actor)""",
        {
            "program": program.id,
            "number": number,
            "effective_from": effective_from,
            "document": json.dumps(document, default=str),
            "actor": actor,
        },
    )
    record(session, program.id, actor, "program.version_added", program.public_id, {"number": number})


def _keep_policy(session: Session, program: Program, rules: Rules) -> None:
    """How points are used and lost, in the ledger's own words; without a row it is as by default. Once a
    version had another policy, each later one is written down: it may end that."""
    run(
        session,
        """INSERT INTO lot_policies (program_id, number, effective_from, consume, idle_days, idle_year, time_zone)
           SELECT :program, :number, :from, :consume, CAST(:days AS integer), :year, :zone
           WHERE :differs OR EXISTS (SELECT 1 FROM lot_policies WHERE program_id = :program)""",
        {
            "program": program.id,
            "number": rules.number,
            "from": rules.effective_from,
            "consume": rules.spend_first,
            "days": rules.idle_days,
            "year": rules.idle_year,
            "zone": program.time_zone,
            "differs": rules.spend_first != "expiry" or rules.idle_days is not None or rules.idle_year,
        },
    )
