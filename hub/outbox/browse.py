"""Lists of a program's deliveries: filtered, newest first, page by page, counted, failures in groups.

No list reads more than `WINDOW` rows, whatever the filter: an index brings them newest first, the
rest of the filter is applied to those, and a page that ends there says so and how far it looked
back. So a page costs the same on a thousand messages and on a million.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from hub.bulk import run

WINDOW = 20_000
"""Rows looked at for one page or one count."""
COUNTED = 10_000
"""The greatest count that is exact; above it there are "more than"."""
PAGE = 50
_HITS = 1_000
"""How many messages each meaning of a text may bring."""
_QUIET = 2_000
"""A channel with at most so many messages is read by itself."""
_SLACK = timedelta(minutes=15)
"""Numbers are given in the order of arrival but for this much: a clock, a slow commit."""

STATES = ("due", "working", "done", "waiting", "failed", "parked", "settled")
RETRYING = "retrying"
"""Not a state of its own: failed before, and due again."""
NEEDS_A_PERSON = ("failed", "parked")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a list is narrowed to; what is left empty does not narrow it."""

    states: tuple[str, ...] = ()
    """Of `STATES`, and `RETRYING`."""
    fault: str | None = None
    code: str | None = None
    channel_id: int | None = None
    topic: str | None = None
    direction: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    """When it came in: from `since` on, before `until` (aware). A message that was released from
    quarantine counts at the moment it was released."""
    number: str = ""
    """An order's number as the shop shows it, with or without the #."""
    subject: str = ""
    """`sale:<the shop's id>`, `voucher:vch_...`, `member:...`: exactly."""
    text: str = ""
    """A message whose number, key, subject or own number is this text, or whose error's detail
    contains it."""
    about: tuple[str, ...] = ()
    """Subjects the text stands for as well (a code's voucher, a person's orders)."""

    @property
    def is_empty(self) -> bool:
        return self == Wish()


@dataclass(frozen=True, slots=True)
class Line:
    """One delivery as a list shows it."""

    id: int
    channel_id: int
    channel: str
    channel_public_id: str
    kind: str
    direction: str
    topic: str
    number: str
    subject: str
    source: str
    received_at: datetime
    state: str
    due_at: datetime
    attempts: int
    outcome: str | None
    reason: str | None
    fault: str | None
    code: str | None
    detail: str | None
    duplicates: int
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, newest first. Cursors are opaque; None: there is nothing that way."""

    lines: Sequence[Line]
    newer: str | None
    older: str | None
    looked_back_to: datetime | None = None
    """Set when the page ends because `WINDOW` messages were looked at: `older` goes on from there."""


@dataclass(frozen=True, slots=True)
class Count:
    """How many match; when not `exact`, at least so many."""

    number: int
    exact: bool


class BadCursor(ValueError):
    """Not a cursor of ours."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place between two messages: towards older ones from `id`, or towards newer."""

    id: int
    older: bool

    def __str__(self) -> str:
        text = json.dumps([self.id, int(self.older)])
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def read(cls, text: str) -> Cursor:
        """Raises `BadCursor`."""
        try:
            padded = text.encode("ascii") + b"=" * (-len(text) % 4)
            number, older = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        except (ValueError, TypeError, binascii.Error, RecursionError):
            raise BadCursor(text[:40]) from None
        if type(number) is not int or not 0 <= number < 2**63 or older not in (0, 1):
            raise BadCursor(text[:40])
        return cls(number, bool(older))


_COLUMNS = """d.id, d.channel_id, d.direction, d.topic, d.number, d.subject, d.source, d.received_at, d.state,
    d.due_at, d.attempts, d.outcome, d.reason, d.fault, d.code, d.detail, d.duplicates, d.finished_at"""


