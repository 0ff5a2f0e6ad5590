"""Lists of a program's orders: filtered, newest first, page by page; and found by any scrap: number,
amount and day, customer, code.

Every list is read along an index in its own order. A filter without an index of its own is applied
to at most `WINDOW` orders of a page; a page that ends there says how far it looked back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.members import search as members
from hub.members.search import number_key
from hub.money import MAX_MINOR, NotMoney, minor_units, to_minor

PAGE = 50
WINDOW = 20_000
"""Orders looked at for one page."""
MOST = 50
"""Orders that one search shows."""
STATES = ("draft", "pending", "paid", "fulfilled", "cancelled", "refunded", "deleted", "unknown")
ABOUT = 10
"""Percent by which an amount may be off when the day is known: people remember it about so."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a list is narrowed to; what is left empty does not narrow it."""

    text: str = ""
    """Any scrap: a number, an amount, a customer, a code, a txn_ id."""
    channel_id: int | None = None
    state: str = ""
    """Of `STATES`."""
    since: datetime | None = None
    until: datetime | None = None
    """When it was placed: from `since` on, before `until` (aware)."""
    nothing: bool = False
    """Only those that gave nobody points."""
    member_id: int | None = None
    """Only those of this member, and of those merged into it."""


class BadPlace(ValueError):
    """Not a place in a list of ours."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins: behind this order."""

    at: datetime
    id: int

    def __str__(self) -> str:
        return f"{int(self.at.timestamp() * 1_000_000)}-{self.id}"

    @classmethod
    def read(cls, text: str) -> Place:
        """Raises `BadPlace`."""
        found = re.fullmatch(r"(\d{1,17})-(\d{1,18})", text)
        if not found:
            raise BadPlace(text[:40])
        seconds, rest = divmod(int(found[1]), 1_000_000)
        at = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
        return cls(at, int(found[2]))


