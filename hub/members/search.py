"""One box that finds members by any scrap: a phone in any spelling, a name without its accents, an
e-mail or its beginning, a card, a channel's customer id, an order's number, a voucher's code.

What the text can be is decided here and each reading is asked through an index of its own, exact
keys first; so the number of members of the program, or of the hub, makes no difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import phonenumbers
from sqlalchemy.orm import Session

from hub.bulk import run
from hub.members.identity import card, email, phone

MOST = 20
"""How many members one search shows."""
LONGEST = 200
"""Characters of a search that are looked at."""
EXACT = ("id", "phone", "email", "card", "customer", "order", "code")
"""Ways to be found that name one member; by others a text names everybody it may mean."""
_LEAST_DIGITS = 4
_LEAST_LETTERS = 2
_NAMES_TRIED = 200
"""Of how many members with such a name the best are chosen: a name that half the town has is not
read to its end."""
_AFTER = "\U0010ffff"
"""Sorts behind everything that can follow a beginning (in the order of code points)."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A member that was found. `by` says by which key: `id`, `phone`, `email`, `card`, `customer`,
    `order`, `code`, or by a part of one: `last_digits`, `phone_begins`, `email_begins`, `name`."""

    member_id: int
    by: str


@dataclass(frozen=True, slots=True)
class _Question:
    """A query that finds member ids in `member_id`, and what it asks for."""

    sql: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Name:
    """The text as a name."""

    text: str


def search(session: Session, program_id: int, region: str, text: str, *, limit: int = MOST) -> list[Hit]:
    """Members whom the text may mean, the likeliest first; a member that was merged is found as the
    one it belongs to now. `region` (ISO 3166) reads national phone numbers."""
    wanted = " ".join(text.replace("\x00", " ").split())[:LONGEST]
    found: dict[int, Hit] = {}
    for by, asked in _readings(wanted, region):
        for root in _ask(session, program_id, asked, limit):
            found.setdefault(root, Hit(root, by))
        if len(found) >= limit:
            break
    return list(found.values())[:limit]


def newest(session: Session, program_id: int, *, before: int | None, limit: int) -> list[int]:
    """All members, the newest first; `before` is the last one of the page before."""
    rows = run(
        session,
        """SELECT id FROM members WHERE program_id = :program AND alias_of IS NULL
             AND id < coalesce(CAST(:before AS bigint), 9223372036854775807)
           ORDER BY id DESC LIMIT :limit""",
        {"program": program_id, "before": before, "limit": limit},
    )
    return [row.id for row in rows]


def row_id(session: Session, program_id: int, public_id: str) -> int | None:
    """The row of a member, for going on from it; unlike a view it does not follow a merge."""
    rows = run(
        session,
        "SELECT id FROM members WHERE program_id = :program AND public_id = :id",
        {"program": program_id, "id": public_id},
    )
    return rows[0].id if rows else None


# --- what a text can be --------------------------------------------------------------------------

_ROOTS = """SELECT coalesce(m.alias_of, m.id) AS root FROM ({found}) AS f JOIN members m ON m.id = f.member_id
            ORDER BY f.member_id DESC"""
_KEY = """SELECT member_id FROM identities
          WHERE program_id + 0 = :program AND kind = :kind AND value COLLATE "C" = :value AND gone_at IS NULL
          LIMIT :limit"""
_BEGINS = """SELECT member_id FROM identities
             WHERE program_id + 0 = :program AND kind = :kind AND value COLLATE "C" >= :low
               AND value COLLATE "C" < :high AND gone_at IS NULL
             ORDER BY value COLLATE "C" LIMIT :limit"""
_ENDS = """SELECT member_id FROM identities
           WHERE program_id = :program AND kind = 'phone' AND reverse(value) COLLATE "C" >= :low
             AND reverse(value) COLLATE "C" < :high AND gone_at IS NULL
           ORDER BY reverse(value) COLLATE "C" LIMIT :limit"""
_ORDER = """SELECT member_id FROM transactions
            WHERE program_id = :program AND number <> '' AND lower(ltrim(number, '#')) COLLATE "C" = :number
              AND member_id IS NOT NULL ORDER BY id DESC LIMIT :limit"""
_CODE = "SELECT member_id FROM vouchers WHERE program_id = :program AND code_key = :code LIMIT :limit"
_IDS: Mapping[str, str] = {
    "mem_": "SELECT id AS member_id FROM members WHERE program_id = :program AND public_id = :id",
    "txn_": """SELECT member_id FROM transactions
               WHERE program_id = :program AND public_id = :id AND member_id IS NOT NULL""",
    "red_": "SELECT member_id FROM redemptions WHERE program_id = :program AND public_id = :id",
    "vch_": "SELECT member_id FROM vouchers WHERE program_id = :program AND public_id = :id",
}


def _readings(text: str, region: str) -> Iterator[tuple[str, _Question | _Name]]:
    """Everything the text can be, exact keys before parts of keys."""
    if text[:4].lower() in _IDS:
        yield "id", _Question(_IDS[text[:4].lower()], {"id": text.lower()})
    elif text:
        yield from _exact(text, region)
        yield from _parts(text, region)


def _exact(text: str, region: str) -> Iterator[tuple[str, _Question]]:
    for number in dict.fromkeys(_phones(text, region)):
        yield "phone", _Question(_KEY, {"kind": "phone", "value": number})
    if address := email(text):
        yield "email", _Question(_KEY, {"kind": "email", "value": address})
    yield "card", _Question(_KEY, {"kind": "card", "value": card(text)})
    yield "customer", _Question(_KEY, {"kind": "customer", "value": text})
    yield "order", _Question(_ORDER, {"number": number_key(text)})
    yield "code", _Question(_CODE, {"code": text.upper()})


def _parts(text: str, region: str) -> Iterator[tuple[str, _Question | _Name]]:
    digits = _digits(text)
    if len(digits) >= _LEAST_DIGITS:
        yield "last_digits", _Question(_ENDS, _between(digits.lstrip("0")[::-1]))
        if beginning := _beginning(text, digits, region):
            yield "phone_begins", _Question(_BEGINS, {"kind": "phone", **_between(beginning)})
    yield "name", _Name(text)
    if " " not in text and len(text) > _LEAST_LETTERS:
        yield "email_begins", _Question(_BEGINS, {"kind": "email", **_between(text.lower())})


def _ask(session: Session, program_id: int, asked: _Question | _Name, limit: int) -> Sequence[int]:
    if isinstance(asked, _Name):
        return _by_name(session, program_id, asked.text, limit)
    values = {**asked.values, "program": program_id, "limit": limit}
    return [row.root for row in run(session, _ROOTS.format(found=asked.sql), values)]


def _phones(text: str, region: str) -> Iterator[str]:
    """As people write it, and as a spreadsheet or a shop does that left the plus out."""
    digits = _digits(text)
    international = re.sub(r"\(0\)", "", text)
    for spelled in (text, international, *((f"+{digits}", f"0{digits}") if digits else ())):
        if number := phone(spelled, region):
            yield number


def _digits(text: str) -> str:
    """The digits of what is written like a phone number; empty for anything else."""
    return re.sub(r"\D", "", text) if re.fullmatch(r"\+?[\d\s().\-/–]+", text) else ""


def _beginning(text: str, digits: str, region: str) -> str:
    """The international form of a number that is not typed to its end."""
    country = str(phonenumbers.country_code_for_region(region) or "")
    if text.startswith("+"):
        return f"+{digits}"
    if digits.startswith("00"):
        return f"+{digits[2:]}"
    if digits.startswith("0"):
        return f"+{country}{digits[1:]}" if country else ""
    return f"+{digits}"


def number_key(text: str) -> str:
    """An order's number as it is compared: without its # and without case."""
    return text.strip().lstrip("#").lower()