@dataclass(slots=True)
class _Query:
    """A wish in SQL: `inner` picks the rows that an index brings in order, `outer` is applied to
    the `WINDOW` newest of them."""

    parameters: dict[str, Any]
    inner: list[str] = field(default_factory=list)
    outer: list[str] = field(default_factory=list)

    def window(self, size: int, order: str = "DESC") -> str:
        """The rows an index brings; the limit is written out, or a plan made for any limit would
        sort."""
        where = " AND ".join(["d.program_id = :program", *self.inner])
        return f"SELECT {_COLUMNS} FROM deliveries d WHERE {where} ORDER BY d.id {order} LIMIT {size:d}"

    @property
    def rest(self) -> str:
        return " AND ".join(self.outer) or "true"


def page(
    session: Session, program_id: int, wish: Wish, cursor: Cursor | None = None, limit: int = PAGE
) -> Page:
    """One page, from the newest or from a cursor on."""
    query = _query(session, program_id, wish)
    if query is None:
        return Page((), None, None)
    older = cursor is None or cursor.older
    if cursor is not None:
        query.inner.append("d.id < :from_id" if older else "d.id > :from_id")
        query.parameters["from_id"] = cursor.id
    rows = _rows(session, query, limit + 1, "DESC" if older else "ASC")
    more, rows = len(rows) > limit, rows[:limit]
    lines = [Line(**row._mapping) for row in (rows if older else reversed(rows))]
    end = None if more or not query.outer else _end_of_window(session, query, older=older)
    if not older and not more and not end:
        return page(session, program_id, wish, None, limit)  # the newest page, and a full one
    onwards = None
    if more:
        onwards = Cursor(lines[-1 if older else 0].id, older)
    elif end:
        onwards = Cursor(end.id, older)
    back = Cursor(lines[0 if older else -1].id, not older) if cursor and lines else None
    if cursor and not lines:
        back = Cursor(cursor.id - 1 if older else cursor.id + 1, not older)
    newer, older_ = (back, onwards) if older else (onwards, back)
    return Page(
        lines,
        str(newer) if newer else None,
        str(older_) if older_ else None,
        end.received_at if end else None,
    )


def count(session: Session, program_id: int, wish: Wish) -> Count:
    """How many match, as far as `WINDOW` rows tell; never more than `COUNTED`."""
    query = _query(session, program_id, wish)
    if query is None:
        return Count(0, exact=True)
    window = WINDOW if query.outer else COUNTED + 1
    row = run(
        session,
        f"""SELECT count(*) AS seen, count(*) FILTER (WHERE {query.rest}) AS matching
            FROM ({query.window(window)}) d""",
        query.parameters,
    )[0]
    return Count(min(row.matching, COUNTED), exact=row.seen < window and row.matching <= COUNTED)


def matching(
    session: Session, program_id: int, wish: Wish, limit: int, states: Sequence[str] = STATES
) -> tuple[list[int], bool]:
    """The ids of the newest messages that match, at most `limit`, oldest first; and whether there
    may be more. `states` narrows the wish further."""
    query = _query(session, program_id, wish)
    if query is None:
        return [], False
    query.outer.append("d.state = ANY(:only)")
    query.parameters["only"] = list(states)
    rows = run(
        session,
        f"""SELECT d.id FROM ({query.window(WINDOW)}) d WHERE {query.rest}
            ORDER BY d.id DESC LIMIT {limit + 1:d}""",
        query.parameters,
    )
    more = len(rows) > limit or _end_of_window(session, query, older=True) is not None
    return sorted(row.id for row in rows[:limit]), more


def _rows(session: Session, query: _Query, limit: int, order: str) -> Sequence[Row[Any]]:
    window = WINDOW if query.outer else limit
    return run(
        session,
        f"""SELECT d.*, c.name AS channel, c.public_id AS channel_public_id, c.kind
            FROM (SELECT * FROM ({query.window(window, order)}) d WHERE {query.rest}
                  ORDER BY d.id {order} LIMIT {limit:d}) d
            JOIN channels c ON c.id = d.channel_id ORDER BY d.id {order}""",
        query.parameters,
    )