@dataclass(frozen=True, slots=True)
class Page:
    """Orders, newest first. `older` leads on; `looked_back_to` is set when the page ends because
    `WINDOW` orders were looked at."""

    orders: Sequence[Mapping[str, Any]]
    older: Place | None
    looked_back_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found: `by` says for each order how (`id`, `number`, `code`, `amount`,
    `about`, `customer`, `number_begins`); `more`: it is not all."""

    orders: Sequence[Mapping[str, Any]]
    more: bool
    messages: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    """Messages under that number which became no order, or failed to change theirs."""


WHEN = "coalesce(t.placed_at, t.created_at)"
_TOTAL = "coalesce(t.total, t.goods_net + t.goods_tax + t.shipping)"
_SHOWN = f"""t.id, t.public_id, t.number, t.external_id, t.state, t.test, t.currency, {WHEN} AS at, t.placed_at,
    {_TOTAL} AS total, t.refunded, t.eligible, t.points, t.why, t.waiting_for, t.explanation, t.claim_member_id,
    t.channel_id, c.name AS channel, c.public_id AS channel_public_id, c.kind, m.public_id AS member,
    m.name AS member_name"""
_JOINS = """JOIN channels c ON c.id = t.channel_id
    LEFT JOIN members own ON own.id = t.member_id
    LEFT JOIN members m ON m.id = coalesce(own.alias_of, own.id)"""


# --- the list ------------------------------------------------------------------------------------


def page(
    session: Session, program_id: int, wish: Wish, place: Place | None = None, limit: int = PAGE
) -> Page:
    """One page of the orders a wish without a text leaves."""
    inner, outer, values = _conditions(program_id, wish)
    if place is not None:
        inner.append(f"({WHEN}, t.id) < (:from_at, :from_id)")
        values |= {"from_at": place.at, "from_id": place.id}
    window = WINDOW if outer else limit + 1
    picked = f"""SELECT * FROM transactions t WHERE {" AND ".join(inner)}
                 ORDER BY {WHEN} DESC, t.id DESC LIMIT {window:d}"""
    rows = run(
        session,
        f"""SELECT {_SHOWN} FROM (SELECT * FROM ({picked}) t WHERE {" AND ".join(outer) or "true"}
                                  ORDER BY {WHEN} DESC, t.id DESC LIMIT {limit + 1:d}) t {_JOINS}
            ORDER BY {WHEN} DESC, t.id DESC""",
        values,
    )
    orders = [dict(row._mapping) for row in rows[:limit]]
    if len(rows) > limit:
        return Page(orders, Place(orders[-1]["at"], orders[-1]["id"]))
    end = _end(session, picked, values) if outer else None
    return Page(orders, end, end.at if end else None)


def _end(session: Session, picked: str, values: Mapping[str, Any]) -> Place | None:
    """The last order looked at, when there were as many as may be looked at."""
    rows = run(
        session,
        f"""SELECT {WHEN} AS at, t.id FROM ({picked}) t
            ORDER BY {WHEN} DESC, t.id DESC OFFSET {WINDOW - 1:d} LIMIT 1""",
        values,
    )
    return Place(rows[0].at, rows[0].id) if rows else None


def _conditions(program_id: int, wish: Wish) -> tuple[list[str], list[str], dict[str, Any]]:
    """(what an index brings in order, what is applied to those, values). One filter has the index;
    the rarest first."""
    inner, outer = ["t.program_id = :program"], []
    narrow = {
        "member": (
            wish.member_id is not None,
            """t.member_id IN (SELECT id FROM members WHERE id = :member
                               UNION ALL SELECT id FROM members WHERE alias_of = :member)""",
        ),
        "nothing": (wish.nothing, "(t.points = 0 OR t.member_id IS NULL)"),
        "state": (bool(wish.state), "t.state = :state"),
        "channel": (wish.channel_id is not None, "t.channel_id = :channel"),
    }
    asked = [sql for wanted, sql in narrow.values() if wanted]
    inner += asked[:1]
    outer += asked[1:]
    for name, comparison in (("since", ">="), ("until", "<")):
        if getattr(wish, name) is not None:
            inner.append(f"{WHEN} {comparison} :{name}")
    values = {
        "program": program_id, "member": wish.member_id, "state": wish.state,
        "channel": wish.channel_id, "since": wish.since, "until": wish.until,
    }  # fmt: skip
    return inner, outer, values


# --- the search ----------------------------------------------------------------------------------


def find(
    session: Session, program_id: int, region: str, currency: str, wish: Wish, limit: int = MOST
) -> Found:
    """The orders that a scrap may mean, the likeliest first, narrowed by the rest of the wish."""
    text = " ".join(wish.text.replace("\x00", " ").split())[: members.LONGEST]
    found: dict[int, dict[str, Any]] = {}
    for by, condition, order, values in _readings(session, program_id, region, currency, wish, text):
        for row in _ask(session, program_id, wish, condition, order, values, limit + 1):
            found.setdefault(row.id, {**row._mapping, "by": by})
        if len(found) > limit:
            break
    orders = list(found.values())
    return Found(orders[:limit], len(orders) > limit, _messages(session, program_id, text))


Reading = tuple[str, str, str, dict[str, Any]]
"""(by, condition, order, values)."""
_NEWEST = f"{WHEN} DESC, t.id DESC"


def _readings(
    session: Session, program_id: int, region: str, currency: str, wish: Wish, text: str
) -> Iterator[Reading]:
    if text[:4].lower() == "txn_":
        yield "id", "t.public_id = :id", _NEWEST, {"id": text.lower()}
        return
    number = number_key(text)
    if not number:
        return
    key = "t.number <> '' AND lower(ltrim(t.number, '#')) COLLATE \"C\""
    yield "number", f"{key} = :number", "t.id DESC", {"number": number}
    yield from _codes(text)
    yield from _amounts(text, currency, wish)
    hits = members.search(session, program_id, region, text, limit=20)
    people = [hit.member_id for hit in hits if hit.by not in ("order", "code")]
    if people:
        mine = (
            "t.member_id IN (SELECT id FROM members WHERE id = ANY(:people) OR alias_of = ANY(:people))"
        )
        yield "customer", mine, _NEWEST, {"people": people}
    if len(number) > 1:
        beginning = f"{key} >= :low AND lower(ltrim(t.number, '#')) COLLATE \"C\" < :high"
        order = "lower(ltrim(t.number, '#')) COLLATE \"C\", t.id DESC"
        yield "number_begins", beginning, order, {"low": number, "high": number + "\U0010ffff"}


def _codes(text: str) -> Iterator[Reading]:
    """Platforms keep a code as it was typed: in capitals, in small letters, or as it stands."""
    if " " not in text and len(text) > 3:
        codes = sorted({text, text.upper(), text.lower()})
        condition = "t.codes <> '{}' AND t.codes && CAST(:codes AS text[])"
        yield "code", condition, _NEWEST, {"codes": codes}


def _amounts(text: str, currency: str, wish: Wish) -> Iterator[Reading]:
    """Orders of exactly that amount; of about that amount when the day is known."""
    amounts = sorted(read_amounts(text, currency))
    if not amounts:
        return
    exactly = f"{_TOTAL} = ANY(CAST(:amounts AS bigint[]))"
    yield "amount", exactly, _NEWEST, {"amounts": amounts}
    if wish.since is not None and wish.until is not None:
        near = f"{_TOTAL} BETWEEN :least AND :most"
        off = amounts[-1] * ABOUT // 100
        values = {"least": amounts[-1] - off, "most": amounts[-1] + off, "amount": amounts[-1]}
        yield "about", near, f"abs({_TOTAL} - :amount), t.id DESC", values


def _ask(
    session: Session,
    program_id: int,
    wish: Wish,
    condition: str,
    order: str,
    values: Mapping[str, Any],
    limit: int,
) -> Sequence[Any]:
    inner, outer, common = _conditions(program_id, wish)
    return run(
        session,
        f"""SELECT {_SHOWN} FROM (SELECT * FROM transactions t WHERE {" AND ".join([*inner, *outer, condition])}
                                  ORDER BY {order} LIMIT {limit:d}) t {_JOINS} ORDER BY {order}""",
        {**common, **values},
    )


def read_amounts(text: str, currency: str) -> set[int]:
    """What an amount typed by hand can be, in minor units: "250.000 đ", "250k", "1,250.50"."""
    plain = re.sub(r"(?i)[₫$€£¥]|vnd|đ(ồng)?|dong|usd|eur|\s", "", text)
    found = re.fullmatch(r"(?i)(\d[\d.,]*?)(k|tr)?", plain)
    if not found or len(plain) > 20:
        return set()
    times = {"k": 1000, "tr": 1_000_000, "": 1}[(found[2] or "").lower()]
    spelled = {re.sub(r"[.,]", "", found[1])}
    decimals = re.fullmatch(r"([\d.,]*?)[.,](\d{1,3})", found[1])
    if decimals and (found[2] or len(decimals[2]) <= minor_units(currency)):
        spelled = {re.sub(r"[.,]", "", decimals[1]) + "." + decimals[2]}
    amounts = set()
    for one in spelled:
        try:
            amounts.add(to_minor(Decimal(one or "0") * times, currency))
        except NotMoney:
            continue
    return {amount for amount in amounts if 0 < amount <= MAX_MINOR}


def _messages(session: Session, program_id: int, text: str) -> Sequence[Mapping[str, Any]]:
    """Inbound messages under that number that became no order of ours, or that failed."""
    bare = text.lstrip("#")
    if not bare:
        return ()
    rows = run(
        session,
        """SELECT d.id, d.topic, d.number, d.received_at, d.state, d.outcome, d.reason, d.fault, d.code, d.detail,
                  d.direction, c.name AS channel, c.kind, t.public_id AS "order"
           FROM deliveries d JOIN channels c ON c.id = d.channel_id
           LEFT JOIN transactions t ON t.channel_id = d.channel_id AND d.subject LIKE 'sale:%'
                                   AND t.external_id = substr(d.subject, 6)
           WHERE d.program_id = :program AND d.number = ANY(:numbers) AND d.number <> ''
             AND d.direction = 'inbound' AND (t.id IS NULL OR d.state IN ('failed', 'parked'))
           ORDER BY d.id DESC LIMIT 20""",
        {"program": program_id, "numbers": sorted({bare, f"#{bare}", bare.upper(), f"#{bare.upper()}"})},
    )
    return [dict(row._mapping) for row in rows]