def _between(beginning: str) -> dict[str, str]:
    return {"low": beginning, "high": beginning + _AFTER}


# --- names ---------------------------------------------------------------------------------------


def _by_name(session: Session, program_id: int, text: str, limit: int) -> Sequence[int]:
    """Members whose name holds words that begin like these, in any order and with or without
    accents; who is called exactly so comes first, then whose name begins so."""
    plain = run(session, "SELECT hub_plain(:text) AS plain", {"text": text})[0].plain.rstrip()
    words = plain.split()
    if not words or all(len(word) < _LEAST_LETTERS for word in words):
        return []
    alike = " AND ".join(f"hub_plain(name) LIKE :word_{n}" for n in range(len(words[:8])))
    values = {f"word_{n}": f"% {word}%" for n, word in enumerate(words[:8])}
    rows = run(
        session,
        f"""SELECT coalesce(alias_of, id) AS root, min(place) AS place FROM (
                (SELECT id, alias_of, CASE WHEN rtrim(hub_plain(name)) = :plain THEN 0 ELSE 1 END AS place
                 FROM members
                 WHERE program_id = :program AND hub_plain(name) COLLATE "C" >= :plain
                   AND hub_plain(name) COLLATE "C" < :after
                 ORDER BY hub_plain(name) COLLATE "C" LIMIT :limit)
                UNION ALL
                (SELECT id, alias_of, 2 FROM members WHERE program_id = :program AND {alike} LIMIT :tried)
            ) AS alike GROUP BY root ORDER BY place, root DESC LIMIT :limit""",
        {
            **values,
            "plain": plain,
            "after": plain + _AFTER,
            "program": program_id,
            "tried": _NAMES_TRIED,
            "limit": limit,
        },
    )
    return [row.root for row in rows]