def _end_of_window(session: Session, query: _Query, *, older: bool) -> Row[Any] | None:
    """The last message looked at, when there were as many as may be looked at."""
    rows = run(
        session,
        f"""SELECT d.id, d.received_at FROM ({query.window(WINDOW, "DESC" if older else "ASC")}) d
            OFFSET {WINDOW - 1:d} LIMIT 1""",
        query.parameters,
    )
    return rows[0] if rows else None


# --- a wish in SQL -------------------------------------------------------------------------------


def _query(session: Session, program_id: int, wish: Wish) -> _Query | None:
    """None: a part of the wish rules everything out."""
    query = _Query({"program": program_id})
    if wish.text:
        _add_text(session, query, program_id, wish)
    _add_equal(query, wish)
    _add_states(query, wish.states)
    if wish.channel_id is not None:
        query.parameters["channel"] = wish.channel_id
        quiet = _is_quiet(session, wish.channel_id)
        (query.inner if quiet else query.outer).append("d.channel_id = :channel")
    if wish.since is not None or wish.until is not None:
        return _add_time(session, query, program_id, wish)
    return query


def _add_equal(query: _Query, wish: Wish) -> None:
    """Conditions on one column; those with an index of their own bring the rows."""
    if wish.number:
        bare = wish.number.strip().removeprefix("#")
        query.inner.append("d.number = ANY(:numbers) AND d.number <> ''")
        query.parameters["numbers"] = [bare, f"#{bare}"]
    if wish.subject:
        query.inner.append("d.subject = :subject AND d.subject <> ''")
    if wish.code:
        query.inner.append("d.code = :code AND d.code IS NOT NULL")
    if wish.fault:
        query.inner.append("d.code IS NOT NULL")
        query.outer.append("d.fault = :fault")
    for name in ("topic", "direction"):
        if getattr(wish, name):
            query.outer.append(f"d.{name} = :{name}")
    for name in ("subject", "code", "fault", "topic", "direction"):
        query.parameters[name] = getattr(wish, name)


def _add_states(query: _Query, states: Sequence[str]) -> None:
    wanted = set(states)
    if not wanted:
        return
    if wanted <= set(NEEDS_A_PERSON):
        query.inner.append("d.state IN ('failed', 'parked')")
    elif wanted == {"waiting"}:
        query.inner.append("d.state = 'waiting'")
    elif wanted <= {RETRYING, *NEEDS_A_PERSON}:
        query.inner.append("d.code IS NOT NULL")
    is_one = "d.state = ANY(:states)"
    if RETRYING in wanted:
        is_one = f"({is_one} OR (d.state IN ('due', 'working') AND d.code IS NOT NULL))"
    if wanted not in ({"waiting"}, set(NEEDS_A_PERSON)):
        query.outer.append(is_one)
        query.parameters["states"] = sorted(wanted - {RETRYING})


def _is_quiet(session: Session, channel_id: int) -> bool:
    seen = run(
        session,
        f"""SELECT count(*) AS n FROM (SELECT 1 FROM deliveries WHERE channel_id = :id
                                       ORDER BY direction, key LIMIT {_QUIET + 1:d}) q""",
        {"id": channel_id},
    )
    return bool(seen[0].n <= _QUIET)


def _add_text(session: Session, query: _Query, program_id: int, wish: Wish) -> None:
    """The messages a text may mean: each meaning by an index of its own, the error's words among
    the newest that have one."""
    text = wish.text.strip()[:500].replace("\x00", "")
    bare = text.removeprefix("#")
    channels = run(session, "SELECT id FROM channels WHERE program_id = :id", {"id": program_id})
    kinds = ("sale", "voucher", "member", "customer", "product", "code")
    like = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    hits = run(
        session,
        _TEXT,
        {
            "program": program_id,
            "numbers": [bare, f"#{bare}"],
            "subjects": [text, *(f"{kind}:{bare}" for kind in kinds), *wish.about],
            "id": int(bare) if bare.isascii() and bare.isdigit() and len(bare) <= 18 else -1,
            "channels": [row.id for row in channels],
            "key": text,
            "like": f"%{like}%",
            "hits": _HITS,
            "window": WINDOW,
        },
    )
    query.inner.append("d.id = ANY(:found)")
    query.parameters["found"] = [row.id for row in hits]


