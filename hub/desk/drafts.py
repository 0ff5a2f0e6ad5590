"""A draft of a programme's rules: read, compared with what is in force, put into force."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import tomli_w
from sqlalchemy.orm import Session

from hub.bulk import run
from hub.desk.place import Desk
from hub.program import document as documents
from hub.program import store
from hub.program.differences import Difference, differences
from hub.program.document import DocumentRefused
from hub.program.rules import Rules


@dataclass(frozen=True, slots=True)
class Written:
    """One version of a programme as it is written."""

    number: int
    effective_from: datetime
    document: Mapping[str, Any]
    newest: int
    """The highest number of all versions: what a draft is based on."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What a draft says."""

    changes: Sequence[Difference]
    """Against what is in force, setting by setting."""
    rules: Rules


@dataclass(frozen=True, slots=True)
class Applied:
    """A version that was made of a draft."""

    number: int
    effective_from: datetime


def read(text: str) -> Mapping[str, Any]:
    """The document of a TOML text, checked. Raises `DocumentRefused`: line and column where it is no TOML,
    else the path and the fix."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DocumentRefused("TOML", str(error)) from None
    documents.check(document)
    return document


def toml(document: Mapping[str, Any]) -> str:
    """A document as people write it. What is null is left out, as TOML has no word for it."""
    return tomli_w.dumps(_without_null(document))


def in_force(session: Session, program_id: int, now: datetime) -> Written:
    """The version in force now (the one to come soonest, where none is yet)."""
    row = run(
        session,
        """SELECT number, effective_from, document, max(number) OVER () AS newest FROM program_versions
           WHERE program_id = :id ORDER BY effective_from <= :now DESC,
               CASE WHEN effective_from <= :now THEN effective_from END DESC, number DESC LIMIT 1""",
        {"id": program_id, "now": now},
    )[0]
    return Written(**row._mapping)


def version(session: Session, program_id: int, number: int) -> Written | None:
    """One version; None where there is none of that number."""
    rows = run(
        session,
        """SELECT * FROM (SELECT number, effective_from, document, max(number) OVER () AS newest
                          FROM program_versions WHERE program_id = :id) v WHERE number = :number""",
        {"id": program_id, "number": number},
    )
    return Written(**rows[0]._mapping) if rows else None


def look(desk: Desk, document: Mapping[str, Any]) -> Looked:
    """What a draft would change, and its rules. Raises `DocumentRefused`. Changes nothing."""
    present = in_force(desk.session, desk.program.id, desk.runtime.clock())
    rules = documents.rules(
        document, number=0, effective_from=desk.program.starts_at, time_zone=desk.program.time_zone
    )
    return Looked(differences(present.document, document), rules)


def apply(
    desk: Desk,
    document: Mapping[str, Any],
    effective_from: datetime | None = None,
    base: int | None = None,
) -> Applied:
    """Put a draft into force, at once or from a moment on. `base`: the newest version that whoever wrote it
    knew. Raises `DocumentRefused`, `VersionRefused` for the past, `Overtaken` where there is a newer one."""
    now = desk.runtime.clock()
    begins = effective_from or now
    number = store.add_version(
        desk.session, desk.program, document, effective_from=begins, now=now, actor=desk.actor, base=base
    )
    return Applied(number, begins)


def _without_null(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_null(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_null(inner) for inner in value if inner is not None]
    return value