_TEXT = """
(SELECT id FROM deliveries WHERE program_id = :program AND number = ANY(:numbers) AND number <> ''
 ORDER BY id DESC LIMIT :hits)
UNION (SELECT id FROM deliveries WHERE program_id = :program AND subject = ANY(:subjects) AND subject <> ''
 ORDER BY id DESC LIMIT :hits)
UNION (SELECT id FROM deliveries WHERE program_id = :program AND id = :id)
UNION (SELECT id FROM deliveries WHERE channel_id = ANY(:channels) AND direction IN ('inbound', 'outbound')
 AND key = :key)
UNION (SELECT id FROM (SELECT id, detail FROM deliveries WHERE program_id = :program AND code IS NOT NULL
                       ORDER BY id DESC LIMIT :window) d WHERE detail ILIKE :like LIMIT :hits)
"""


def _add_time(session: Session, query: _Query, program_id: int, wish: Wish) -> _Query:
    """Numbers grow with time, so a span of time is a span of numbers, found by halving; an index on
    the time itself would cost every write."""
    exact = []
    if wish.since is not None:
        query.inner.append("d.id >= :first_id")
        query.parameters["first_id"] = _first_since(session, program_id, wish.since - _SLACK)
        query.parameters["since"] = wish.since
        exact.append("d.received_at >= :since")
    if wish.until is not None:
        query.inner.append("d.id < :end_id")
        query.parameters["end_id"] = _first_since(session, program_id, wish.until + _SLACK)
        query.parameters["until"] = wish.until
        exact.append("d.received_at < :until")
    query.outer.append(f"(d.source = 'quarantine' OR ({' AND '.join(exact)}))")
    return query


def _first_since(session: Session, program_id: int, moment: datetime) -> int:
    """The number from which on messages came at `moment` or later."""
    row = run(session, _HALVING, {"program": program_id, "moment": moment})
    return int(row[0].low) if row else 0


_HALVING = """
WITH RECURSIVE halves AS (
    SELECT (SELECT min(id) FROM deliveries WHERE program_id = :program) AS low,
           (SELECT max(id) + 1 FROM deliveries WHERE program_id = :program) AS high
    UNION ALL
    SELECT CASE WHEN probe.received_at < :moment THEN probe.id + 1 ELSE h.low END,
           CASE WHEN probe.received_at < :moment THEN h.high ELSE (h.low + h.high) / 2 END
    FROM halves h LEFT JOIN LATERAL (
        SELECT id, received_at FROM deliveries
        WHERE program_id = :program AND id >= (h.low + h.high) / 2 AND id < h.high AND source <> 'quarantine'
        ORDER BY id LIMIT 1
    ) probe ON true
    WHERE h.low < h.high
)
SELECT low FROM halves WHERE low >= high
"""


# --- failures in groups --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Group:
    """Messages of one channel and direction that failed alike."""

    channel_id: int
    channel: str
    channel_public_id: str
    kind: str
    direction: str
    fault: str
    code: str
    detail: str | None
    retrying: bool
    """Tried again by itself; else it needs a person."""
    count: int
    exact: bool
    """False: at least `count`, and `since` may lie further back."""
    since: datetime
    last: datetime
    next_at: datetime | None
    """When the next of them is tried again."""


_GROUPS = """
WITH RECURSIVE codes AS (
    (SELECT code FROM deliveries WHERE program_id = :program AND code IS NOT NULL ORDER BY code LIMIT 1)
    UNION ALL
    SELECT (SELECT d.code FROM deliveries d WHERE d.program_id = :program AND d.code > codes.code
            AND d.code IS NOT NULL ORDER BY d.code LIMIT 1)
    FROM codes WHERE codes.code IS NOT NULL
), found AS (
    SELECT d.*, count(*) OVER (PARTITION BY codes.code) AS of_code FROM codes CROSS JOIN LATERAL (
        SELECT id, channel_id, direction, fault, code, detail, state IN ('due', 'working') AS retrying, due_at,
               coalesce(finished_at, received_at) AS at
        FROM deliveries WHERE program_id = :program AND code = codes.code AND code IS NOT NULL
        AND state <> 'settled' ORDER BY id DESC LIMIT :counted + 1) d
)
SELECT f.channel_id, c.name AS channel, c.public_id AS channel_public_id, c.kind, f.direction, f.fault, f.code,
       f.retrying, (array_agg(f.detail ORDER BY f.id DESC))[1] AS detail, count(*) AS count,
       bool_and(f.of_code <= :counted) AS exact, min(f.at) AS since, max(f.at) AS last,
       min(f.due_at) FILTER (WHERE f.retrying) AS next_at, (array_agg(f.id ORDER BY f.id))[1:100] AS first_ids
FROM found f JOIN channels c ON c.id = f.channel_id
GROUP BY f.channel_id, c.name, c.public_id, c.kind, f.direction, f.fault, f.code, f.retrying
ORDER BY f.retrying, count(*) DESC, f.code, f.channel_id
"""


def groups(session: Session, program_id: int) -> list[Group]:
    """Everything that failed and is not settled, those that need a person first."""
    rows = run(session, _GROUPS, {"program": program_id, "counted": COUNTED})
    tried = _first_tries(session, rows)
    found = []
    for row in rows:
        values = dict(row._mapping)
        first_ids = values.pop("first_ids")
        times = [tried[i] for i in first_ids if i in tried]
        if row.retrying and times:
            values |= {"since": min(times), "last": max(row.last, *times)}
        found.append(Group(**values))
    return found


def _first_tries(session: Session, rows: Sequence[Row[Any]]) -> Mapping[int, datetime]:
    """When those that are retried failed first: their rows keep only when they are due next."""
    ids = [i for row in rows if row.retrying for i in row.first_ids]
    if not ids:
        return {}
    found = run(
        session,
        """SELECT d.id, min(a.started_at) AS at FROM deliveries d JOIN attempts a
             ON a.delivery_id = d.id AND a.code = d.code
           WHERE d.id = ANY(:ids) GROUP BY d.id""",
        {"ids": ids},
    )
    return {row.id: row.at for row in found}


# --- what there is to choose from ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Choices:
    """What the filters offer."""

    topics: Sequence[str]
    """Those of the newest `WINDOW` messages."""
    codes: Sequence[str]
    channels: Sequence[Row[Any]]
    """id, public_id, name, kind; disconnected ones too: their messages are still there."""


def choices(session: Session, program_id: int) -> Choices:
    """The topics, codes and channels a program's messages have."""
    topics = run(
        session,
        """SELECT DISTINCT topic FROM (SELECT topic FROM deliveries WHERE program_id = :program
                                       ORDER BY id DESC LIMIT :window) d ORDER BY topic""",
        {"program": program_id, "window": WINDOW // 10},
    )
    codes = run(session, _CODES, {"program": program_id})
    channels = run(
        session,
        "SELECT id, public_id, name, kind FROM channels WHERE program_id = :program ORDER BY name",
        {"program": program_id},
    )
    return Choices([r.topic for r in topics], [r.code for r in codes if r.code], channels)


_CODES = _GROUPS[: _GROUPS.index("), found")] + ") SELECT code FROM codes"


def without(wish: Wish, name: str) -> Wish:
    """The wish with one part left out."""
    return replace(wish, **{name: getattr(Wish(), name)})
